"""Langevin chains: they sample what they should, adapt their step size, and find good latents."""

from __future__ import annotations

import itertools

import pytest
import torch
from torch import Tensor

import latentsearch as ls
from latentsearch.noise import Noise
from latentsearch.objective import Ledger, Objective
from latentsearch.searchers.langevin._discrete_langevin import DiscreteLangevinKernel
from latentsearch.searchers.langevin._mala import MALAKernel
from latentsearch.searchers.langevin._metropolis import Kernel, Point, StepState, metropolis_hastings
from latentsearch.searchers.langevin.langevin import LangevinState
from latentsearch.testing import toys

DOUBLE = torch.float64
BETA = 8.0


class CodePenalty(ls.Constraint):
    """A penalty for each code at each position: a term that reads the latent alone."""

    reads = "latent"
    PENALTIES = torch.tensor([[0.0, 0.3, 0.1, 0.25], [0.2, 0.0, 0.3, 0.1]], dtype=DOUBLE)

    def __call__(self, output: Tensor, latent: Tensor) -> ls.Score:
        if not latent.is_floating_point():
            latent = torch.nn.functional.one_hot(latent, 4).to(DOUBLE)
        loss = (latent * self.PENALTIES).sum((1, 2))
        return ls.Score(loss)


def step_state(rows: int, log_step: float, curvature: float = 0.0, error: float = 0.0, beta: float = BETA) -> StepState:
    fit = torch.tensor([curvature, 1.0, error**2, 1.0], dtype=DOUBLE).expand(rows, 4)
    return StepState(torch.full((rows,), beta, dtype=DOUBLE), torch.full((rows,), log_step, dtype=DOUBLE), fit)


def chains(
    kernel: Kernel, toy: toys.Toy, constraint: ls.Constraint, step: StepState, steps: int
) -> tuple[Tensor, float]:
    """Where many chains with a fixed step size end, and the share of the last proposals that was accepted."""
    rows = len(step.beta)
    objective = Objective(toy.generator, constraint, ls.Run(), Ledger(1, rows))
    noise = Noise.from_seed(3, rows)
    point = kernel.at(objective, toy.generator.prior.sample(noise))[1]
    acceptance = torch.zeros(())
    for t in range(steps):
        move = metropolis_hastings(kernel, objective, point, step, noise.fold(t + 1))
        point, acceptance = move.point, move.acceptance
    return point.z, float(acceptance.mean())


GRIDS = torch.tensor(list(itertools.product(range(4), repeat=2)))


@pytest.mark.parametrize("penalised", [False, True])
@pytest.mark.parametrize(("log_step", "curvature", "error"), [(-3.0, 0.0, 0.0), (-1.0, 0.5, 0.1), (1.0, 2.0, 0.0)])
def test_discrete_langevin_samples_the_boltzmann_distribution(log_step, curvature, error, penalised):
    toy = toys.codes(1, (2,), 4, dtype=DOUBLE)
    constraint = toy.constraint + CodePenalty() if penalised else toy.constraint
    loss = constraint(toy.generator.decode(GRIDS), GRIDS).loss
    expected = (-BETA * loss).softmax(0)
    rows = 6000
    z, _ = chains(DiscreteLangevinKernel(), toy, constraint, step_state(rows, log_step, curvature, error), steps=60)
    counts = torch.bincount(z @ torch.tensor([4, 1]), minlength=16)
    # Chi-square with 15 degrees of freedom: above 45 once in 10,000 times, and the seed is fixed.
    assert float(((counts - rows * expected).square() / (rows * expected)).sum()) < 45


def proposals(log_step: float, shape: tuple[int, ...] = (2,), codes: int = 4):
    toy = toys.codes(1, shape, codes, dtype=DOUBLE)
    rows = codes ** len(GRIDS[0])
    objective = Objective(toy.generator, toy.constraint, ls.Run(), Ledger(1, rows))
    start = torch.tensor([1, 2]).expand(rows, 2)
    kernel = DiscreteLangevinKernel()
    return kernel.proposal(objective, kernel.at(objective, start)[1], step_state(rows, log_step, 0.5))


@pytest.mark.parametrize("log_step", [-60.0, -8.0, 0.0, 5.0])
def test_proposals_on_codes_sum_to_one_over_all_grids_but_the_present_one(log_step):
    elsewhere = (torch.tensor([1, 2]) != GRIDS).any(1)
    total = proposals(log_step).log_prob(GRIDS)[elsewhere].exp().sum()
    assert float(total) == pytest.approx(1.0, abs=1e-6)


def test_proposals_on_codes_are_drawn_with_the_probabilities_that_they_state():
    proposal, draws = proposals(-0.5), []
    for t in range(600):
        draws.append(proposal.sample(Noise.from_seed(t, 16)))
    counts = torch.bincount(torch.cat(draws) @ torch.tensor([4, 1]), minlength=16)
    expected = proposal.log_prob(GRIDS).exp() * counts.sum()
    present = 1 * 4 + 2
    assert counts[present] == 0
    counts[present] = expected[present] = 1
    assert float(((counts - expected).square() / expected).sum()) < 45


def test_tiny_steps_change_one_code():
    proposal = proposals(-60.0)
    changed = (proposal.sample(Noise.from_seed(0, 16)) != torch.tensor([1, 2])).sum(1)
    assert changed.tolist() == [1] * 16
    assert not bool(proposal.reducible.any())


