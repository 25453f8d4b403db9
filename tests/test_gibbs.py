"""GibbsSearch against posteriors of which every probability is known."""

from __future__ import annotations

import dataclasses
import itertools
import re
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

import latentsearch as ls
from latentsearch.errors import BrokenFile
from latentsearch.loop import RowOptimizer
from latentsearch.noise import Noise
from latentsearch.objective import ChargedPrior, Ledger, Objective
from latentsearch.priors import HistogramPrior
from latentsearch.result import Status
from latentsearch.searchers.gibbs._blocks import blocks, largest
from latentsearch.searchers.gibbs._choice import distinct, log_ways
from latentsearch.searchers.gibbs._refill import STEPS, Refill, descend, drawn, masked
from latentsearch.searchers.gibbs._turns import turn
from latentsearch.searchers.relaxed import RelaxedSearch
from latentsearch.testing import toys
from latentsearch.testing._statistics import FALSE_ALARM, chance_of_counts

FREE = ls.Run(evaluations=None)


def two_sided(shape: tuple[int, int], size: int, cost: float = 0.0) -> tuple[toys.CodeGenerator, ls.constraints.Goal]:
    """What is measured is the size of a random projection and not its sign; all grids are as likely as they happen."""
    positions = shape[0] * shape[1]
    prior = toys.ListedPrior(Noise.from_seed(0).normal(*(size,) * positions)[0], shape, cost)
    weights = Noise.from_seed(1).normal(positions)[0]
    goal = ls.Observed(torch.tensor([[0.45]]), lambda x: ((x.flatten(1) - 0.5) @ weights).abs()[:, None], noise=0.3)
    return toys.CodeGenerator(shape, size), goal + ls.LogPrior(prior)


def posterior(generator: toys.CodeGenerator, goal: ls.constraints.Goal) -> tuple[Tensor, Tensor]:
    """All grids, and their probabilities."""
    grids = goal.prior.grids
    return grids, (-goal(generator.decode(grids), grids).loss.double()).softmax(0)


def counts(z: Tensor, size: int) -> Tensor:
    """How often each grid was drawn."""
    powers = size ** torch.arange(z[0].numel() - 1, -1, -1)
    return (z.flatten(1) * powers).sum(1).bincount(minlength=size ** z[0].numel())


@pytest.mark.parametrize(("trust", "cost"), [(0.0, 0.0), (0.3, 0.25)])
def test_answers_are_drawn_from_the_posterior(trust: float, cost: float) -> None:
    generator, goal = two_sided((2, 2), 4, cost)
    method = ls.GibbsSearch(
        explore=0, reveals=0, probes=4, trust=trust, candidates=2, spacing=2, sweeps=20, refills=1, restarts=1500
    )
    result = method.search(generator, goal, seed=1, run=FREE)
    chance = chance_of_counts(counts(result.candidates.latent[0], 4).double(), posterior(generator, goal)[1])
    assert chance > FALSE_ALARM
    # The expansion, the first loss, and of each position the candidates, a pass, and a slope if it is trusted.
    each = 2 + cost + 2 * bool(trust)
    # A refill takes a pass, its descent, the loss of what was drawn and another expansion.
    refill = cost + 2 * STEPS + 1 + 2 + 4
    assert float(result.evaluations[0]) == 1500 * (2 + 4 + 1 + 20 * 4 * each + refill)


def test_refills_come_after_the_first_sweeps_and_never_last() -> None:
    turns = [turn(number, 3, 2) for number in range(2 * (3 + STEPS + 1) + 7)]
    swept = [number for number, now in enumerate(turns) if now.block is not None]
    assert [turns[number].block for number in swept] == [0, 1, 2] * 4 + [0]
    assert [turns[number].sweep for number in swept] == [0] * 3 + [1] * 3 + [2] * 3 + [3] * 3 + [4]
    assert [now.step for now in turns if now.block is None] == [*range(STEPS + 1)] * 2


