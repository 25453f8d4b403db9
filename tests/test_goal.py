"""Sums, weights, thresholds and selections of goals."""

from __future__ import annotations

import math
from functools import reduce
from operator import add
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as some
from torch import Tensor

import latentsearch as ls
from latentsearch import Score
from latentsearch.errors import InvalidArgument
from latentsearch.priors import StandardNormal

Term = ls.Constraint | ls.Goal

ROWS = 3
OUTPUT = torch.linspace(0, 1, ROWS * 4, dtype=torch.float64).view(ROWS, 1, 2, 2)
LATENT = torch.linspace(-1, 1, ROWS * 2, dtype=torch.float64).view(ROWS, 2)
TARGET = OUTPUT.flip(0)

PRIOR = ls.LogPrior(StandardNormal((2,)))
TERMS = {
    "match": ls.Matches(TARGET),
    "one match": ls.Matches(TARGET[:1], distance="l1"),
    "shrunk": ls.Downscales(TARGET.mean((2, 3), keepdim=True), 2, mode="area"),
    "shrunk enough": ls.Downscales(TARGET.mean((2, 3), keepdim=True), 2, mode="area").below(0.1),
    "prior": PRIOR,
    "likely": PRIOR.below(2.3),
    "bright": ls.Satisfies(lambda x: x.mean((1, 2, 3)) > 0.2, boolean=True, name="bright"),
}

MATCH, SHRUNK, LINES = TERMS["match"], TERMS["shrunk enough"], TERMS["one match"]

terms = some.sampled_from(list(TERMS.values()))
weights = some.floats(-4, 4, allow_nan=False)


def score(term: Term) -> Score:
    return term(OUTPUT, LATENT)


def has_threshold(term: Term) -> bool:
    return score(term).satisfied is not None


def same(a: Term, b: Term) -> bool:
    """Equal verdicts, and losses equal up to the order of adding."""
    loss, other = score(a), score(b)
    losses = torch.allclose(loss.loss, other.loss, rtol=1e-12, atol=1e-12)
    return losses and has_threshold(a) == has_threshold(b) and torch.equal(loss.passed, other.passed)


# -- laws --------------------------------------------------------------------------------------------


@given(terms, terms, terms)
def test_addition_is_associative_and_commutative(a: Term, b: Term, c: Term) -> None:
    assert same((a + b) + c, a + (b + c))
    assert same(a + b, b + a)


@given(terms, terms, weights)
def test_a_weight_goes_over_a_sum(a: Term, b: Term, weight: float) -> None:
    assert same(weight * (a + b), weight * a + weight * b)


@given(terms, weights, weights)
def test_weights_multiply(a: Term, v: float, w: float) -> None:
    assert same(v * (w * a), (v * w) * a)
    assert same(w * a, a * w)


@given(some.lists(some.tuples(weights, terms), min_size=1, max_size=4))
def test_a_sum_is_what_its_terms_say(parts: list[tuple[float, Term]]) -> None:
    total = reduce(add, (weight * term for weight, term in parts))
    loss, satisfied = score(total)
    terms = total.report(OUTPUT, LATENT)
    assert len(terms) == len(parts)
    assert torch.allclose(loss, sum((term.loss for term in terms.values()), torch.zeros(ROWS, dtype=loss.dtype)))
    verdicts = [verdict for _, term in parts if (verdict := score(term).satisfied) is not None]
    assert (satisfied is not None) == bool(verdicts)
    if satisfied is not None:
        assert torch.equal(satisfied, torch.stack(verdicts).all(0))
    assert total.reads_output == any(term.goal.reads_output for _, term in parts)
    assert total.reads_latent == any(term.goal.reads_latent for _, term in parts)
    assert total.differentiable == all(term.goal.differentiable for _, term in parts)
    assert total.problems == max(term.problems for _, term in parts)


@given(some.lists(some.tuples(weights, terms), min_size=1, max_size=3), some.data())
def test_select_is_an_index_and_nests(parts: list[tuple[float, Term]], data: some.DataObject) -> None:
    total = reduce(add, (weight * term for weight, term in parts)).below(1.0)
    i = torch.tensor(data.draw(some.lists(some.integers(0, ROWS - 1), min_size=2, max_size=5)))
    j = torch.tensor(data.draw(some.lists(some.integers(0, len(i) - 1), min_size=2, max_size=4)))
    whole = score(total)
    for chosen, index in ((total.select(i), i), (total.select(i).select(j), i[j]), (total.select(i[j]), i[j])):
        some_rows = chosen(OUTPUT[index], LATENT[index])
        assert torch.equal(some_rows.loss, whole.loss[index])
        assert torch.equal(some_rows.satisfied, whole.satisfied[index])


def test_select_of_one_problem_is_itself() -> None:
    alone = 2 * (TERMS["one match"] + PRIOR).below(1.0) + PRIOR
    assert alone.select(torch.tensor([0, 0, 0])) is alone


