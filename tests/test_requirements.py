"""`subject_to`: the least loss where requirements are met, by any search in rounds."""

from __future__ import annotations

import itertools
import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as some
from torch import Tensor

import latentsearch as ls
from latentsearch.priors import StandardNormal
from latentsearch.searchers.stages._multipliers import Multipliers
from latentsearch.testing import toys

PLANE = ls.ContinuousGenerator(lambda z: z, shape=(3,))
SOURCE = torch.tensor([[0.0, 0.0, 0.0], [1.0, -2.0, 0.5], [3.0, 3.0, 3.0]])
SUMS = torch.tensor([3.0, 6.0, 2.0])
ENOUGH = ls.Run(evaluations=2100)

at_least = ls.Satisfies(lambda x, least: least - x.sum(1), targets=SUMS, name="sum").below(0)
PROJECTION = ls.Near(SOURCE).subject_to(at_least)


def nearest() -> Tensor:
    """The nearest points whose sum is at least so much."""
    return SOURCE + (SUMS - SOURCE.sum(1)).clamp(min=0)[:, None] / 3


# -- the goal ----------------------------------------------------------------------------------------


def test_the_loss_is_the_rest_and_the_verdict_the_requirement():
    score = PROJECTION(SOURCE, SOURCE)
    assert score.loss.tolist() == [0, 0, 0] and score.satisfied.tolist() == [False, False, True]
    assert PROJECTION.excess(SOURCE, SOURCE)[:, 0].tolist() == [3.0, 6.5, -7.0]
    assert repr(PROJECTION) == "Near(3 problems) subject to sum(3 problems) <= 0"
    report = PROJECTION.report(SOURCE, SOURCE)
    assert report["sum"].loss.tolist() == [3.0, 6.5, -7.0] and report["sum"].satisfied.tolist() == [False, False, True]


def test_what_is_required_is_never_added_to_the_loss_even_where_it_is_infinite():
    broken = ls.Satisfies(lambda x: torch.full((len(x),), torch.inf), name="infinite").below(1.0)
    score = ls.Near(SOURCE).subject_to(broken)(SOURCE, SOURCE)
    assert score.loss.tolist() == [0, 0, 0] and not score.satisfied.any()


def test_thresholds_that_constraints_have_of_their_own_are_requirements():
    likely = ls.Classified(lambda x: torch.stack([x.sum(1), -x.sum(1)], 1), 0, threshold=0.8)
    bright = ls.Satisfies(lambda x: x.sum(1) > 1, boolean=True, differentiable=False)
    for term in (likely, bright, ls.Typical(StandardNormal((3,)), (2.0, 5.0))):
        goal = ls.Near(SOURCE).subject_to(term)
        verdicts = goal(SOURCE, SOURCE).satisfied
        assert torch.equal(verdicts, term(SOURCE, SOURCE).satisfied)
        assert torch.equal(verdicts, goal.excess(SOURCE, SOURCE)[:, 0] <= 0)
    assert ls.Near(SOURCE).subject_to(likely).thresholds[0].most == pytest.approx(-math.log(0.8))


def test_a_constraint_without_a_threshold_is_no_requirement():
    match = r"got Matches.*no loss satisfies.*constraint.below\(0.1\)"
    with pytest.raises(ls.InvalidArgument, match=match):
        ls.Near(SOURCE).subject_to(ls.Matches(SOURCE))
    # The verdict of a logit's loss is one of probabilities.
    with pytest.raises(ls.InvalidArgument, match="subject_to"):
        ls.Near(SOURCE).subject_to(ls.Classified(lambda x: x, 0, loss="logit"))
    with pytest.raises(ls.InvalidArgument, match="wrap the function"):
        ls.Near(SOURCE).subject_to(lambda x: x)  # type: ignore[arg-type]