def test_a_code_that_the_prior_does_not_believe_is_drawn_anew() -> None:
    # Two codes at each of nine positions, all alike by the prior; one stands out, and the outputs tell next to nothing.
    logs = torch.full((2,) * 9, -20.0)
    logs[(0,) * 9] = logs[(1,) * 9] = 0.0
    prior, generator = toys.ListedPrior(logs, (3, 3)), toys.CodeGenerator((3, 3), 2)
    goal = ls.Observed(torch.zeros(20, 1), lambda x: x.flatten(1).mean(1, keepdim=True), noise=9.0) + ls.LogPrior(prior)
    odd = torch.ones(20, 3, 3, dtype=torch.int64)
    odd[:, 1, 1] = 0
    kept = []

    class Watched(ls.GibbsSearch):
        def step(self, objective: Any, state: Any, noise: Noise) -> Any:
            state, draw = super().step(objective, state, noise)
            kept.append(state.refill.kept.clone())
            return state, draw

    method = Watched(explore=0, reveals=0, sweeps=2, refills=1, temperature=(0.0, 0.0), spacing=3, candidates=1)
    result = method.search(generator, goal, seed=0, init=odd, run=FREE)
    masked = [each for each in kept if not each.all()]
    assert len(masked) > STEPS and bool((masked[0].flatten(1).sum(1) == 6).all())
    assert bool((goal.prior.log_prob(result.latent) > -2).all())


def test_no_more_is_spent_than_is_given_and_little_is_left() -> None:
    generator, goal = two_sided((2, 2), 4, 0.25)
    for method in (ls.GibbsSearch(probes=4, reveals=2, explore=30), ls.GibbsSearch(explore=0, reveals=0, refills=2)):
        for budget in (150, 300, 600, 1200):
            spent = float(method.search(generator, goal, seed=0, run=ls.Run(evaluations=budget)).evaluations[0])
            assert budget - 110 < spent <= budget


@pytest.mark.parametrize("count", [1, 2, 3, 4])
def test_sets_of_codes_come_together_as_often_as_is_said(count: int) -> None:
    proposal = torch.tensor([0.5, 0.25, 0.15, 0.1, 0.0]).double().log()[None]
    rows = Noise.from_seed(3, 1).split(4000)
    for present in range(5):
        own = torch.full((4000, 1), present)
        drawn = distinct(proposal.expand(4000, 1, 5), own, count, rows.fold(present))[:, 0]
        assert not (drawn == present).any() and all(len(set(row)) == count for row in drawn[:50].tolist())
        sets = list(itertools.combinations([code for code in range(5) if code != present], count))
        ways = [log_ways(proposal, torch.tensor([[present, *others]]))[0, 0].exp() for others in sets]
        chances = torch.stack(ways)
        assert float(chances.sum()) == pytest.approx(1)
        found = torch.tensor([(drawn.sort(1).values == torch.tensor(others)).all(1).sum() for others in sets])
        assert chance_of_counts(found.double(), chances) > FALSE_ALARM


def test_a_start_by_relaxation_and_evidence_is_forgotten() -> None:
    generator, goal = two_sided((2, 2), 3)
    method = ls.GibbsSearch(explore=20, reveals=2, probes=2, spacing=2, sweeps=40, restarts=2000)
    result = method.search(generator, goal, seed=2, run=FREE)
    assert (
        chance_of_counts(counts(result.candidates.latent[0], 3).double(), posterior(generator, goal)[1]) > FALSE_ALARM
    )


def test_candidates_from_the_prior_alone_draw_where_there_is_no_gradient() -> None:
    generator, goal = two_sided((2, 2), 3)
    target = generator.decode(torch.tensor([[[0, 1], [2, 1]]]))
    boolean = ls.Satisfies(lambda x: (x - target).abs().amax((1, 2)) < 0.9, boolean=True)
    prior = goal.prior
    result = ls.GibbsSearch(spacing=2, sweeps=30, restarts=3000).search(
        generator, 2.0 * boolean + ls.LogPrior(prior), seed=1, run=FREE
    )
    loss = 2.0 * boolean.goal(generator.decode(prior.grids), prior.grids).loss.double()
    exact = (prior.log_probs - loss).softmax(0)
    assert chance_of_counts(counts(result.candidates.latent[0], 3).double(), exact) > FALSE_ALARM


