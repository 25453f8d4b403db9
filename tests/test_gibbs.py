"""GibbsSearch against posteriors of which every probability is known."""

from __future__ import annotations

import dataclasses
import re

import pytest
import torch
from torch import Tensor

import latentsearch as ls
from latentsearch.noise import Noise
from latentsearch.result import Status
from latentsearch.searchers.gibbs._blocks import blocks, largest
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
    generator, goal = two_sided((2, 2), 3, cost)
    method = ls.GibbsSearch(explore=0, reveals=0, probes=4, trust=trust, spacing=2, sweeps=30, restarts=2000)
    result = method.search(generator, goal, seed=1, run=FREE)
    chance = chance_of_counts(counts(result.candidates.latent[0], 3).double(), posterior(generator, goal)[1])
    assert chance > FALSE_ALARM
    # The expansion, the first loss, and of each position the candidates, a pass, and a slope if it is trusted.
    each = 3 + cost + 2 * bool(trust)
    assert float(result.evaluations[0]) == 2000 * (2 + 4 + 1 + 30 * 4 * each)


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
    [(ls.GibbsSearch(explore=20, restarts=2), 2100), (ls.AutoSearch(ls.searchers.DEFAULT_PLANS[3:]), 1200)],
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
