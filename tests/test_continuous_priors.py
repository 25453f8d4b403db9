"""Priors over continuous latents that are fitted to encodings."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor
from torch.distributions import Categorical, MixtureSameFamily, MultivariateNormal

import latentsearch as ls
from latentsearch.errors import InvalidArgument
from latentsearch.noise import Noise
from latentsearch.priors import GaussianMixture, StandardNormal, fit_gaussian_mixture


def normal(*shape: int, seed: int = 0) -> Tensor:
    return Noise.from_seed(seed).normal(*shape, dtype=torch.float64)[0]


def mixture(components: int = 3, shape: tuple[int, ...] = (2, 3), *, seed: int = 0) -> GaussianMixture:
    size = math.prod(shape)
    factors = normal(components, size, size, seed=seed).tril()
    factors.diagonal(dim1=1, dim2=2).abs_().add_(0.3)
    return GaussianMixture(normal(components, seed=seed + 1), normal(components, *shape, seed=seed + 2), factors)


def as_distribution(prior: GaussianMixture) -> MixtureSameFamily:
    parts = MultivariateNormal(prior.means.flatten(1), scale_tril=prior.scale_tril)
    return MixtureSameFamily(Categorical(logits=prior.log_weights), parts)


# -- mixtures of Gaussians ---------------------------------------------------------------------------


def test_a_mixture_has_torchs_density_and_moments() -> None:
    prior = mixture()
    z = prior.sample(Noise.from_seed(0, 20_000))
    torch.testing.assert_close(prior.log_prob(z), as_distribution(prior).log_prob(z.flatten(1)))
    torch.testing.assert_close(prior.mean.flatten(), as_distribution(prior).mean)
    torch.testing.assert_close(z.mean(0), prior.mean, rtol=0, atol=0.05)
    between = prior.means.flatten(1) - prior.mean.flatten()
    within = prior.scale_tril @ prior.scale_tril.mT + between[:, :, None] * between[:, None]
    expected = torch.einsum("m,mij->ij", prior.log_weights.exp(), within)
    torch.testing.assert_close(torch.cov(z.flatten(1).T), expected, rtol=0.1, atol=0.1)


def test_many_latents_are_scored_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    prior, z = mixture(), normal(7, 2, 3)
    whole = prior.log_prob(z)
    monkeypatch.setattr("latentsearch.priors.gaussian_mixture._AT_ONCE", 1)
    torch.testing.assert_close(prior.log_prob(z), whole)


def test_conditioning_is_bayes_rule() -> None:
    prior, operator, y, sigma = mixture(), normal(4, 2, 3, seed=5), normal(4, seed=6), normal(4, seed=7).exp()
    z = normal(50, 2, 3, seed=8)
    likelihood = -0.5 * ((y - z.flatten(1) @ operator.flatten(1).T) / sigma).square().sum(1)
    evidence = prior.log_prob(z) + likelihood - prior.given(operator, y, noise=sigma).log_prob(z)
    torch.testing.assert_close(evidence, evidence[:1].expand(50))


def test_measurements_one_by_one_are_those_together() -> None:
    prior, operator, y = mixture(), normal(2, 6, seed=5), normal(2, seed=6)
    together = prior.given(operator, y, noise=0.5)
    after = prior.given(operator[:1], y[:1], noise=0.5).given(operator[1:], y[1:], noise=0.5)
    for one, other in zip(together.tensors().values(), after.tensors().values(), strict=True):
        torch.testing.assert_close(one, other)


def test_a_measurement_without_noise_to_speak_of_is_kept() -> None:
    prior = mixture()
    exact = GaussianMixture(*(tensor.float() for tensor in prior.tensors().values()))
    seen = exact.given(torch.eye(6), torch.ones(6), noise=1e-6)
    torch.testing.assert_close(seen.sample(Noise.from_seed(0, 5)), torch.ones(5, 2, 3), rtol=0, atol=1e-4)


def test_a_planted_mixture_is_found() -> None:
    planted = mixture(shape=(2,), seed=3)
    apart = GaussianMixture(torch.zeros(3), 4 * planted.means, planted.scale_tril)
    latents = apart.sample(Noise.from_seed(0, 6000))
    found = GaussianMixture.fit(latents[:5000], 3, seed=1)
    excess = apart.log_prob(latents[5000:]).mean() - found.log_prob(latents[5000:]).mean()
    assert abs(excess) < 0.02
    assert found.means.dtype == torch.float64
    again = GaussianMixture.fit(latents[:5000], 3, seed=1)
    assert torch.equal(again.means, found.means)


def test_a_fit_follows_the_scale_of_latents_and_survives_what_does_not_vary() -> None:
    latents = mixture(shape=(3,)).sample(Noise.from_seed(0, 2000))
    scaled = latents * torch.tensor([1e3, 1.0, 1e-2])
    one, other = GaussianMixture.fit(latents, 3), GaussianMixture.fit(scaled, 3)
    shift = one.log_prob(latents) - other.log_prob(scaled)
    torch.testing.assert_close(shift, torch.full_like(shift, math.log(10.0)), rtol=1e-2, atol=1e-2)
    flat = GaussianMixture.fit(torch.cat([latents, torch.ones(2000, 1)], 1), 2)
    torch.testing.assert_close(flat.sample(Noise.from_seed(0, 9))[:, 3], torch.ones(9).double(), rtol=0, atol=0.1)


def test_the_size_is_chosen_on_held_out_latents() -> None:
    planted = GaussianMixture(torch.zeros(2), torch.tensor([[-3.0, 0.0], [3.0, 1.0]]), torch.eye(2).expand(2, 2, 2))
    latents = planted.sample(Noise.from_seed(0, 400))
    assert len(fit_gaussian_mixture(latents[:200], latents[200:], components=(1, 2, 50)).means) == 2
    assert len(fit_gaussian_mixture(latents[:3], latents[200:]).means) == 1


def test_one_component_is_the_gaussian_of_the_moments() -> None:
    latents = normal(500, 3) @ normal(3, 3, seed=1)
    found = GaussianMixture.fit(latents, 1, floor=1e-9, shrinkage=0)
    torch.testing.assert_close(found.means[0], latents.mean(0))
    covariance = found.scale_tril[0] @ found.scale_tril[0].T
    torch.testing.assert_close(covariance, torch.cov(latents.T, correction=0), rtol=1e-2, atol=1e-3)


def test_mixtures_are_searched_with() -> None:
    prior = GaussianMixture(*(tensor.float() for tensor in mixture(shape=(6,)).tensors().values()))
    generator = ls.ContinuousGenerator(lambda z: z @ torch.eye(6)[:, :4], (6,), prior=prior)
    goal = ls.Matches(torch.zeros(2, 4), noise=0.1) + ls.LogPrior(prior)
    result = ls.search(generator, goal, seed=0, run=ls.Run(evaluations=100))
    best = prior.given(torch.eye(6)[:4], torch.zeros(4), noise=0.1)
    # The answer is a mode of the exact posterior, which is a mean of its components if they lie apart.
    assert (result.latent[:, None] - best.means).norm(dim=2).amin(1).max() < 0.05


@pytest.mark.parametrize(
    ("tensors", "match"),
    [
        ((torch.zeros(2), torch.zeros(2, 3), torch.eye(2).expand(2, 2, 2)), r"\(M, d, d\)"),
        ((torch.zeros(1), torch.zeros(1, 2), -torch.eye(2)[None]), "not positive"),
        ((torch.zeros(1), torch.full((1, 2), torch.nan), torch.eye(2)[None]), "not finite"),
    ],
)
def test_what_is_no_mixture_is_refused(tensors: tuple[Tensor, Tensor, Tensor], match: str) -> None:
    with pytest.raises(InvalidArgument, match=match):
        GaussianMixture(*tensors)


def test_what_cannot_be_fitted_or_measured_is_refused() -> None:
    with pytest.raises(InvalidArgument, match="T > 5"):
        GaussianMixture.fit(torch.randn(5, 2), 5)
    with pytest.raises(InvalidArgument, match="NaN"):
        GaussianMixture.fit(torch.full((5, 2), torch.nan), 1)
    with pytest.raises(InvalidArgument, match=r"\(m, 6\) and \(m,\)"):
        mixture().given(torch.zeros(2, 6), torch.zeros(3), noise=1.0)
    with pytest.raises(InvalidArgument, match="positive standard deviation"):
        mixture().given(torch.zeros(2, 6), torch.zeros(2), noise=0.0)
    assert StandardNormal((2,)).space == mixture(shape=(2,)).space
