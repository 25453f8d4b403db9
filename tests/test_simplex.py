"""Distributions on the simplex, in log-ratio coordinates."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

import latentsearch as ls
from latentsearch.noise import Noise
from latentsearch.priors import Concrete, LogisticNormal, StickBreakingNormal, from_alr, to_alr
from latentsearch.relaxations import GumbelSoftmaxDistribution

Simplex = Concrete | LogisticNormal | StickBreakingNormal


def normal(*shape: int, seed: int = 0) -> Tensor:
    return Noise.from_seed(seed).normal(*shape, dtype=torch.float64)[0]


def concrete(size: int = 4, temperature: float = 0.5) -> Concrete:
    return Concrete(normal(2, size), temperature)


def each() -> list[Simplex]:
    scale = normal(2, 3, 3).tril(-1) + torch.diag_embed(normal(2, 3).exp())
    return [
        concrete(),
        concrete(temperature=0.1),
        LogisticNormal(normal(2, 3), scale),
        StickBreakingNormal(normal(2, 3), normal(2, 3, seed=1).exp()),
    ]


EACH = pytest.mark.parametrize("prior", each(), ids=["tau 0.5", "tau 0.1", "logistic-normal", "stick"])


@EACH
def test_bijections_and_their_determinants(prior: Simplex) -> None:
    eps = Noise.from_seed(2, 5).normal(2, 3, dtype=torch.float64)
    u, log_det = prior.transform(eps)
    again, log_det_back = prior.inverse(u)
    torch.testing.assert_close(again, eps, rtol=1e-9, atol=1e-9)
    torch.testing.assert_close(log_det, -log_det_back, rtol=1e-9, atol=1e-9)
    jacobians = [
        torch.autograd.functional.jacobian(lambda e: prior.transform(e[None])[0][0].flatten(), row) for row in eps
    ]
    expected = torch.stack([torch.linalg.slogdet(jacobian.view(6, 6)).logabsdet for jacobian in jacobians])
    torch.testing.assert_close(log_det, expected, rtol=1e-9, atol=1e-9)


@EACH
def test_densities_are_those_of_pushed_normals(prior: Simplex) -> None:
    eps = Noise.from_seed(3, 50).normal(2, 3, dtype=torch.float64)
    u, log_det = prior.transform(eps)
    base = (-0.5 * eps.square() - 0.5 * math.log(2 * math.pi)).flatten(1).sum(1)
    torch.testing.assert_close(prior.log_prob(u), base - log_det, rtol=1e-10, atol=1e-10)


def test_the_density_is_that_of_the_gumbel_softmax() -> None:
    """On the simplex, the other distribution of the package; the change of coordinates costs the sum of log y."""
    prior = Concrete(normal(4), 0.7)
    u = prior.sample(Noise.from_seed(4, 20))
    log_y = from_alr(u)
    torch.testing.assert_close(to_alr(log_y), u)
    there = GumbelSoftmaxDistribution(prior.logits, 0.7).log_prob_log(log_y)
    torch.testing.assert_close(prior.log_prob(u), there + log_y.sum(-1))


def test_the_largest_entry_is_a_draw_of_the_logits() -> None:
    prior = concrete(temperature=0.1)
    codes = from_alr(prior.sample(Noise.from_seed(5, 40_000))).argmax(-1)
    frequencies = torch.stack([codes[:, p].bincount(minlength=4) for p in range(2)]) / 40_000
    torch.testing.assert_close(frequencies.double(), prior.logits.softmax(-1), atol=0.01, rtol=0)


def test_the_gaussian_has_the_moments_of_the_concrete() -> None:
    prior = Concrete(normal(3), 0.1)
    gaussian = prior.gaussian()
    u = prior.sample(Noise.from_seed(6, 200_000))
    covariance = gaussian.scale_tril @ gaussian.scale_tril.mT
    # E g_k - E g_K is 0, so means are log-ratios over the temperature.
    torch.testing.assert_close(u.mean(0), gaussian.mean, atol=0.2, rtol=0)
    torch.testing.assert_close(u.T.cov(), covariance, rtol=0.02, atol=0)
    assert float(covariance[0, 0].sqrt()) == pytest.approx(18.1, abs=0.05)


@pytest.mark.parametrize(("size", "nats"), [(2, 0.014), (4, 0.052), (8, 0.071), (10, 0.075), (40, 0.087), (512, 0.090)])
def test_an_untrained_gaussian_is_within_a_tenth_of_a_nat(size: int, nats: float) -> None:
    """KL(concrete || Gaussian) a coordinate: the closed form, and what 20,000 samples say of it."""
    gamma, digamma = 0.5772156649015329, float(torch.digamma(torch.tensor(float(size), dtype=torch.float64)))
    whole = (size - 1) * (1 + math.log(2 * math.pi) + math.log(math.pi**2 / 6)) + math.log(size)
    closed = whole / 2 + math.lgamma(size) - size * gamma - size * digamma
    assert closed / (size - 1) == pytest.approx(nats, abs=6e-4)
    if size > 40:
        return
    prior = Concrete(normal(size), 0.1)
    u = prior.sample(Noise.from_seed(7, 20_000))
    ratio = (prior.log_prob(u) - prior.gaussian().log_prob(u)) / (size - 1)
    assert float(ratio.mean()) == pytest.approx(nats, abs=5 * float(ratio.std()) / math.sqrt(20_000) + 6e-4)


def test_low_temperatures_and_far_points_stay_finite() -> None:
    prior = Concrete(normal(49, 512).float(), 0.01)
    u = prior.sample(Noise.from_seed(8, 2))
    assert u.dtype == torch.float32 and u.isfinite().all() and (from_alr(u).exp() == 0).any()
    far = (1e4 * torch.randn(2, 49, 511, generator=torch.Generator().manual_seed(0))).requires_grad_()
    value = prior.log_prob(far)
    (slope,) = torch.autograd.grad(value.sum(), far)
    assert value.isfinite().all() and slope.isfinite().all()
    eps, log_det = prior.inverse(u)
    assert eps.isfinite().all() and log_det.isfinite().all()
    torch.testing.assert_close(prior.transform(eps)[0], u.double(), rtol=1e-5, atol=1e-2)


def test_what_cannot_be_is_refused() -> None:
    with pytest.raises(ls.InvalidArgument, match="positive diagonal"):
        LogisticNormal(torch.zeros(2), torch.ones(2, 2))
    with pytest.raises(ls.InvalidArgument, match=r"shape \(2,\)"):
        StickBreakingNormal(torch.zeros(2), torch.zeros(2))
    with pytest.raises(ls.InvalidArgument, match="finite floating"):
        Concrete(torch.tensor([0.0, -math.inf]), 1.0)
    with pytest.raises(ls.InvalidArgument, match=r"Concrete\.temperature"):
        Concrete(torch.zeros(2), 0.0)