@pytest.mark.parametrize("log_step", [-2.0, -1.25])
def test_mala_samples_the_boltzmann_distribution(log_step):
    toy = toys.bowl(1, (1,), dtype=DOUBLE)
    line = torch.linspace(-6, 6, 4001, dtype=DOUBLE)[:, None]
    density = (-BETA * toy.constraint(toy.generator.decode(line), line).loss).softmax(0)
    rows = 4000
    z, acceptance = chains(MALAKernel(), toy, toy.constraint, step_state(rows, log_step), steps=100)
    assert 0.1 < acceptance < 1
    # Kolmogorov-Smirnov: sqrt(n) times the distance is above 2.2 once in 10,000 times.
    below = torch.searchsorted(z[:, 0].sort().values, line[:, 0].contiguous()) / rows
    assert float((below - density.cumsum(0)).abs().max()) < 2.2 / rows**0.5


def states(search: ls.LangevinSearch, toy: toys.Toy, init: Tensor | None = None) -> list[LangevinState]:
    """The state after every step."""
    found: list[LangevinState] = []
    run = ls.Run(evaluations=None, callbacks=[lambda step: found.append(step.state)])
    search.search(toy.generator, toy.constraint, init=init, seed=0, run=run)
    return found


@pytest.mark.parametrize(
    ("toy", "everything"),
    [
        (toys.codes(1, (3,), 4), torch.cartesian_prod(*[torch.arange(4)] * 3)),
        (toys.bowl(1, (1,)), torch.linspace(-7, 7, 1001)[:, None]),
    ],
    ids=["codes", "continuous"],
)
def test_a_search_at_one_temperature_has_the_mean_loss_of_that_temperature(toy, everything):
    """Adaptation and all: the step size settles, so what it disturbs stays small."""
    search = ls.LangevinSearch(steps=400, temperature=(0.3, 0.3), restarts=100)
    seen = states(search, toy)[200:]
    loss = toy.constraint(toy.generator.decode(everything), everything).loss
    # Every restart measures its own temperature where it begins.
    expected = ((-seen[-1].step.beta[:, None] * loss).softmax(1) @ loss).mean()
    found = torch.stack([state.point.loss for state in seen]).mean()
    assert float(found) == pytest.approx(float(expected), rel=0.1)


def test_the_step_size_finds_the_acceptance_asked_for():
    search = ls.LangevinSearch(steps=400, temperature=(0.1, 0.1), restarts=50)
    places = [state.point.z for state in states(search, toys.bowl(1, (6,)))[200:]]
    moved = torch.stack([(before != after).any(1).float().mean() for before, after in itertools.pairwise(places)])
    assert float(moved.mean()) == pytest.approx(0.574, abs=0.05)


def test_scales_of_loss_and_latent_change_nothing():
    """The temperature is measured in the loss itself, the step in the codebook's own distances."""
    toy = toys.codes(3, dtype=DOUBLE)
    search, run = ls.LangevinSearch(steps=30), ls.Run()
    plain = search.search(toy.generator, toy.constraint, seed=4, run=run)
    scaled = search.search(toy.generator, 2.0**20 * toy.constraint, seed=4, run=run)
    assert torch.equal(plain.latent, scaled.latent)
    assert torch.equal(plain.trace.loss * 2**20, scaled.trace.loss)


@pytest.mark.parametrize("budget", [2, 7, 40])
def test_the_schedule_spends_the_whole_budget(budget):
    toy = toys.codes(2)
    result = ls.LangevinSearch().search(toy.generator, toy.constraint, seed=0, run=ls.Run(evaluations=budget))
    assert set(result.status) == {ls.Status.FINISHED}
    assert result.evaluations.tolist() == [budget // 2 * 2] * 2
    mixed = ls.LangevinSearch().search(
        toy.generator, toy.constraint, seed=0, run=ls.Run(evaluations=[budget, budget + 8])
    )
    assert torch.equal(mixed.latent[0], result.latent[0])
    assert mixed.evaluations.tolist() == [budget // 2 * 2, budget // 2 * 2 + 8]


class Cliff(ls.Constraint):
    """Infinite beyond a wall, a bowl before it."""

    def __call__(self, output: Tensor, latent: Tensor) -> ls.Score:
        loss = output.square().flatten(1).sum(1)
        loss = torch.where(output.flatten(1).amax(1) > 0.5, torch.inf, loss)
        return ls.Score(loss)


@pytest.mark.parametrize("toy", [toys.codes(1), toys.bowl(1)], ids=["codes", "continuous"])
def test_a_wall_of_infinite_loss_is_never_entered(toy):
    # Output 0 or less: before the wall.
    init = torch.full_like(toy.solution, 0 if toy.solution.dtype == torch.int64 else -1)
    points: list[Point] = []
    result = ls.LangevinSearch(steps=60, temperature=(5.0, 5.0)).search(
        toy.generator,
        Cliff(),
        init=init,
        seed=0,
        run=ls.Run(callbacks=[lambda s: points.append(s.state.point)]),
    )
    assert result.status[0] is ls.Status.FINISHED
    assert all(bool(point.loss.isfinite().all()) for point in points)


@pytest.mark.parametrize("scale", [0.0, 1e-30, 1e20])
def test_a_loss_that_is_flat_or_of_any_scale_is_walked(scale):
    toy = toys.bowl()
    run = ls.Run(evaluations=60)
    result = ls.LangevinSearch().search(toy.generator, scale * toy.constraint, seed=0, run=run)
    assert {status.name for status in result.status} == {"FINISHED"}
    assert result.latent.isfinite().all()