def test_several_requirements_and_sums_keep_them():
    small = ls.Satisfies(lambda x: x.square().sum(1), name="small").below(4.0)
    both = ls.Near(SOURCE).subject_to(at_least, small)
    assert len(both.thresholds) == 2 and both.required
    more = 2 * (both + ls.LogPrior(StandardNormal((3,))))
    assert more.required and len(more.thresholds) == 2
    expected = 2 * (ls.Near(SOURCE) + ls.LogPrior(StandardNormal((3,))))(SOURCE, SOURCE).loss
    assert torch.allclose(more(SOURCE, SOURCE).loss, expected)
    picked = both.select(torch.tensor([2, 0]))
    assert torch.equal(picked.excess(SOURCE[[2, 0]], SOURCE[[2, 0]]), both.excess(SOURCE, SOURCE)[[2, 0]])


@given(some.integers(-200, 200), some.integers(0, 500), some.integers(1, 500))
def test_what_is_added_is_continuous_convex_and_nothing_where_no_multiplier_is(excess, multiplier, penalty):
    excess, multiplier, penalty = excess / 100, multiplier / 100, penalty / 10
    numbers = Multipliers(*(torch.tensor([[value]], dtype=torch.float64) for value in (multiplier, penalty, 0.0)))
    added = numbers.augmentation(stricter=False, dtype=torch.float64)
    score = added.of(ls.Score(torch.zeros(1, dtype=torch.float64)), torch.tensor([[excess]], dtype=torch.float64))
    aimed = max(0.0, multiplier + penalty * excess)
    assert float(score.loss) == pytest.approx((aimed**2 - multiplier**2) / (2 * penalty), abs=1e-9)
    if multiplier == 0 and excess <= 0:
        assert float(score.loss) == 0
    after = numbers.after(torch.tensor([[excess]]), growth=4.0)
    assert float(after.multiplier) == pytest.approx(aimed) and float(after.missed) == pytest.approx(max(excess, 0))


def test_penalties_do_not_depend_on_the_unit_of_losses():
    losses, excess = torch.tensor([[2.0, 0.0, 5.0], [8.0, 3.0, 5.0]]), torch.tensor([[4.0], [0.5], [0.0]])
    one, other = Multipliers.at(losses, excess), Multipliers.at(1000 * losses, 1000 * excess)
    assert torch.allclose(one.penalty[:2], 1000 * other.penalty[:2])
    assert one.penalty.isfinite().all() and (one.penalty > 0).all()
    # What is infinite says nothing of a scale, and is missed all the same.
    endless = Multipliers.at(losses, torch.full((3, 1), torch.inf))
    assert (endless.penalty == 1).all() and (endless.after(torch.full((3, 1), torch.inf), 4.0).penalty == 4).all()


# -- searches ----------------------------------------------------------------------------------------

SEARCHES = {
    "gradient": ls.GradientSearch(),
    "halving": ls.HalvingSearch(draws=4, starts=2),
    "evolution of vectors": ls.CMAESSearch(),
    "auto": ls.AutoSearch(),
}


@pytest.mark.parametrize("name", ["gradient", "halving", "evolution of vectors", "auto"])
def test_any_search_finds_the_nearest_point_that_meets_a_requirement(name):
    search = ls.AugmentedLagrangian(SEARCHES[name])
    result = search.search(PLANE, PROJECTION, init=SOURCE, seed=0, run=ENOUGH)
    assert result.score.satisfied.all()
    assert torch.allclose(result.latent, nearest(), atol=0.1)
    best = (nearest() - SOURCE).square().sum(1)
    assert (result.score.loss <= 1.02 * best + 1e-6).all()
    assert (result.evaluations <= ENOUGH.evaluations).all()


def test_what_chooses_a_method_chooses_rounds():
    assert isinstance(ls.AutoSearch().choose(PLANE, PROJECTION), ls.AugmentedLagrangian)
    assert ls.search(PLANE, PROJECTION, init=SOURCE, seed=0, run=ENOUGH).score.satisfied.all()


def test_the_least_loss_is_found_where_stopping_at_the_first_satisfied_row_finds_another():
    stopped = ls.GradientSearch().search(PLANE, ls.Near(SOURCE) + at_least, init=SOURCE + 4, seed=0, run=ENOUGH)
    assert stopped.score.satisfied.all() and (stopped.latent - nearest()).abs().max() > 1
    rounds = ls.AugmentedLagrangian(ls.GradientSearch())
    first = rounds.search(
        PLANE, PROJECTION, init=SOURCE - 4, seed=0, run=ls.Run(evaluations=2100, stop_when_satisfied=True)
    )
    assert first.score.satisfied.all() and (first.evaluations < 2100).all()
    assert {status.name for status in first.status} == {"SATISFIED"}