def test_within_a_ball_the_posterior_is_that_of_the_ball() -> None:
    generator, goal = two_sided((2, 2), 3)
    source = torch.tensor([[[0, 1], [2, 1]]])
    method = ls.GibbsSearch(spacing=2, sweeps=30, restarts=2000)
    result = method.search(generator, goal + ls.Within(source, 3), seed=1, run=FREE)
    grids, exact = posterior(generator, goal)
    exact = torch.where((grids != source).flatten(1).sum(1) <= 3, exact, 0.0)
    drawn = counts(result.candidates.latent[0], 3).double()
    assert chance_of_counts(drawn, exact / exact.sum()) > FALSE_ALARM


def test_two_priors_are_refused() -> None:
    generator, goal = two_sided((2, 2), 3)
    other = toys.ListedPrior(torch.zeros(3, 3, 3, 3), (2, 2))
    with pytest.raises(ls.Unsupported, match="terms of several priors"):
        ls.GibbsSearch().search(generator, goal + ls.LogPrior(other), seed=0)
    same = ls.GibbsSearch(sweeps=1).search(generator, goal + ls.LogPrior(goal.prior), seed=0, run=FREE)
    assert same.status == (Status.FINISHED,)


def test_the_weight_of_the_prior_divides_the_loss() -> None:
    generator, goal = two_sided((2, 2), 3)
    halved = goal.likelihood + 0.5 * ls.LogPrior(goal.prior)
    doubled = goal.likelihood.times(2.0) + ls.LogPrior(goal.prior)
    method = ls.GibbsSearch(explore=0, reveals=0, spacing=2, sweeps=3, restarts=20)
    first, second = (method.search(generator, each, seed=1, run=FREE).candidates.latent for each in (halved, doubled))
    assert torch.equal(first, second)


def test_at_temperature_0_the_best_candidate_is_taken() -> None:
    generator, goal = two_sided((2, 2), 3)
    method = ls.GibbsSearch(explore=0, reveals=0, candidates=40, spacing=2, sweeps=8, temperature=(0.0, 0.0))
    result = method.search(generator, goal, seed=0, run=FREE)
    z = result.latent
    # No single code makes it likelier.
    for position in range(4):
        swapped = z.flatten(1).repeat(3, 1)
        swapped[:, position] = torch.arange(3)
        grids = swapped.view(-1, 2, 2)
        assert (goal(generator.decode(grids), grids).loss >= result.score.loss - 1e-6).all()


def test_a_threshold_tells_who_passed_and_ends_no_chain() -> None:
    generator, goal = two_sided((2, 2), 3)
    easy = goal.likelihood.below(1e6) + ls.LogPrior(goal.prior)
    result = ls.GibbsSearch(explore=0, reveals=0, sweeps=2).search(generator, easy, seed=0, run=FREE)
    assert result.status == (Status.FINISHED,) and bool(result.score.passed.all())


def test_blocks_hold_every_position_once_and_no_neighbours() -> None:
    for shape, spacing in (((4, 5), 3), ((2, 2), 7), ((6,), 2), ((3, 3, 2), 1)):
        parts = blocks(shape, spacing)
        assert sorted(position for part in parts for position in part) == list(range(torch.Size(shape).numel()))
        assert max(map(len, parts)) == largest(shape, spacing)
        for part in parts:
            places = torch.stack(torch.unravel_index(torch.tensor(part), shape), 1)
            apart = (places[:, None] - places[None]).abs().amax(2) + 99 * torch.eye(len(part), dtype=torch.int64)
            assert int(apart.min()) >= min(spacing, 99)


