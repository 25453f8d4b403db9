"""Samplers of posteriors over continuous latents, against closed forms."""

from __future__ import annotations

import math

import pytest
import torch
from scipy import stats
from torch import Tensor, nn

import latentsearch as ls
from latentsearch.noise import Noise
from latentsearch.priors import DistributionPrior, StandardNormal
from latentsearch.spaces import Continuous
from latentsearch.testing import toys

DOUBLE = torch.float64
NOISE = 0.5  # standard deviation of the measurement
CHAINS = 600


class Affine:
    """A prior N(mean, spread² I), as a flow over standard normals."""

    def __init__(self, mean: float, spread: float, shape: tuple[int, ...] = (2,)) -> None:
        self.mean, self.spread, self.space = mean, spread, Continuous(shape)

    def decode(self, base: Tensor) -> Tensor:
        return self.mean + self.spread * base

    def encode(self, latents: Tensor) -> Tensor:
        return (latents - self.mean) / self.spread

    def sample(self, noise: Noise) -> Tensor:
        return self.decode(noise.normal(*self.space.shape, dtype=DOUBLE))

    def log_prob(self, z: Tensor) -> Tensor:
        return -0.5 * self.encode(z).square().flatten(1).sum(1)


def linear(prior: ls.Prior | None = None) -> tuple[ls.Generator, Tensor]:
    """A decoder ``z @ A.T`` of two numbers to three, and A."""
    matrix = Noise.from_seed(5).normal(3, 2, dtype=DOUBLE)[0]
    layer = nn.Linear(2, 3, bias=False, dtype=DOUBLE).eval()
    layer.weight.data.copy_(matrix)
    return ls.ContinuousGenerator(layer.requires_grad_(False), (2,), prior=prior), matrix


def exact(matrix: Tensor, y: Tensor, mean: float, spread: float) -> tuple[Tensor, Tensor]:
    """Mean and covariance of the posterior of z given y = A z + noise."""
    precision = matrix.T @ matrix / NOISE**2 + torch.eye(2, dtype=DOUBLE) / spread**2
    covariance = torch.linalg.inv(precision)
    return covariance @ (matrix.T @ y / NOISE**2 + mean / spread**2), covariance


def agree(draws: Tensor, mean: Tensor, covariance: Tensor) -> None:
    """Draws ``(n, d)`` have this mean and covariance, at 4 standard errors."""
    n = len(draws)
    assert ((draws.mean(0) - mean).abs() <= 4 * (covariance.diagonal() / n).sqrt()).all()
    variances = covariance.diagonal()
    error = ((variances[:, None] * variances + covariance.square()) / n).sqrt()
    assert ((draws.T.cov() - covariance).abs() <= 4 * error).all()


SAMPLERS = (
    ls.EllipticalSliceSearch(transitions=30, restarts=CHAINS),
    ls.ImportanceResampling(draws=24, transitions=25, restarts=CHAINS),
)
MALA = ls.MALASearch(burn_in=60, transitions=60, restarts=CHAINS)
BY_NAME = pytest.mark.parametrize("sampler", SAMPLERS, ids=lambda each: type(each).__name__)
FREE = ls.Run(evaluations=None)


@BY_NAME
@pytest.mark.parametrize("stated", [False, True])
@pytest.mark.parametrize("shift", [(0.0, 1.0), (0.5, 0.7)], ids=["standard", "affine"])
def test_draws_have_the_mean_and_covariance_of_the_posterior(
    sampler: ls.Searcher, stated: bool, shift: tuple[float, float]
) -> None:
    prior = StandardNormal((2,), DOUBLE) if shift == (0.0, 1.0) else Affine(*shift)
    generator, matrix = linear(None if stated else prior)
    y = torch.tensor([0.8, -1.0, 0.4], dtype=DOUBLE)
    goal = ls.Observed(y[None], lambda x: x, noise=NOISE)
    asked = goal + ls.LogPrior(prior) if stated else goal
    result = sampler.search(generator, asked, seed=0, run=FREE)
    assert result.status == (ls.Status.FINISHED,)
    agree(result.candidates.latent[0], *exact(matrix, y, *shift))


def test_draws_with_gradients_have_the_mean_and_covariance_of_the_posterior() -> None:
    prior = Affine(0.5, 0.7)
    generator, matrix = linear(prior)
    y = torch.tensor([0.8, -1.0, 0.4], dtype=DOUBLE)
    goal = ls.Observed(y[None], lambda x: x, noise=NOISE) + ls.LogPrior(prior)
    result = MALA.search(generator, goal, seed=0, run=FREE)
    assert result.status == (ls.Status.FINISHED,)
    agree(result.candidates.latent[0], *exact(matrix, y, 0.5, 0.7))
    with pytest.raises(ls.Unsupported, match=r"MALASearch: got Observed, which has no prior.*LogPrior"):
        MALA.search(generator, ls.Observed(y[None], lambda x: x, noise=NOISE))