# -- what satisfies ----------------------------------------------------------------------------------


def test_a_lone_prior_is_never_satisfied() -> None:
    for term in (PRIOR, 3 * PRIOR, PRIOR + PRIOR, PRIOR + TERMS["match"]):
        assert not has_threshold(term) and not score(term).passed.any()


def test_a_prior_does_not_stand_in_the_way_of_a_threshold() -> None:
    enough = TERMS["shrunk enough"]
    assert score(enough).satisfied.tolist() == [False, True, False]
    for term in (enough + PRIOR, 0.1 * PRIOR + enough, 5 * (enough + PRIOR), 0 * enough + PRIOR):
        assert torch.equal(score(term).passed, score(enough).passed)


def test_all_with_a_threshold_must_agree() -> None:
    bright, shrunk = TERMS["bright"], TERMS["shrunk enough"]
    assert score(bright).satisfied.tolist() == [False, True, True]
    assert score(bright + shrunk + PRIOR).satisfied.tolist() == [False, True, False]


def test_a_weight_leaves_the_verdict_alone() -> None:
    likely = TERMS["likely"]
    assert score(likely).satisfied.tolist() == [False, True, False]
    for weight in (100, 0, -1):
        assert torch.equal(score(weight * likely).satisfied, score(likely).satisfied)


def test_a_threshold_is_the_largest_loss_that_satisfies() -> None:
    loss = score(PRIOR).loss
    term = PRIOR.below(float(loss[0]))
    assert score(term).passed.tolist() == (loss <= loss[0]).tolist()
    assert torch.equal(score(term).loss, loss)
    # A threshold on something that has one already: both must hold.
    both = TERMS["shrunk enough"].below(math.inf)
    assert torch.equal(score(both).satisfied, score(TERMS["shrunk enough"]).satisfied)


def test_a_threshold_after_a_weight_is_on_the_weighted_loss() -> None:
    loss = float(score(PRIOR).loss.max())
    assert score((2 * PRIOR).below(loss)).satisfied.sum() == 0 and score(2 * PRIOR.below(loss)).satisfied.all()


def test_thresholds_of_parts_are_rows_of_weights() -> None:
    a, b = MATCH, PRIOR
    goal = 3 * (a + 2 * b).below(5.0) + b.below(1.0)
    assert goal.weights == (3, 6, 1)
    assert goal.thresholds == (((1, 2, 0), 5.0), ((0, 0, 1), 1.0))
    want = (score(a).loss + 2 * score(b).loss <= 5.0) & (score(b).loss <= 1.0)
    assert torch.equal(score(goal).passed, want)


# -- sums of squares ---------------------------------------------------------------------------------

SQUARES = {
    "weight": 3 * MATCH,
    "no weight": 0 * MATCH,
    "threshold": MATCH.below(0.2),
    "sum": MATCH + SHRUNK,
    "all of them": (2 * (MATCH + 0.5 * SHRUNK)).below(0.1) + MATCH,
}


@pytest.mark.parametrize("term", SQUARES.values(), ids=SQUARES)
def test_residuals_go_with_weights_sums_and_thresholds(term: Term) -> None:
    assert term.goal.least_squares
    assert torch.allclose(term.goal.residuals(OUTPUT, LATENT).square().sum(1), score(term).loss, rtol=1e-12)


@pytest.mark.parametrize(
    "term",
    [-1 * MATCH, 2 * LINES, LINES.below(1.0), MATCH + PRIOR, MATCH + -1 * SHRUNK],
    ids=["negative", "weight", "threshold", "sum", "difference"],
)
def test_one_part_that_is_no_sum_of_squares_is_enough(term: Term) -> None:
    assert not term.goal.least_squares


def test_a_hard_limit_has_no_residuals_of_its_own() -> None:
    limit = ls.Within(LATENT, 1.0)
    total = MATCH + 2 * limit
    assert total.least_squares
    assert torch.equal(total.residuals(OUTPUT, LATENT), MATCH.goal.residuals(OUTPUT, LATENT))


def test_latents_beyond_the_limit_have_an_infinite_loss_and_satisfy_nobody() -> None:
    limit = ls.Within(LATENT + 3 * torch.tensor([[0.0], [1.0], [0.0]]), 1.0)
    for goal in (MATCH + limit, (limit + MATCH).below(math.inf), 2 * (MATCH.below(math.inf) + limit)):
        found = score(goal)
        assert found.loss.isinf().tolist() == [False, True, False]
        assert not bool(found.passed[1]) and goal.limit is limit
    assert score(MATCH + limit).satisfied is None


# -- the report --------------------------------------------------------------------------------------