@pytest.mark.parametrize(
    ("method", "budget"),
    [(ls.GibbsSearch(explore=20, restarts=2), 2100), (ls.AutoSearch(ls.searchers.DEFAULT_PLANS[3:]), 900)],
)
def test_a_budget_for_too_few_sweeps_is_warned_of(
    method: ls.Searcher, budget: int, caplog: pytest.LogCaptureFixture
) -> None:
    generator, goal = two_sided((2, 2), 3, cost=50.0)
    method.search(generator, goal, seed=0, run=ls.Run(evaluations=budget))
    (message,) = caplog.messages
    found = re.search(
        rf"GibbsSearch: a pass of the prior costs 50 evaluations, and {budget} a problem pay for [01] sweeps of each "
        r"of \d chains; Run\(evaluations=(\d+)\) pays for 3",
        message,
    )
    assert found, message
    caplog.clear()
    enough = int(found.group(1))
    method.search(generator, goal, seed=0, run=ls.Run(evaluations=enough))
    assert not caplog.messages
    if isinstance(method, ls.GibbsSearch):
        exact = dataclasses.replace(method, sweeps=3).search(generator, goal, seed=0, run=ls.Run(evaluations=enough))
        assert exact.status[0] is Status.FINISHED and float(exact.evaluations[0]) > 0.9 * enough


def test_without_a_limit_nothing_is_short(caplog: pytest.LogCaptureFixture) -> None:
    generator, goal = two_sided((2, 2), 3, cost=50.0)
    ls.GibbsSearch(explore=0, reveals=0, sweeps=1).search(generator, goal, seed=0, run=FREE)
    assert not caplog.messages


def test_without_sweeps_nothing_moves() -> None:
    generator, goal = two_sided((2, 2), 3)
    z = torch.zeros(1, 2, 2, dtype=torch.int64)
    hard = goal + ls.Within(z, 4)
    for seed in range(4):
        result = ls.GibbsSearch(sweeps=0).search(generator, hard, init=z, seed=seed, run=FREE)
        assert torch.equal(result.latent, z)


def test_one_code_is_no_choice() -> None:
    generator = toys.CodeGenerator((2, 2), 1)
    goal = ls.Matches(torch.zeros(1, 2, 2), noise=0.1) + ls.LogPrior(toys.ListedPrior(torch.zeros(1, 1, 1, 1), (2, 2)))
    result = ls.GibbsSearch(explore=0, reveals=0, sweeps=1).search(generator, goal, seed=0, run=FREE)
    assert not result.latent.any()


class Swapped(ls.Constraint):
    """The sum of the codes, which knows what each swap makes of it, at a price."""

    reads, swap_cost = "latent", 7.0

    def __call__(self, output: Tensor, latent: Tensor) -> ls.Score:
        codes = torch.arange(latent.shape[-1], dtype=latent.dtype) if latent.is_floating_point() else None
        return ls.Score((latent if codes is None else latent @ codes).flatten(1).sum(1).float())

    def swap_losses(self, latent: Tensor) -> Tensor:
        return torch.arange(4.0).expand(*latent.shape, 4)


@pytest.mark.parametrize("budget", [25, 60, 170])
@pytest.mark.parametrize("explore", [0, 20])
def test_what_swaps_of_a_term_cost_is_within_the_budget(budget: int, explore: int) -> None:
    generator, goal = two_sided((2, 2), 4)
    method = ls.GibbsSearch(explore=explore, reveals=2, probes=2, spacing=2, refills=1)
    result = method.search(generator, goal + Swapped(), seed=0, run=ls.Run(evaluations=budget))
    assert float(result.evaluations[0]) <= budget