@BY_NAME
def test_ranks_of_the_truth_are_uniform(sampler: ls.Searcher) -> None:
    """Simulation-based calibration [Talts et al., arXiv:1804.06788]: 31 draws, so 32 ranks."""
    generator, _ = linear()
    problems, draws = 240, 31
    truth = generator.prior.sample(Noise.from_seed(11, problems)).double()
    clean = generator.decode(truth)
    y = clean + NOISE * Noise.from_seed(12, problems).normal(3, dtype=DOUBLE)
    chains = type(sampler)(transitions=12, restarts=draws)  # type: ignore[call-arg]
    goal = ls.Observed(y, lambda x: x, noise=NOISE)
    found = chains.search(generator, goal, seed=1, run=FREE).candidates.latent
    for statistic in (lambda z: z[..., 0], lambda z: z[..., 1], lambda z: z.square().sum(-1)):
        ranks = (statistic(found) < statistic(truth)[:, None]).sum(1)
        counts = torch.bincount(ranks // 4, minlength=8)
        assert stats.chisquare(counts.numpy()).pvalue > 0.01


@BY_NAME
def test_the_answer_is_where_the_chain_ends_and_not_the_best_it_saw(sampler: ls.Searcher) -> None:
    generator, matrix = linear()
    y = torch.tensor([0.8, -1.0, 0.4], dtype=DOUBLE)
    goal = ls.Observed(y[None], lambda x: x, noise=NOISE)
    seen: list[Tensor] = []
    last = ls.Run(evaluations=None, callbacks=[lambda step: seen.append(step.best_loss.clone())])
    one = type(sampler)(transitions=15)  # type: ignore[call-arg]
    result = one.search(generator, goal, seed=3, init=exact(matrix, y, 0, 1)[0][None], run=last)
    losses = torch.cat(seen)
    assert result.score.loss[0] == losses[-1] > losses.min()
    assert (result.trace.loss[1:] <= result.trace.loss[:-1]).all()


def test_a_chain_that_starts_beyond_everything_finds_its_way_back() -> None:
    generator, _ = linear()
    goal = ls.Satisfies(lambda x: torch.where(x[:, 0] > 0, 0.0, math.inf).double())
    start = generator.prior.sample(Noise.from_seed(0, 40)).double()[:, None]
    sampler = ls.EllipticalSliceSearch(transitions=10, restarts=40)
    result = sampler.search(generator, goal, init=start.transpose(0, 1), seed=0, run=ls.Run(evaluations=8_000))
    assert (generator.decode(result.candidates.latent[0])[:, 0] > 0).all()


def test_a_posterior_is_taken_apart() -> None:
    prior, other = StandardNormal((2,)), StandardNormal((2,), DOUBLE)
    match = ls.Matches(torch.zeros(1, 3), noise=0.1)
    goal = (match.below(2.0) + ls.LogPrior(prior)).below(9.0)
    assert (goal.likelihood.constraints, goal.prior, goal.prior_weight) == ((match,), prior, 1)
    assert [threshold.most for threshold in goal.likelihood.thresholds] == [2.0]
    assert (match.goal.prior, (goal + ls.LogPrior(other)).prior) == (None, None)


@pytest.mark.parametrize(
    ("goal", "message"),
    [
        (lambda prior: 2 * ls.LogPrior(prior), "a prior of weight 2, expected weight 1.*temper"),
        (lambda prior: ls.LogPrior(prior) + ls.LogPrior(prior), "a prior of weight 2, expected weight 1"),
        (lambda prior: ls.LogPrior(prior) + ls.LogPrior(StandardNormal((4,))), "several priors, expected one prior"),
        (lambda prior: ls.LogPrior(prior) + ls.Sphere(), "Sphere.*no probability"),
    ],
)
@BY_NAME
def test_what_is_no_posterior_is_refused(sampler: ls.Searcher, goal: object, message: str) -> None:
    toy = toys.bowl()
    with pytest.raises(ls.Unsupported, match=message):
        sampler.search(toy.generator, toy.constraint + goal(toy.generator.prior))  # type: ignore[operator]


def test_elliptical_slices_need_a_gaussian() -> None:
    toy = toys.bowl()
    laplace = DistributionPrior(
        torch.distributions.Independent(torch.distributions.Laplace(torch.zeros(4), torch.ones(4)), 1)
    )
    with pytest.raises(ls.Unsupported, match=r"the prior DistributionPrior.*ImportanceResampling takes any"):
        ls.EllipticalSliceSearch().search(toy.generator, toy.constraint + ls.LogPrior(laplace))
    ls.ImportanceResampling().search(toy.generator, toy.constraint + ls.LogPrior(laplace), seed=0)
