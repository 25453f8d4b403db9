"""Swaps that are ranked by a prior's conditionals, where its gradient says nothing."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

import latentsearch as ls
from latentsearch.noise import Noise
from latentsearch.objective import Ledger, Objective
from latentsearch.priors import HistogramPrior
from latentsearch.testing import toys

SIZE, COST = 5, 0.25


class Deaf(toys.ListedPrior):
    """Its probabilities of one-hot vectors are those of codes, and have a gradient of 0."""

    def log_prob(self, z: Tensor) -> Tensor:
        if not self.space.is_soft(z):
            return super().log_prob(z)
        return super().log_prob(z.argmax(-1)) + 0 * z.flatten(1).sum(1)


def pairs(cost: float = COST) -> tuple[toys.CodeGenerator, Deaf]:
    """Two codes that ought to be alike: each tells the other."""
    return toys.CodeGenerator((2,), SIZE), Deaf(8.0 * torch.eye(SIZE), (2,), cost)


def test_the_table_is_what_each_swap_makes_of_the_probability() -> None:
    generator, prior = pairs()
    objective = Objective(generator, (2 * ls.LogPrior(prior)).goal, ls.Run(), Ledger(1))
    z = torch.tensor([[1, 3]])
    linear = objective.linearise(z)
    assert linear.table is not None and objective.ledger.spent.tolist() == [2 + 2 * COST]
    swapped = torch.stack([torch.tensor([[code, 3], [1, code]]) for code in range(SIZE)], 1)
    exact = 2 * (prior.log_prob(z) - prior.log_prob(swapped.flatten(0, 1))).view(1, 2, SIZE)
    table = linear.table - linear.table.gather(-1, z[..., None])
    torch.testing.assert_close(table.double(), exact, atol=1e-5, rtol=1e-5)
    assert linear.score.loss == -2 * prior.log_prob(z)


@pytest.mark.parametrize(
    "searcher", [ls.CoordinateSearch(batch=1), ls.BanditSearch(arms=1), ls.JacobiSearch()], ids=str
)
def test_the_first_swap_tried_is_the_one_that_the_prior_asks_for(searcher: ls.Searcher) -> None:
    """The outputs would have code 3 at the second position, and the prior says that 0 goes with the first."""
    generator = toys.CodeGenerator((2,), SIZE)
    prior = Deaf(torch.zeros(SIZE, SIZE).index_put((torch.tensor(2), torch.tensor(0)), torch.tensor(8.0)), (2,), COST)
    likelihood = 5 * ls.Matches(generator.decode(torch.tensor([[2, 3]])))
    grids, goal = prior.grids, likelihood + ls.LogPrior(prior)
    best = grids[goal(generator.decode(grids), grids).loss.argmin()]
    init, run = torch.tensor([[2, 4]]), ls.Run(steps=1)
    found = searcher.search(generator, goal, init=init, seed=0, run=run).latent[0]
    assert found.tolist() == best.tolist() == [2, 0]
    plain = likelihood + ls.LogPrior(_blind(prior))
    assert searcher.search(generator, plain, init=init, seed=0, run=run).latent[0].tolist() != [2, 0]


def _blind(prior: Deaf) -> ls.Prior:
    """The same prior, without conditionals."""

    class Blind:
        space, sample, log_prob = prior.space, prior.sample, prior.log_prob

    return Blind()


@pytest.mark.parametrize(
    "searcher", [ls.CoordinateSearch(batch=3), ls.LangevinSearch(), ls.StraightThroughSearch(lr=None)], ids=str
)
def test_passes_are_charged_and_budgets_kept(searcher: ls.loop.IterativeSearcher) -> None:
    generator, prior = pairs(cost=3.0)
    goal = ls.Matches(generator.decode(torch.tensor([[2, 3], [0, 1]]))) + ls.LogPrior(prior)
    step = searcher.step_cost(generator.space) + 6
    result = searcher.search(generator, goal, seed=0, run=ls.Run(evaluations=4 * step))
    assert (result.evaluations <= 4 * step).all() and (result.evaluations >= 8).all()
    result = searcher.search(generator, goal, seed=0, run=ls.Run(evaluations=step - 1))
    assert result.evaluations.tolist() == [0.0, 0.0]


def test_a_prior_that_costs_nothing_keeps_its_gradient() -> None:
    logits = Noise.from_seed(0).normal(2, SIZE)[0]
    generator, prior = toys.CodeGenerator((2,), SIZE), HistogramPrior(logits)
    objective = Objective(generator, ls.LogPrior(prior).goal, ls.Run(), Ledger(1))
    table = objective.linearise(torch.tensor([[1, 3]])).table
    torch.testing.assert_close(table, -prior.logits[None])
    assert objective.ledger.spent.tolist() == [2.0]


def test_codes_that_never_occur_come_last() -> None:
    generator, prior = pairs()
    prior = toys.ListedPrior(torch.where(torch.eye(SIZE).bool(), 0.0, -torch.inf), (2,), COST)
    objective = Objective(generator, ls.LogPrior(prior).goal, ls.Run(), Ledger(1))
    table = objective.linearise(torch.tensor([[1, 1]])).table
    assert table is not None and bool(table.isfinite().all())
    assert table[0, 0].argmin() == 1 and bool((table[0, 0, [0, 2, 3, 4]] > 1e5).all())