def test_a_chain_comes_out_of_what_is_impossible() -> None:
    generator, goal = two_sided((2, 2), 3)
    target = torch.tensor([[[2, 2], [1, 0]]])
    wanted = generator.decode(target).flatten()[:2]
    far = ls.Observed(
        torch.zeros(300, 1),
        lambda x: torch.where((x.flatten(1)[:, :2] - wanted).abs().amax(1) < 0.01, 0 * x.flatten(1)[:, 0], torch.inf)[
            :, None
        ],
        noise=1.0,
    )
    z = torch.zeros(300, 2, 2, dtype=torch.int64)
    method = ls.GibbsSearch(explore=0, reveals=0, trust=0.0, refills=0, spacing=8, sweeps=40)
    result = method.search(generator, far + ls.LogPrior(goal.prior), init=z, seed=0, run=FREE)
    assert bool(result.score.loss.isfinite().all())


# -- refills -----------------------------------------------------------------------------------------


class Slope(ls.Constraint):
    """A loss that is linear in the shares of codes: of the first code nothing, of each next one a nat more."""

    reads = "latent"

    def __call__(self, output: Tensor, latent: Tensor) -> ls.Score:
        rise = torch.arange(4.0)
        each = latent @ rise if latent.is_floating_point() else rise[latent]
        return ls.Score(each.flatten(1).sum(1))


def refilled(rows: int) -> tuple[Objective, Tensor, Tensor]:
    """An objective, grids, and the logarithms of a prior of independent codes."""
    generator, logs = toys.CodeGenerator((3, 3), 4), torch.tensor([0.1, 0.2, 0.3, 0.4]).log()
    goal = Slope() + ls.LogPrior(HistogramPrior(logs.expand(3, 3, 4).clone()))
    return (
        Objective(generator, goal.likelihood.select(torch.zeros(rows, dtype=torch.int64)), FREE, Ledger(rows)),
        torch.zeros(rows, 3, 3, dtype=torch.int64),
        logs,
    )


def test_the_codes_that_the_prior_likes_least_are_masked() -> None:
    _, z, logs = refilled(6)
    regret = torch.zeros(6, 9).scatter(1, torch.tensor([[0, 4, 7]]).expand(6, 3), 50.0).view(6, 3, 3)
    found = masked(
        ChargedPrior(HistogramPrior(logs.expand(3, 3, 4).clone()), Ledger(6)), z, regret, Noise.from_seed(5, 6)
    )
    assert torch.equal(~found.kept, regret > 0)


def test_a_refill_draws_from_prior_times_likelihood_where_that_is_a_product() -> None:
    objective, z, logs = refilled(400)
    start = logs.expand(400, 3, 3, 4).clone()
    kept = torch.zeros_like(z, dtype=torch.bool)
    kept[:, 0, 0] = True
    refill = Refill(RowOptimizer(RelaxedSearch.optimizer, start), start, kept)
    with torch.no_grad():
        for step in range(STEPS):
            descend(objective, z, refill, (step + 1) / STEPS, Noise.from_seed(step, 400))
        shares = drawn(z, refill, Noise.from_seed(99, 400))[:, 1:].flatten().bincount(minlength=4) / 2400
    exact = (logs - torch.arange(4.0)).softmax(0)
    assert float((shares - exact).abs().sum()) / 2 < 0.12
    assert not drawn(z, refill, Noise.from_seed(99, 400))[:, 0, 0].any()


def test_a_checkpoint_knows_the_generators_prior(tmp_path: Path) -> None:
    generator, goal = two_sided((2, 2), 3)
    path, method = tmp_path / "checkpoint", ls.GibbsSearch(explore=0, reveals=0, refills=0, sweeps=2)
    held = {"init": torch.zeros(1, 2, 2, dtype=torch.int64), "seed": 0}
    logs = Noise.from_seed(0).normal(3, 3, 3, 3)[0]
    generator.prior = toys.ListedPrior(logs, (2, 2))
    method.search(generator, goal.likelihood, run=ls.Run(evaluations=None, steps=2, checkpoint=path), **held)
    generator.prior = toys.ListedPrior(logs.flip(0), (2, 2))
    with pytest.raises(BrokenFile, match="prior"):
        method.search(generator, goal.likelihood, run=ls.Run(evaluations=None, checkpoint=path), **held)
