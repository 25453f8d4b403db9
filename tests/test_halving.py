"""Successive halving of starts: its plan, its descents, and what one start alone would miss."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from itertools import pairwise

import pytest
import torch
from torch import Tensor

import latentsearch as ls
from latentsearch.errors import SearchFailed
from latentsearch.priors import StandardNormal
from latentsearch.searchers.halving._plan import Plan, Rung, most_draws, planned
from latentsearch.searchers.halving._quasi_newton import QuasiNewton
from latentsearch.testing import toys

ADAM = partial(torch.optim.Adam, lr=0.1)
SETTINGS = (
    ls.HalvingSearch(),
    ls.HalvingSearch(ADAM),
    ls.HalvingSearch(starts=8, draws=8, reduction=2),
    ls.HalvingSearch(partial(torch.optim.SGD, lr=0.3, momentum=0.5), starts=4, draws=9),
)


def waves(problems: int = 1) -> tuple[ls.ContinuousGenerator, ls.Constraint]:
    """The identity, and a loss with a local minimum in every period, of which the one at the target is the lowest."""
    generator = ls.ContinuousGenerator(lambda z: z, (2,))

    def loss(x: Tensor, target: Tensor) -> Tensor:
        return (0.5 * (x - target).square() + 1 - (2 * torch.pi * (x - target)).cos()).sum(1)

    return generator, ls.Satisfies(loss, targets=torch.ones(problems, 2))


def rosenbrock() -> tuple[ls.ContinuousGenerator, ls.Constraint]:
    generator = ls.ContinuousGenerator(lambda z: z, (2,))
    return generator, ls.Satisfies(lambda x: (1 - x[:, 0]).square() + 100 * (x[:, 1] - x[:, 0].square()).square())


# -- the plan ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("budget", [1, 2, 3, 10, 50, 100, 300, 1000, 2000, 100_000])
@pytest.mark.parametrize("reduction", [2, 4])
@pytest.mark.parametrize("elements", [1, 64])
def test_a_plan_fits_its_budget_and_leaves_some_of_it_to_the_last_member(
    budget: int, reduction: int, elements: int
) -> None:
    plan = planned(budget, elements, None, None, reduction)
    early = plan.draws + sum(2 * rung.members * rung.steps for rung in plan.rungs)
    assert early <= budget and plan.rungs[-1] == Rung(1, 0) and plan.draws <= most_draws(None, None)
    assert budget < 100 or budget - early >= (0.6 if budget <= 25 * elements else 0.2) * budget
    members = [rung.members for rung in plan.rungs]
    assert members == sorted(members, reverse=True) and plan.draws >= members[0]


def test_members_by_step() -> None:
    plan = Plan(9, (Rung(4, 2), Rung(2, 1), Rung(1, 0)))
    assert [plan.members(step) for step in range(5)] == [4, 4, 2, 1, 1]


def test_more_budget_never_means_fewer_draws_or_starts() -> None:
    plans = [planned(budget, 20, None, None, 4) for budget in range(1, 3000)]
    for smaller, larger in pairwise(plans):
        assert smaller.draws <= larger.draws and smaller.rungs[0].members <= larger.rungs[0].members


# -- known optima ------------------------------------------------------------------------------------


@pytest.mark.parametrize("searcher", SETTINGS)
def test_it_finds_the_bottom_of_a_bowl(searcher: ls.HalvingSearch) -> None:
    toy = toys.bowl(problems=3)
    result = searcher.search(toy.generator, toy.constraint, seed=0, run=ls.Run(evaluations=600))
    assert (result.score.loss < 1e-5).all()


def test_a_curved_valley_is_followed_to_its_end() -> None:
    generator, goal = rosenbrock()
    result = ls.HalvingSearch().search(generator, goal, seed=0, run=ls.Run(evaluations=300))
    adam = ls.GradientSearch().search(generator, goal, seed=0, run=ls.Run(evaluations=300))
    assert result.score.loss < 1e-9 < adam.score.loss


def test_many_starts_find_what_one_misses() -> None:
    generator, goal = waves(problems=24)
    run = ls.Run(evaluations=400)
    one = ls.HalvingSearch(starts=1, draws=1).search(generator, goal, seed=0, run=run).score.loss
    many = ls.HalvingSearch().search(generator, goal, seed=0, run=run).score.loss
    assert (one < 1e-3).sum() <= 4 and (many < 1e-3).sum() >= 12 and many.mean() < one.mean() / 3


def test_the_scale_of_the_latents_is_read_off_the_prior() -> None:
    class Wide:
        space = ls.Continuous((3,))

        def __init__(self, scale: float) -> None:
            self.scale = scale

        def sample(self, noise: ls.Noise) -> Tensor:
            return self.scale * noise.normal(3)

        def log_prob(self, z: Tensor) -> Tensor:
            return -0.5 * (z / self.scale).square().sum(1)

    for scale in (1e-3, 1e3):
        generator = ls.ContinuousGenerator(lambda z, s=scale: (z / s).sin(), (3,), prior=Wide(scale))
        goal = ls.Matches(torch.tensor([[0.5, -0.5, 0.3]]))
        assert ls.HalvingSearch().search(generator, goal, seed=0, run=ls.Run(evaluations=200)).score.loss < 1e-9


# -- how it ends -------------------------------------------------------------------------------------


@pytest.mark.parametrize("searcher", [*SETTINGS, ls.AutoSearch()])
def test_without_a_budget_it_ends_by_itself(searcher: ls.Searcher) -> None:
    toy = toys.bowl(problems=3)
    result = searcher.search(toy.generator, toy.constraint, seed=0, run=ls.Run(evaluations=None))
    assert {status.name for status in result.status} <= {"STALLED", "FINISHED"}
    assert (result.score.loss < 1e-5).all() and (result.evaluations <= 4000).all()


def test_the_learning_rate_has_fallen_to_nothing_at_the_end_of_each_budget() -> None:
    toy = toys.bowl(problems=2)
    steps: list[ls.Step] = []
    run = ls.Run(evaluations=[100, 300], callbacks=[steps.append])
    ls.HalvingSearch(partial(torch.optim.SGD, lr=1e-3), starts=1).search(toy.generator, toy.constraint, seed=0, run=run)
    for problem in (0, 1):
        path = [s.latent[s.problem == problem] for s in steps if (s.problem == problem).any()][1:]
        moves = [float((b - a).norm()) for a, b in pairwise(path)]
        assert moves[-1] < 0.05 * moves[0]


def test_a_satisfied_problem_stops() -> None:
    toy = toys.bowl(problems=2)
    goal = toy.constraint.below(1e-3)
    result = ls.HalvingSearch().search(toy.generator, goal, seed=0)
    assert {status.name for status in result.status} == {"SATISFIED"} and (result.evaluations < 300).all()


# -- budgets, rows, files ----------------------------------------------------------------------------


@pytest.mark.parametrize("searcher", [*SETTINGS, ls.HalvingSearch(restarts=3)])
@pytest.mark.parametrize("budget", [50, 101, 300])
def test_budgets_are_spent_to_the_last_step(searcher: ls.HalvingSearch, budget: int) -> None:
    toy = toys.bowl(problems=2)
    searcher = replace(searcher, patience=None)
    result = searcher.search(toy.generator, toy.constraint, seed=0, run=ls.Run(evaluations=budget))
    # A problem may keep what pays for no step of all its restarts.
    left = budget - result.evaluations
    assert (left >= 0).all() and (
        left < 2 * searcher.restarts + searcher.restarts * (searcher.optimizer is not None) * 2
    ).all()


@pytest.mark.parametrize("searcher", SETTINGS)
@pytest.mark.parametrize("kill_at", [1, 3, 14])
def test_resumed_on_any_rung_it_ends_as_uninterrupted(searcher: ls.HalvingSearch, kill_at: int, tmp_path) -> None:
    toy = toys.bowl(problems=2)
    run = ls.Run(evaluations=120)

    def kill(step: ls.Step) -> None:
        if step.number == kill_at:
            raise RuntimeError

    whole = searcher.search(toy.generator, toy.constraint, seed=0, run=run)
    saved = replace(run, checkpoint=tmp_path / "search.safetensors", checkpoint_every=1)
    with pytest.raises(SearchFailed):
        searcher.search(toy.generator, toy.constraint, seed=0, run=replace(saved, callbacks=[kill]))
    resumed = searcher.search(toy.generator, toy.constraint, seed=0, run=saved)
    assert torch.equal(whole.latent, resumed.latent) and torch.equal(whole.trace.loss, resumed.trace.loss)
    assert torch.equal(whole.evaluations, resumed.evaluations) and whole.status == resumed.status


def test_the_smallest_budget_decides_the_starts_and_each_problem_spends_its_own() -> None:
    toy = toys.bowl(problems=3)
    run = ls.Run(evaluations=[40, 300, 120])
    result = ls.HalvingSearch(patience=None).search(toy.generator, toy.constraint, seed=0, run=run)
    assert (torch.tensor([40, 300, 120]) - result.evaluations < 2).all()


def test_a_good_init_is_kept() -> None:
    generator, goal = waves()
    result = ls.HalvingSearch().search(generator, goal, init=torch.ones(1, 2), seed=0, run=ls.Run(evaluations=7))
    assert result.score.loss == 0


def test_a_trial_that_is_no_number_is_a_trial_too_far() -> None:
    generator = ls.ContinuousGenerator(lambda z: z, (1,))
    goal = ls.Satisfies(lambda x: torch.where(x[:, 0] < 0.5, (x[:, 0] - 0.49).square(), torch.nan))
    for searcher in SETTINGS[:1]:
        result = searcher.search(generator, goal, init=torch.full((1, 1), -3.0), seed=0)
        assert result.score.loss < 1e-6 and result.status[0] == ls.Status.STALLED


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
@pytest.mark.parametrize("searcher", [*SETTINGS[:2], ls.GradientSearch(), ls.AutoSearch()])
def test_half_precision_is_searched(searcher: ls.Searcher, dtype: torch.dtype) -> None:
    toy = toys.bowl(dtype=dtype)
    result = searcher.search(toy.generator, toy.constraint, seed=0, run=ls.Run(evaluations=300))
    assert (result.score.loss < 1e-3).all() and ls.Status.NONFINITE not in result.status
    assert result.latent.dtype == dtype


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("unit", [1e-3, 1.0, 1e3])
def test_an_optimum_whose_loss_is_exactly_0_is_walked_up_to(unit: float, dtype: torch.dtype) -> None:
    prior = StandardNormal((4,), dtype)
    for number, decode in enumerate((lambda z: unit * z, lambda z: unit * z.cumsum(1), lambda z: unit * z**3)):
        generator = ls.ContinuousGenerator(decode, (4,), prior=prior, dtype=dtype)
        goal = ls.Matches(torch.zeros(6, 4, dtype=dtype))
        result = ls.HalvingSearch().search(generator, goal, seed=0, run=ls.Run(evaluations=1000))
        assert set(result.status) <= {ls.Status.STALLED, ls.Status.BUDGET}, number
        assert (result.score.loss < 1e-12 * unit**2).all()


# -- L-BFGS ------------------------------------------------------------------------------------------


def test_a_quadratic_of_few_elements_is_solved_in_few_steps_and_members_do_not_mix() -> None:
    noise = ls.Noise.from_seed(0, 2)
    root = noise.normal(6, 6, dtype=torch.float64)
    curvature = root @ root.mT + 0.1 * torch.eye(6, dtype=torch.float64)
    start = noise.fold(1).normal(3, 6, dtype=torch.float64)

    def descended(rows: slice, members: slice) -> QuasiNewton:
        held = QuasiNewton.at(start[rows, members], torch.full((len(start[rows]),), 0.1, dtype=torch.float64))
        for _ in range(60):
            z = held.next_points()
            gradient = z @ curvature[rows]
            held = held.advanced(z, (z * gradient).sum(-1) / 2, gradient, torch.ones(len(z)))
        return held

    together = descended(slice(0, 2), slice(0, 3))
    assert (together.loss < 1e-12).all()
    for row in (0, 1):
        for member in (0, 1, 2):
            alone = descended(slice(row, row + 1), slice(member, member + 1))
            assert alone.loss[0, 0] < 1e-12


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"starts": 0}, "HalvingSearch.starts: got 0"),
        ({"draws": 3, "starts": 4}, "HalvingSearch.starts: got 4, expected at most as many as draws, 3"),
        ({"reduction": 1}, "HalvingSearch.reduction: got 1"),
        ({"patience": 0}, "HalvingSearch.patience: got 0"),
    ],
)
def test_settings_that_cannot_work_are_refused(settings: dict[str, int], message: str) -> None:
    with pytest.raises(ls.InvalidArgument, match=message):
        ls.HalvingSearch(**settings)  # type: ignore[arg-type]