def test_without_stopping_a_search_goes_on_to_the_least_loss_among_what_satisfies():
    goal = ls.Near(SOURCE) + ls.Satisfies(lambda x: -x.sum(1), name="high").below(-1.0)
    run = ls.Run(evaluations=400)
    on = ls.Run(evaluations=400, stop_when_satisfied=False)
    start = SOURCE + 5
    stopped, went_on = (ls.GradientSearch().search(PLANE, goal, init=start, seed=0, run=each) for each in (run, on))
    assert stopped.score.satisfied.all() and went_on.score.satisfied.all()
    assert (went_on.score.loss < stopped.score.loss).all() and (went_on.evaluations == 400).all()


def test_grids_of_codes_meet_requirements_at_the_least_loss():
    toy = toys.codes(problems=2, shape=(2, 2), codebook_size=4)
    bright = ls.Satisfies(lambda x: 2.2 - x.flatten(1).sum(1), name="bright").below(0)
    goal = toy.constraint.subject_to(bright)
    grids = torch.tensor(list(itertools.product(range(4), repeat=4))).view(-1, 2, 2)
    output = toy.generator.decode(grids)
    best = []
    for b in range(2):
        score = goal.select(torch.full((len(grids),), b))(output, grids)
        best.append(float(score.loss[score.satisfied].min()))
    run = ls.Run(evaluations=1500)
    for inner in (ls.CoordinateSearch(), ls.EvolutionSearch(), ls.AutoSearch()):
        result = ls.AugmentedLagrangian(inner).search(toy.generator, goal, seed=0, run=run)
        assert result.score.satisfied.all()
        assert result.score.loss.tolist() == pytest.approx(best, rel=1e-5)


def test_where_nothing_meets_the_requirement_the_answer_misses_it_least():
    never = ls.Satisfies(lambda x: 1 + x.square().sum(1), name="never").below(0.5)
    result = ls.AugmentedLagrangian(ls.GradientSearch()).search(
        PLANE, ls.Near(SOURCE).subject_to(never), init=SOURCE, seed=0, run=ENOUGH
    )
    assert not result.score.satisfied.any()
    assert result.latent.abs().max() < 0.3 and torch.isinf(result.trace.loss).all()
    assert torch.allclose(result.score.loss, (result.latent - SOURCE).square().sum(1))


def test_a_start_that_meets_the_requirement_is_never_lost():
    start = nearest() + 0.01
    result = ls.AugmentedLagrangian(ls.RandomSearch()).search(
        PLANE, PROJECTION, init=start, seed=0, run=ls.Run(evaluations=30)
    )
    assert result.score.satisfied.all()
    assert (result.score.loss <= (start - SOURCE).square().sum(1) + 1e-6).all()


@settings(max_examples=10, deadline=None)
@given(some.integers(0, 2))
def test_each_problem_is_searched_as_if_it_were_alone(b):
    search, run = ls.AugmentedLagrangian(ls.GradientSearch(), rounds=3), ls.Run(evaluations=80)
    together = search.search(PLANE, PROJECTION, init=SOURCE, seed=[4, 5, 6], run=run)
    goal = PROJECTION.select(torch.tensor([b]))
    alone = search.search(PLANE, goal, init=SOURCE[b : b + 1], seed=[4 + b], run=run)
    assert torch.equal(alone.latent[0], together.latent[b]) and alone.score.loss[0] == together.score.loss[b]


def test_rounds_that_were_cut_off_go_on_to_the_same_answer(tmp_path):
    search = ls.AugmentedLagrangian(ls.GradientSearch(), rounds=3)
    whole = search.search(PLANE, PROJECTION, init=SOURCE, seed=1, run=ls.Run(evaluations=120))
    path = tmp_path / "rounds.safetensors"

    def stop(step: ls.Step) -> bool:
        return step.number >= 35

    run = ls.Run(evaluations=120, checkpoint=path, checkpoint_every=5)
    cut = search.search(
        PLANE, PROJECTION, init=SOURCE, seed=1,
        run=ls.Run(evaluations=120, checkpoint=path, checkpoint_every=5, callbacks=[stop]),
    )  # fmt: skip
    assert {status.name for status in cut.status} == {"INTERRUPTED"}
    resumed = search.search(PLANE, PROJECTION, init=SOURCE, seed=1, run=run)
    assert torch.equal(resumed.latent, whole.latent) and torch.equal(resumed.evaluations, whole.evaluations)


