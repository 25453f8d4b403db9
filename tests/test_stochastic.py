"""Terms that draw: from the noise of their problem, which a search hands them once."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

import latentsearch as ls
from latentsearch.errors import BrokenLaw, InvalidArgument
from latentsearch.noise import Noise, problem_seeds
from latentsearch.testing import TestProblem, check_constraint, check_searcher, toys

CODES, BOWL = toys.codes(), toys.bowl()
TARGETS = CODES.generator.decode(CODES.solution)


def blurred(x: Tensor, noise: Noise) -> Tensor:
    """The mean over four draws of how far outputs with noise on them are from 0.3."""
    e = noise.normal(4, *x.shape[1:], dtype=x.dtype)
    return (x[:, None] + 0.5 * e - 0.3).square().flatten(1).mean(1)


def near(x: Tensor, target: Tensor, noise: Noise) -> Tensor:
    e = noise.normal(4, *x.shape[1:], dtype=x.dtype)
    return (x[:, None] + 0.2 * e - target[:, None]).square().flatten(1).mean(1)


BLURRED = ls.Satisfies(blurred, stochastic=True)
NEAR = ls.Satisfies(near, targets=TARGETS, stochastic=True)
OTHER = Noise.from_seed(5, len(TARGETS))


@pytest.mark.parametrize("goal", [BLURRED, NEAR, NEAR + 0.5 * BLURRED, NEAR.below(0.1)])
def test_the_laws_of_constraints_hold(goal: Any) -> None:
    check_constraint(goal, CODES.generator)


def test_a_rule_that_shares_its_draws_among_rows_breaks_them() -> None:
    def shared(x: Tensor, noise: Noise) -> Tensor:
        return (x - noise[:1].normal(*x.shape[1:], dtype=x.dtype)).square().flatten(1).mean(1)

    with pytest.raises(BrokenLaw, match="select"):
        check_constraint(ls.Satisfies(shared, stochastic=True), CODES.generator)


@pytest.mark.parametrize(
    "searcher",
    [
        ls.CoordinateSearch(restarts=2, batch=4),
        ls.EvolutionSearch(),
        ls.Then(ls.Stage(ls.RandomSearch(), share=0.3), ls.CoordinateSearch(batch=4)),
    ],
    ids=lambda searcher: type(searcher).__name__,
)
def test_the_laws_of_searchers_hold(searcher: Any) -> None:
    check_searcher(searcher, on=TestProblem(CODES.generator, NEAR))


def test_rows_of_a_problem_share_their_draws_and_problems_do_not() -> None:
    goal = NEAR.with_noise(OTHER)
    z = CODES.solution[:1].expand(len(TARGETS), *CODES.solution.shape[1:])
    x = CODES.generator.decode(z)
    first = goal.select(torch.zeros(len(z), dtype=torch.int64))(x, z).loss
    assert bool((first == first[0]).all())
    alike = ls.Satisfies(near, targets=TARGETS[:1], stochastic=True).with_noise(OTHER)
    assert len(set(alike(x, z).loss.tolist())) == len(z)


def test_an_answer_scores_as_its_goal_with_the_same_noise() -> None:
    goal = (NEAR + 0.1 * BLURRED).goal.with_noise(OTHER)
    result = ls.CoordinateSearch().search(CODES.generator, goal, seed=0)
    assert torch.equal(result.score.loss, goal(result.output, result.latent).loss)
    # Terms that have noise keep it; the goal as it was takes other noise.
    assert goal.with_noise(Noise.from_seed(9, goal.problems)).constraints == goal.constraints
    again = (NEAR + 0.1 * BLURRED).goal.with_noise(Noise.from_seed(9, goal.problems))
    assert bool((again(result.output, result.latent).loss != result.score.loss).all())


def test_two_terms_draw_different_noise() -> None:
    one, other = (NEAR + NEAR).goal.with_noise(OTHER).constraints
    z = CODES.solution
    assert bool((one(TARGETS, z).loss != other(TARGETS, z).loss).all())


def test_seeds_decide_and_a_problem_alone_is_as_among_others() -> None:
    seeds = problem_seeds(3, len(TARGETS))
    together = ls.CoordinateSearch().search(CODES.generator, NEAR, seed=seeds)
    for b in range(len(TARGETS)):
        part = NEAR.select(torch.tensor([b]))
        alone = ls.CoordinateSearch().search(CODES.generator, part, seed=[seeds[b]])
        assert torch.equal(alone.score.loss, together.score.loss[b : b + 1])
    other = ls.CoordinateSearch().search(CODES.generator, NEAR, seed=4)
    assert bool((other.score.loss != together.score.loss).all())


def test_stages_go_by_the_same_draws() -> None:
    first = ls.CoordinateSearch().search(CODES.generator, NEAR, seed=2)
    both = ls.Then(ls.Stage(ls.CoordinateSearch()), ls.EvolutionSearch()).search(
        CODES.generator, NEAR, seed=2, run=ls.Run(evaluations=400)
    )
    # A later stage with draws of its own could end below the optimum of the first, or above.
    best = ls.ExhaustiveSearch().search(CODES.generator, NEAR, seed=2, run=ls.Run(evaluations=None))
    assert bool((both.score.loss >= best.score.loss - 1e-12).all())
    assert bool((first.score.loss >= best.score.loss - 1e-12).all())
    assert torch.allclose(both.trace.loss[-1], both.score.loss)


def test_a_search_goes_on_with_the_draws_it_began_with(tmp_path: Path) -> None:
    goal = ls.Satisfies(blurred, stochastic=True)
    searcher, path = ls.GradientSearch(), tmp_path / "search.ckpt"
    whole = searcher.search(BOWL.generator, goal, seed=0, run=ls.Run(steps=20))
    searcher.search(BOWL.generator, goal, seed=0, run=ls.Run(steps=7, checkpoint=path, checkpoint_every=1))
    resumed = searcher.search(BOWL.generator, goal, seed=0, run=ls.Run(steps=20, checkpoint=path))
    assert torch.equal(resumed.latent, whole.latent) and torch.equal(resumed.score.loss, whole.score.loss)


def test_more_draws_are_nearer_to_the_mean_over_all() -> None:
    # E (x + e - t)^2 is least at t; the mean of n draws is least about 1/sqrt(n) from there.
    def rule(draws: int) -> ls.Satisfies:
        def loss(x: Tensor, noise: Noise) -> Tensor:
            return (x[:, None] + noise.normal(draws, *x.shape[1:], dtype=x.dtype) - 0.3).square().flatten(1).mean(1)

        return ls.Satisfies(loss, stochastic=True)

    generator = ls.ContinuousGenerator(lambda z: z, (50,), dtype=torch.float64, device="cpu")
    off = []
    for draws in (1, 100):
        result = ls.GradientSearch().search(generator, rule(draws), seed=0, run=ls.Run(steps=400))
        off.append(float((result.latent - 0.3).square().mean().sqrt()))
    assert 0.7 < off[0] < 1.4 and 0.07 < off[1] < 0.14


# -- mistakes ----------------------------------------------------------------------------------------


def test_by_hand_it_asks_for_noise() -> None:
    with pytest.raises(InvalidArgument, match=r"Satisfies\(blurred\): got no noise to draw from.*goal.with_noise"):
        BLURRED(TARGETS, CODES.solution)


def test_a_rule_that_draws_by_itself_is_told_how() -> None:
    def random_crops(x: Tensor) -> Tensor:
        return x.flatten(1).mean(1) + torch.rand(len(x), dtype=x.dtype)

    with pytest.raises(InvalidArgument, match=r"another loss for the same outputs.*stochastic=True"):
        ls.CoordinateSearch().search(CODES.generator, ls.Satisfies(random_crops), seed=0)
    # Noise is handed to it, and it draws from elsewhere all the same.
    taken = ls.Satisfies(lambda x, noise: random_crops(x), stochastic=True)
    with pytest.raises(InvalidArgument, match="another loss for the same outputs"):
        ls.CoordinateSearch().search(CODES.generator, taken, seed=0)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: ls.Satisfies(blurred, stochastic=1), "Satisfies.stochastic: got 1, expected True or False"),
        (lambda: BLURRED.with_noise(0), r"with_noise: got 0, expected a Noise; Noise.from_seed"),
        (lambda: NEAR.with_noise(Noise.from_seed(0, 7)), "targets for 2 problems and noise for 7 problems"),
        (lambda: NEAR.goal.with_noise(Noise.from_seed(0, 7)), "noise of 7 rows, expected one for each of 2 problems"),
        (lambda: OTHER[0], r"Noise.keys: got an int64 tensor of shape \(\) .* one row is noise\[:1\]"),
    ],
)
def test_wrong_noise_is_named(make: Any, message: str) -> None:
    with pytest.raises(InvalidArgument, match=message):
        make()


def of_one_seed(x: Tensor) -> Tensor:
    drawn = torch.rand(x.shape, generator=torch.Generator().manual_seed(0), dtype=x.dtype)
    return (x + drawn).square().flatten(1).mean(1)


RULES: dict[str, tuple[Any, str]] = {
    "takes no noise": (
        ls.Satisfies(lambda x: x.sum(1), stochastic=True),
        "takes 1 positional.*outputs and noise; leave stochastic=True out, or take the noise, last",
    ),
    "takes noise unsaid": (ls.Satisfies(blurred), r"missing 1 .*'noise'.*; what draws says stochastic=True"),
    "takes nothing": (ls.Satisfies(lambda: 1), "takes 0 positional arguments but 1 was given, expected one that takes"),
    # Of a small unit noise is as large beside the losses.
    "draws in a small unit": (
        ls.Satisfies(lambda x: 1e-5 * torch.rand(len(x))),
        r"second call.*Satisfies\(..., stochastic=True\)",
    ),
    "mixes rows in a small unit": (
        ls.Satisfies(lambda x: 1e-6 * (x - x.mean(0)).square().flatten(1).mean(1)),
        "whose row n depends on row n alone",
    ),
    "draws for all rows": (ls.Satisfies(of_one_seed), r"row n alone.*draws for all rows from one seed take the noise"),
}


@pytest.mark.parametrize(("rule", "message"), RULES.values(), ids=RULES)
def test_a_rule_that_draws_otherwise_is_told_how(rule: ls.Satisfies, message: str) -> None:
    with pytest.raises(InvalidArgument, match=message):
        ls.EvolutionSearch().search(CODES.generator, rule, seed=0)


def test_rounding_is_no_draw() -> None:
    rule = ls.Satisfies(lambda x: 1e-9 * x.square().flatten(1).mean(1))
    assert bool(ls.EvolutionSearch().search(CODES.generator, rule, seed=0).score.loss.isfinite().all())


def test_every_kind_of_goal_is_a_goal_that_draws() -> None:
    goal = ls.Matches(TARGETS).goal
    assert not goal.needs_noise and goal.with_noise(OTHER).constraints == goal.constraints
    assert (goal + BLURRED).needs_noise and not (goal + BLURRED.with_noise(OTHER)).needs_noise
    assert isinstance(BLURRED, ls.Stochastic) and not isinstance(ls.Matches(TARGETS), ls.Stochastic)
    chosen = ls.search(CODES.generator, NEAR.below(0.5) + ls.LogPrior(CODES.generator.prior), seed=0)
    assert bool(chosen.score.loss.isfinite().all())