def test_terms_have_names_of_their_own() -> None:
    match, bright = TERMS["match"], TERMS["bright"]
    total = match + 2 * match + bright + PRIOR + match.below(1.0)
    terms = total.report(OUTPUT, LATENT)
    assert list(terms) == ["Matches", "Matches 2", "bright", "LogPrior", "Matches 3"]
    assert torch.equal(terms["Matches 2"].loss, 2 * terms["Matches"].loss)


def test_names_stay_unique_where_sums_are_inside_of_weights() -> None:
    total = 2 * (PRIOR + PRIOR) + 3 * (PRIOR + PRIOR)
    terms = total.report(OUTPUT, LATENT)
    assert len(terms) == 4 and len(set(terms)) == 4
    assert sum(float(term.loss[0]) for term in terms.values()) == pytest.approx(float(score(total).loss[0]))


# -- moving ------------------------------------------------------------------------------------------


class Tagged(ls.Constraint):
    """A constraint with a tensor of integers and one of floats."""

    tensors = ("codes", "levels")

    def __init__(self) -> None:
        self.codes, self.levels, self.problems = torch.tensor([1, 2]), torch.tensor([0.5, 1.5]), 2

    def __call__(self, output: Tensor, latent: Tensor) -> Score:
        return Score(self.levels * self.codes)


def test_to_moves_all_tensors_and_casts_the_floating_ones() -> None:
    original = Tagged()
    moved = original.to("meta", torch.float64)
    assert (moved.codes.device.type, moved.codes.dtype) == ("meta", torch.int64)  # type: ignore[attr-defined]
    assert (moved.levels.device.type, moved.levels.dtype) == ("meta", torch.float64)  # type: ignore[attr-defined]
    assert (original.levels.device.type, original.levels.dtype) == ("cpu", torch.float32)


def test_to_reaches_into_sums_weights_and_thresholds() -> None:
    total = (2 * (Tagged() + Tagged().below(1.0))).below(4.0)
    assert total.to("cpu", torch.float64)(OUTPUT[:2], LATENT[:2]).loss.dtype == torch.float64
    assert total.to("cpu", torch.float64)(OUTPUT[:2], LATENT[:2]).satisfied.tolist() == [True, False]


# -- what is refused ---------------------------------------------------------------------------------


def test_problems_must_agree_or_be_one() -> None:
    two, three = ls.Matches(TARGET[:2]), ls.Matches(TARGET)
    assert (three + TERMS["one match"]).problems == 3
    with pytest.raises(InvalidArgument, match=r"a sum.*: got .*2 problems.* and .*3 problems.*, expected the same"):
        two + three


@pytest.mark.parametrize("weight", [math.nan, math.inf, -math.inf])
def test_weights_are_finite(weight: float) -> None:
    with pytest.raises(InvalidArgument, match=r"weight: got .*, expected a finite number"):
        weight * PRIOR


@pytest.mark.parametrize("threshold", [math.nan, "low", None])
def test_thresholds_are_numbers(threshold: Any) -> None:
    with pytest.raises(InvalidArgument, match=r"threshold: got .*, expected a number"):
        PRIOR.below(threshold)


@pytest.mark.parametrize("other", [1.0, None], ids=["number", "None"])
def test_only_constraints_and_goals_add_up(other: Any) -> None:
    with pytest.raises(TypeError):
        PRIOR + other
    with pytest.raises(TypeError):
        other + PRIOR


def test_a_bare_function_is_told_how_to_become_a_constraint() -> None:
    with pytest.raises(InvalidArgument, match=r"got a bare function.*Satisfies\(function\)"):
        PRIOR + (lambda x: x.mean(1))  # type: ignore[operator]


def test_the_sum_of_a_list_is_a_sum() -> None:
    output, z = torch.zeros(2, 1), torch.ones(2, 2)
    total = sum([PRIOR, 2 * PRIOR])
    assert torch.equal(total(output, z).loss, 3 * PRIOR(output, z).loss)


@pytest.mark.parametrize("other", ["2", None, PRIOR, torch.ones(3)], ids=["text", "None", "term", "tensor"])
def test_only_numbers_weigh(other: Any) -> None:
    with pytest.raises(TypeError):
        PRIOR * other


def test_goals_and_generators_are_shown_in_short():
    match, dark = ls.Matches(TARGET), ls.Satisfies(lambda x: x.flatten(1).mean(1), name="dark")
    assert repr(match + 0.1 * dark) == "Matches(3 problems) + 0.1 * dark"
    assert repr((0.5 * (match + dark)).below(2)) == "(0.5 * Matches(3 problems) + 0.5 * dark).below(2)"
    codes = ls.CodebookGenerator(torch.nn.Flatten().eval(), torch.eye(5, 3), (2,))
    assert repr(codes) == "CodebookGenerator(Discrete(shape=(2,), codebook_size=5))"
    assert repr(ls.ContinuousGenerator(lambda z: z, (4,))) == "ContinuousGenerator(Continuous(shape=(4,)))"