# -- nothing is lost, and nothing is claimed -----------------------------------------------------------


def best_met(seen: list[ls.Step], goal: ls.Goal) -> float:
    """The least loss of what steps proposed, among what met the requirements: one problem."""
    found = [torch.inf]
    for step in seen:
        loss, satisfied = goal(step.latent, step.latent)
        found += loss[satisfied].tolist()
    return min(found)


@pytest.mark.parametrize("evaluations", [60, 200, 450])
def test_the_best_that_met_the_requirement_is_kept_whichever_round_passed_it(evaluations):
    goal, seen = PROJECTION.select(torch.tensor([1])), []
    result = ls.AugmentedLagrangian(ls.GradientSearch(), rounds=3).search(
        PLANE, goal, init=SOURCE[1:2] + 3, seed=0, run=ls.Run(evaluations=evaluations, callbacks=[seen.append])
    )
    start = goal(SOURCE[1:2] + 3, SOURCE[1:2] + 3)
    least = min(best_met(seen, goal), float(start.loss) if bool(start.satisfied) else torch.inf)
    assert float(result.score.loss) <= least + 1e-5


def test_no_round_claims_a_proof_about_the_goal():
    """Each round of swaps is proved the lowest of its own sum; where all grids are decoded the proof is of the goal."""
    book = torch.tensor([[1.0, 0.0], [1.34, -0.15], [0.0, 0.07], [5.0, 3.0]])
    generator = ls.CodebookGenerator(lambda e: e.flatten(1), book, shape=(1,))
    goal = ls.Satisfies(lambda x: x[:, 0]).subject_to(ls.Satisfies(lambda x: x[:, 1]).below(0.0))
    start = torch.tensor([[2]])
    for rounds in (2, 3, 10):
        search = ls.AugmentedLagrangian(ls.ExhaustiveSearch(), rounds=rounds)
        result = search.search(generator, goal, init=start, seed=0)
        assert result.score.loss.tolist() == [1.0] and result.status[0] is ls.Status.OPTIMAL
        swaps = ls.AugmentedLagrangian(ls.CoordinateSearch(), rounds=rounds)
        assert swaps.search(generator, goal, init=start, seed=0).status[0] is not ls.Status.OPTIMAL
    # Where all grids are decoded, the search itself meets requirements, and proves it.
    proved = ls.search(generator, goal, init=start, seed=0)
    assert proved.score.loss.tolist() == [1.0] and proved.status[0] is ls.Status.OPTIMAL


class Breaking:
    """A decoder that raises at some call."""

    def __init__(self, at: int, error: type[BaseException]) -> None:
        self.at, self.error, self.calls = at, error, 0

    def __call__(self, z: Tensor) -> Tensor:
        self.calls += 1
        if self.calls == self.at:
            raise self.error("broken")
        return z


def broken_at(call: int, error: type[BaseException]) -> ls.SearchResult:
    generator = ls.ContinuousGenerator(Breaking(call, error), (3,), check=False)
    goal = PROJECTION.select(torch.tensor([0]))
    return ls.AugmentedLagrangian(ls.GradientSearch(), rounds=3).search(
        generator, goal, init=nearest()[:1] + 2, seed=0, run=ls.Run(evaluations=60)
    )


@pytest.mark.parametrize("call", [12, 16, 25, 32, 40, 41, 42])
def test_an_error_in_any_round_hands_over_the_best_that_met_the_requirement(call):
    goal, start = PROJECTION.select(torch.tensor([0])), nearest()[:1] + 2
    try:
        broken_at(call, RuntimeError)
    except ls.SearchFailed as failure:
        score = goal(failure.latent, failure.latent)
        assert score.satisfied.all() and torch.allclose(score.loss, failure.loss)
        assert float(score.loss) <= float(goal(start, start).loss)


