"""SMCSearch against posteriors of which every probability is known."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch
from torch import Tensor

import latentsearch as ls
from latentsearch import judge
from latentsearch.noise import Noise
from latentsearch.result import Status
from latentsearch.searchers.smc._proposal import outlook, twisted
from latentsearch.searchers.smc._resampling import ancestors
from latentsearch.testing import toys
from latentsearch.testing._statistics import FALSE_ALARM, chance_of_counts

FREE = ls.Run(evaluations=None)


def two_sided(noise: float = 0.3, cost: float = 0.0) -> tuple[toys.CodeGenerator, ls.constraints.Goal]:
    """What is measured is the size of a random projection and not its sign; all grids are as likely as they happen."""
    prior = toys.ListedPrior(Noise.from_seed(0).normal(3, 3, 3, 3)[0], (2, 2), cost)
    weights = Noise.from_seed(1).normal(4)[0]
    goal = ls.Observed(torch.tensor([[0.45]]), lambda x: ((x.flatten(1) - 0.5) @ weights).abs()[:, None], noise=noise)
    return toys.CodeGenerator((2, 2), 3), goal + ls.LogPrior(prior)


def without_gradient(goal: ls.constraints.Goal) -> ls.constraints.Goal:
    """The same as a rule of which no slope is known."""
    likelihood = goal.likelihood
    rule = ls.Satisfies(lambda x: likelihood(x, x).loss, differentiable=False)
    return rule + ls.LogPrior(goal.prior)


def posterior(generator: toys.CodeGenerator, goal: ls.constraints.Goal) -> Tensor:
    """The probability of each grid."""
    grids = goal.prior.grids
    return (-goal(generator.decode(grids), grids).loss.double()).softmax(0)


def counts(z: Tensor) -> Tensor:
    """How often each grid was drawn."""
    powers = 3 ** torch.arange(3, -1, -1)
    return (z.flatten(1) * powers).sum(1).bincount(minlength=81)


@pytest.mark.parametrize(("plain", "trust"), [(False, None), (False, 0.2), (True, 0.2)])
def test_passes_that_keep_the_last_answer_leave_the_posterior_as_it_is(plain: bool, trust: float | None) -> None:
    generator, goal = two_sided(cost=0.25)
    goal = without_gradient(goal) if plain else goal
    method = ls.SMCSearch(particles=3, trust=trust, transitions=10, restarts=1000)
    result = method.search(generator, goal, seed=1, run=FREE)
    drawn = counts(result.candidates.latent[0]).double()
    assert chance_of_counts(drawn, posterior(generator, goal)) > FALSE_ALARM
    # A look at nothing, and one at each particle in each of the three other stages; and the decodes at the end.
    each = 1.25 if plain else 2.25
    assert float(result.evaluations[0]) == 1000 * 10 * ((1 + 3 * 3) * each + 3)
    assert result.status == (Status.FINISHED,)


def test_with_more_particles_one_pass_comes_nearer_to_the_posterior() -> None:
    generator, goal = two_sided(noise=0.1)
    exact, far = posterior(generator, goal), []
    for particles in (2, 8, 128):
        method = ls.SMCSearch(particles=particles, trust=None, restarts=500)
        result = method.search(generator, goal, seed=1, run=FREE)
        far.append(judge.total_variation(exact, counts(result.candidates.latent[0])))
    assert far[0] > far[1] > far[2]
    assert far[2] < 1.5 * judge.total_variation_floor(exact, 500)


def test_chains_leave_a_mode_that_moves_of_one_code_do_not_leave() -> None:
    generator, goal = two_sided(noise=0.03)
    exact, run = posterior(generator, goal), ls.Run(evaluations=500 * 120)
    far = []
    for method in (
        ls.SMCSearch(particles=32, trust=None, restarts=120),
        ls.GibbsSearch(explore=0, reveals=0, trust=0, spacing=2, restarts=120),
    ):
        drawn = counts(method.search(generator, goal, seed=2, run=run).candidates.latent[0])
        far.append(judge.total_variation(exact, drawn))
    assert far[0] < 2 * judge.total_variation_floor(exact, 120) < far[1]


def test_an_outlook_is_exact_for_one_residual_and_normal_codes() -> None:
    # Codes on a fine line with normal weights; the residual is a + sum of them.
    line = torch.linspace(-6, 6, 401, dtype=torch.float64)
    shares = (-0.5 * line.square()).softmax(0)
    scales, start = torch.tensor([0.5, 1.3], dtype=torch.float64), torch.tensor(2.0, dtype=torch.float64)
    loss, gradient = 0.5 * start.square(), start * scales[:, None] * line
    found = outlook(loss[None], gradient[None], shares.expand(1, 2, -1), None)
    residual = start + scales[0] * line[:, None] + scales[1] * line
    exact = -((shares[:, None] * shares).log() - 0.5 * residual.square()).flatten().logsumexp(0)
    assert float(found.loss) == pytest.approx(float(exact), abs=1e-4)
    assert torch.allclose(found.shown[0], (start * scales).square(), atol=1e-4)


def test_proposals_are_normalised_and_never_far_below_the_prior() -> None:
    prior = Noise.from_seed(0).normal(5, 7)[0].log_softmax(-1)
    proposal = twisted(prior, 1e4 * Noise.from_seed(1).normal(5, 7)[0])
    assert torch.allclose(proposal.exp().sum(-1), torch.ones(5))
    assert ((prior - proposal) <= math.log(10) + 1e-5).all()


def test_a_kept_particle_has_as_many_copies_as_it_would_have_among_those_that_have_one() -> None:
    weights = torch.tensor([0.13, 0.4, 0.27, 0.2], dtype=torch.float64).log().expand(20000, -1)
    free, kept = (ancestors(weights, keep, Noise.from_seed(3, 20000)) for keep in (False, True))
    assert (kept[:, 0] == 0).all()
    # Of each other particle, too: P(copies | kept) is P(copies) times the copies of the first, over their mean.
    own = (free == 0).sum(1).double()
    for particle in range(4):
        expected = float(((free == particle).sum(1) * own).mean() / own.mean())
        assert float((kept == particle).sum(1).double().mean()) == pytest.approx(expected, abs=0.03)


def test_a_limit_and_a_prior_that_cannot_propose_are_refused() -> None:
    generator, goal = two_sided()
    with pytest.raises(ls.Unsupported, match="hard limit"):
        ls.SMCSearch().search(generator, goal + ls.Within(torch.zeros(1, 2, 2, dtype=torch.int64), 2), seed=0)
    with pytest.raises(ls.InvalidArgument, match="nats"):
        ls.SMCSearch().search(generator, ls.Matches(torch.zeros(1, 2, 2)), seed=0)
    with pytest.raises(ls.Unsupported, match="a prior and nothing else"):
        ls.SMCSearch().search(generator, ls.LogPrior(goal.prior), seed=0)


def test_grids_that_break_a_rule_for_good_are_never_drawn() -> None:
    generator, goal = two_sided()
    rule = ls.Satisfies(lambda x: torch.where(x[:, 0, 0] > 0.5, torch.inf, 0.0), differentiable=False)
    result = ls.SMCSearch(particles=16, restarts=50).search(generator, rule + ls.LogPrior(goal.prior), seed=0, run=FREE)
    assert bool((result.candidates.latent[..., 0, 0] < 2).all()) and result.status == (Status.FINISHED,)


def test_the_weight_of_the_prior_divides_the_loss() -> None:
    generator, goal = two_sided()
    halved = goal.likelihood + 0.5 * ls.LogPrior(goal.prior)
    doubled = goal.likelihood.times(2.0) + ls.LogPrior(goal.prior)
    method = replace(ls.SMCSearch(particles=4), restarts=20)
    first, second = (method.search(generator, each, seed=1, run=FREE).candidates.latent for each in (halved, doubled))
    assert torch.equal(first, second)


def test_an_infinite_loss_that_is_not_trusted_is_a_number() -> None:
    loss = torch.tensor([torch.inf, 1.0])
    found = outlook(loss, torch.zeros(2, 2, 3), torch.full((2, 2, 3), 1 / 3), 0.0)
    assert not found[0].isnan().any()


def test_a_position_of_which_one_code_is_certain_does_not_rise_also_where_losses_are_wider() -> None:
    certain = torch.tensor([[[0.0, 1.0, 0.0]]])
    found = outlook(torch.tensor([0.5]).double(), torch.tensor([[[1.0, 2.0, 3.0]]]), certain, 0.2)
    assert torch.equal(found.rises, torch.zeros(1, 1, 3).double()) and float(found.shown) == 0