@pytest.mark.parametrize("call", [12, 16, 25, 32, 40, 41, 42, 43])
def test_an_interrupt_anywhere_hands_over_the_best_and_ends_the_search(call):
    result = broken_at(call, KeyboardInterrupt)
    assert result.score.satisfied.all()
    if float(result.evaluations) < 55:
        assert result.status[0] is ls.Status.INTERRUPTED


def test_an_interrupt_while_a_stage_reports_ends_the_stages_to_come():
    for call in range(3, 40):
        decode = Breaking(call, KeyboardInterrupt)
        generator = ls.ContinuousGenerator(decode, (3,), check=False)
        both = ls.Then(ls.GradientSearch(), ls.GradientSearch())
        try:
            result = both.search(
                generator, ls.Near(SOURCE) + ls.Matches(SOURCE), init=SOURCE + 1, seed=0, run=ls.Run(evaluations=40)
            )
        except KeyboardInterrupt:
            continue  # before the first step there is nothing to hand over
        if decode.calls >= call and float(result.evaluations[0]) < 40:
            assert set(result.status) == {ls.Status.INTERRUPTED}, call


@pytest.mark.parametrize("limits", [{"steps": 300}, {"evaluations": None, "steps": 600}])
def test_rounds_share_steps_as_they_share_evaluations(limits):
    run = ls.Run(**({"evaluations": 10**6} | limits))
    result = ls.AugmentedLagrangian(ls.GradientSearch()).search(PLANE, PROJECTION, init=SOURCE, seed=0, run=run)
    assert result.score.satisfied.all() and len(result.trace.loss) == 10
    assert torch.allclose(result.latent, nearest(), atol=0.2)


@pytest.mark.parametrize("scale", [1e-6, 1e-3, 1.0, 1e4])
def test_the_unit_of_distance_does_not_matter(scale):
    goal = ls.Near(SOURCE, scale=scale).subject_to(at_least)
    result = ls.search(PLANE, goal, init=SOURCE, seed=0, run=ENOUGH)
    assert result.score.satisfied.all() and torch.allclose(result.latent, nearest(), atol=0.15)


def test_a_requirement_that_is_infinite_at_the_start_is_met():
    beyond = ls.Satisfies(lambda x: -x[:, 0].clamp(min=0).log(), name="beyond").below(0)
    result = ls.AugmentedLagrangian(ls.CMAESSearch()).search(
        PLANE,
        ls.Near(torch.zeros(1, 3)).subject_to(beyond),
        init=torch.full((1, 3), -0.5),
        seed=0,
        run=ls.Run(evaluations=3000),
    )
    assert result.score.satisfied.all() and float(result.score.loss) < 1.2


def test_settings_of_one_problem_each_go_with_the_problems_that_are_left():
    targets = torch.tensor([0.0, 3.0, 3.0])
    goal = ls.Satisfies(lambda x, t: (x.sum(1) - t).square(), targets=targets).below(1e-2)
    along = ls.AttributeVectorSearch(torch.stack([torch.ones(3), torch.ones(3), torch.zeros(3)]), steps=30)
    both = ls.Then(ls.Stage(ls.RandomSearch(batch=1), share=0.05), along)
    result = both.search(PLANE, goal, init=torch.zeros(3, 3), seed=0, run=ls.Run(evaluations=60))
    assert result.score.satisfied.tolist() == [True, True, False]


def test_settings_of_one_problem_each_go_with_the_problems_of_a_round():
    vectors = torch.tensor([[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]])
    axis = ls.Satisfies(lambda x, least: least - x.sum(1), targets=torch.tensor([0.1, 0.2, 50.0]), name="sum").below(0)
    search = ls.AugmentedLagrangian(ls.AttributeVectorSearch(vectors, steps=20), rounds=3)
    run = ls.Run(evaluations=200, stop_when_satisfied=True)
    goal = ls.Near(torch.zeros(3, 3)).subject_to(axis)
    result = search.search(PLANE, goal, init=torch.zeros(3, 3), seed=0, run=run)
    assert result.score.satisfied.tolist() == [True, True, False]
    assert (result.latent.abs() > 0).tolist() == [[True, False, False], [False, True, False], [False, False, True]]


def test_an_interrupt_while_the_answer_is_decoded_is_told():
    whole = Breaking(0, KeyboardInterrupt)
    goal, run = ls.Near(SOURCE) + ls.Matches(SOURCE), ls.Run(evaluations=10)
    for decode in (whole, None):
        decode = decode or Breaking(whole.calls, KeyboardInterrupt)
        generator = ls.ContinuousGenerator(decode, (3,), check=False)
        result = ls.GradientSearch().search(generator, goal, init=SOURCE, seed=0, run=run)
        expected = ls.Status.BUDGET if decode is whole else ls.Status.INTERRUPTED
        assert set(result.status) == {expected}


def test_a_threshold_that_the_rest_has_of_its_own_is_no_requirement_but_one_that_is_said_is():
    likely = ls.Classified(lambda x: torch.stack([x.sum(1), -x.sum(1)], 1), 0)
    goal = likely.subject_to(ls.Near(SOURCE).below(1.0))
    assert repr(goal) == "Classified subject to Near(3 problems) <= 1" and goal(SOURCE, SOURCE).satisfied.all()
    said = likely.below(0.1).subject_to(ls.Near(SOURCE).below(1.0))
    assert len(said.thresholds) == 2 and not said(SOURCE, SOURCE).satisfied.all()


def test_a_result_says_whether_it_is_satisfied():
    run = ls.Run(evaluations=5)
    text = repr(ls.search(PLANE, PROJECTION, init=SOURCE, seed=0, run=run))
    assert "BUDGET" in text.splitlines()[1] and "satisfied" not in text.splitlines()[1]
    assert "satisfied" in repr(ls.search(PLANE, PROJECTION, init=SOURCE, seed=0, run=ENOUGH)).splitlines()[1]


# -- refusals ----------------------------------------------------------------------------------------


def test_searches_that_know_nothing_of_requirements_name_what_does():
    with pytest.raises(ls.Unsupported, match=r"ls\.AugmentedLagrangian\(ls\.GradientSearch"):
        ls.GradientSearch().search(PLANE, PROJECTION, seed=0)
    with pytest.raises(ls.Unsupported, match="draws from a density"):
        ls.MALASearch().search(PLANE, PROJECTION, seed=0)
    with pytest.raises(ls.Unsupported, match="ImportanceResampling, which samples"):
        ls.AugmentedLagrangian(ls.ImportanceResampling()).search(PLANE, PROJECTION, seed=0)
    with pytest.raises(ls.InvalidArgument, match=r"a limit, .*goal \+ limit"):
        ls.Near(SOURCE).subject_to(ls.Within(SOURCE, 1.0))
    with pytest.raises(ls.InvalidArgument, match=r"the class Near.*make one"):
        ls.Near(SOURCE).subject_to(ls.Near)
    with pytest.raises(ls.Unsupported, match="without requirements"):
        ls.AugmentedLagrangian(ls.GradientSearch()).search(PLANE, ls.Near(SOURCE), seed=0)
    with pytest.raises(ls.Unsupported, match=r"PursuitSearch.*CoordinateSearch"):
        toy = toys.codes(problems=1)
        goal = toy.constraint.subject_to(toy.constraint.below(0.1))
        ls.AugmentedLagrangian(ls.PursuitSearch()).search(toy.generator, goal, seed=0)


@pytest.mark.parametrize(
    ("make", "match"),
    [
        (lambda: ls.AugmentedLagrangian(ls.GradientSearch), "write GradientSearch"),
        (
            lambda: ls.AugmentedLagrangian(ls.GradientSearch(), rounds=1),
            "rounds: got 1, expected a whole number of at least 2",
        ),
        (lambda: ls.AugmentedLagrangian(ls.GradientSearch(), growth=0.5), "growth: got 0.5"),
        (lambda: ls.Run(stop_when_satisfied="yes"), "stop_when_satisfied: got 'yes'"),
    ],
)
def test_bad_settings_are_named(make, match):
    with pytest.raises(ls.InvalidArgument, match=match):
        make()
