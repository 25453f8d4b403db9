"""Priors over continuous latents that are fitted to encodings."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor
from torch.distributions import Categorical, MixtureSameFamily, MultivariateNormal

import latentsearch as ls
from latentsearch import training
from latentsearch.errors import InvalidArgument
from latentsearch.noise import Noise
from latentsearch.priors import (
    GaussianMixture,
    InnovationMixture,
    NoiseContrastivePrior,
    PatchMixture,
    RealNVP,
    RectifiedFlow,
    StandardNormal,
    UniformCodes,
    fit_gaussian_mixture,
    fit_patch_mixture,
)


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
    z = prior.sample(Noise.from_seed(0, 10_000))
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
    with pytest.raises(InvalidArgument, match="held_out"):
        fit_gaussian_mixture(latents, torch.zeros(3, 3))


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
        ((torch.zeros(1), torch.full((1, 2), torch.nan), torch.eye(2)[None]), "means: got NaN"),
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


# -- flows -------------------------------------------------------------------------------------------


def two_moons(rows: int, seed: int = 0) -> Tensor:
    """Two arcs in the plane, which no Gaussian is near."""
    noise = Noise.from_seed(seed, rows)
    angle, side = noise.fold(1).uniform(1)[:, 0] * math.pi, noise.fold(2).integers(2, 1)[:, 0] * 2 - 1
    arcs = torch.stack([side * angle.cos() + 0.5 * side, side * angle.sin() - 0.25 * side], 1)
    return 2 + 3 * (arcs + 0.1 * noise.fold(3).normal(2))


def flow_of(kind: str) -> RectifiedFlow | RealNVP:
    with training.initialised(0):
        if kind == "rectified":
            return RectifiedFlow((2,), width=64, depth=2, steps=8).calibrated(two_moons(2000))
        return RealNVP((2,), blocks=4, width=32).calibrated(two_moons(2000))


def perturbed(flow: RectifiedFlow | RealNVP) -> RectifiedFlow | RealNVP:
    """As if trained a little, and precise."""
    for place, parameter in enumerate(flow.parameters()):
        parameter.data += 0.1 * Noise.from_seed(place).normal(*parameter.shape)[0]
    return flow.double().eval()


@pytest.mark.parametrize("kind", ["rectified", "coupling"])
def test_an_untrained_flow_is_the_gaussian_of_the_moments(kind: str) -> None:
    flow, latents = flow_of(kind), two_moons(2000)
    gaussian = GaussianMixture.fit(latents, 1, floor=1e-9)
    torch.testing.assert_close(flow.log_prob(latents), gaussian.log_prob(latents), rtol=1e-3, atol=1e-2)


@pytest.mark.parametrize("kind", ["rectified", "coupling"])
def test_a_flow_learns_what_no_gaussian_can(kind: str) -> None:
    flow, latents, held_out = flow_of(kind), two_moons(4000), two_moons(500, seed=1)
    before = flow.log_prob(held_out).mean()
    ls.fit(flow, (latents,), ls.Fit(steps=150, clip=1.0, optimizer=lambda p: torch.optim.Adam(p, 5e-3)))
    assert flow.log_prob(held_out).mean() > before + 0.2
    # What it draws is what it says: the entropy of its own draws is that of the data.
    drawn = flow.sample(Noise.from_seed(2, 500))
    assert abs(flow.log_prob(drawn).mean() - flow.log_prob(held_out).mean()) < 0.25
    torch.testing.assert_close(drawn.mean(0), held_out.mean(0), rtol=0, atol=0.4)


def test_a_coupling_flow_is_inverted_and_knows_its_determinant() -> None:
    flow = perturbed(flow_of("coupling"))
    assert isinstance(flow, RealNVP)
    base = normal(5, 2)
    z, log_det = flow.transform(base)
    back, inverse_log_det = flow.inverse(z)
    torch.testing.assert_close(back, base)
    torch.testing.assert_close(inverse_log_det, -log_det)
    jacobian = torch.func.vmap(torch.func.jacrev(lambda row: flow.transform(row[None])[0][0]))(base)
    torch.testing.assert_close(torch.linalg.slogdet(jacobian)[1], log_det)


def test_a_rectified_flow_is_inverted_and_knows_its_determinant_up_to_its_steps() -> None:
    flow = perturbed(flow_of("rectified"))
    assert isinstance(flow, RectifiedFlow)
    flow.steps = 200
    base = normal(5, 2)
    z = flow.decode(base)
    torch.testing.assert_close(flow.encode(z), base, rtol=0, atol=1e-4)
    jacobian = torch.func.vmap(torch.func.jacrev(lambda row: flow.decode(row[None])[0]))(base)
    expected = StandardNormal((2,)).log_prob(base) - torch.linalg.slogdet(jacobian)[1]
    torch.testing.assert_close(flow.log_prob(z), expected, rtol=0, atol=1e-3)


def test_one_probe_estimates_the_divergence_of_large_latents() -> None:
    with training.initialised(0):
        flow = perturbed(RectifiedFlow((80,), width=16, depth=1))
    assert isinstance(flow, RectifiedFlow)
    x, directions = normal(3, 80), torch.eye(80, dtype=torch.float64)
    exact = flow.velocity.along(x, x.new_full((3,), 0.5), directions)[1]
    found = torch.stack([flow._divergence(x, 0.5, step)[1] for step in range(500)])
    error = found.std(0) / 500**0.5
    assert ((found.mean(0) - exact).abs() < 4 * error).all()


def test_a_search_runs_on_the_normal_side_of_a_flow() -> None:
    flow = flow_of("rectified")
    ls.fit(flow, (two_moons(2000),), ls.Fit(steps=100))
    assert isinstance(flow, RectifiedFlow)
    generator = ls.ContinuousGenerator(flow.decode, (2,))
    target = two_moons(3, seed=4)
    result = ls.GradientSearch().search(generator, ls.Matches(target), seed=0, run=ls.Run(evaluations=100))
    torch.testing.assert_close(flow.decode(result.latent), target, rtol=0, atol=0.1)


def test_coupling_needs_two_elements() -> None:
    with pytest.raises(InvalidArgument, match="at least two elements"):
        RealNVP((1,))


# -- critics -----------------------------------------------------------------------------------------

QUICK = ls.Fit(steps=200, batch_size=256, optimizer=lambda parameters: torch.optim.Adam(parameters, 1e-2))


def test_an_untrained_critic_is_its_base() -> None:
    critic, z = NoiseContrastivePrior(StandardNormal((3,))), normal(5, 3)
    torch.testing.assert_close(critic.log_prob(z), StandardNormal((3,)).log_prob(z))


def test_a_critic_learns_the_ratio_of_densities() -> None:
    q = StandardNormal((2,))
    latents = 0.6 * q.sample(Noise.from_seed(0, 4000)) + 0.5
    with training.initialised(0):
        critic = NoiseContrastivePrior(StandardNormal((2,)), width=32).calibrated(latents)
    ls.fit(critic, (latents,), QUICK)
    held_out = 0.6 * q.sample(Noise.from_seed(1, 500)) + 0.5
    expected = q.log_prob((held_out - 0.5) / 0.6) - 2 * math.log(0.6)
    assert (critic.log_prob(held_out) - expected).abs().mean() < 0.15
    drawn = critic.sample(Noise.from_seed(2, 2000))
    torch.testing.assert_close(drawn.mean(0), torch.full((2,), 0.5), rtol=0, atol=0.1)
    torch.testing.assert_close(drawn.std(0), torch.full((2,), 0.6), rtol=0, atol=0.1)


def test_a_critic_of_codes_learns_what_positions_say_of_each_other() -> None:
    space = ls.Discrete((2,), 3)
    first = Noise.from_seed(0, 3000).integers(3, 1)
    second = torch.where(Noise.from_seed(1, 3000).uniform(1) < 0.8, first, (first + 1) % 3)
    with training.initialised(0):
        critic = NoiseContrastivePrior(UniformCodes(space), width=32)
    ls.fit(critic, (torch.cat([first, second], 1),), QUICK)
    grids = torch.cartesian_prod(torch.arange(3), torch.arange(3))
    found = critic.log_prob(grids).softmax(0)
    step = (grids[:, 1] - grids[:, 0]) % 3
    expected = torch.tensor([0.8, 0.2, 0.0])[step] / 3
    torch.testing.assert_close(found, expected, rtol=0, atol=0.03)
    drawn = critic.sample(Noise.from_seed(2, 500))
    assert ((drawn[:, 0] == drawn[:, 1]).float().mean() - 0.8).abs() < 0.08


def test_the_base_of_a_critic_stays_as_it_is_in_training() -> None:
    flow = flow_of("coupling")
    before = {name: value.clone() for name, value in flow.state_dict().items()}
    ls.fit(NoiseContrastivePrior(flow, width=16), (two_moons(500),), ls.Fit(steps=3))
    assert all(torch.equal(value, before[name]) for name, value in flow.state_dict().items())


def test_only_priors_are_corrected() -> None:
    with pytest.raises(InvalidArgument, match=r"NoiseContrastivePrior.base"):
        NoiseContrastivePrior(torch.nn.Linear(2, 2))  # type: ignore[arg-type]


# -- patches -----------------------------------------------------------------------------------------


def patch_mixture(components: int = 2) -> PatchMixture:
    return PatchMixture(mixture(components, (5, 2)), (2, 3, 4), reach=1)


def test_the_density_of_patches_is_the_product_of_conditionals() -> None:
    prior, z = patch_mixture(), normal(3, 2, 3, 4)
    expected = torch.zeros(3, dtype=torch.float64)
    # What a site looks at: above to the left, above, above to the right, to the left, and itself.
    offsets = [(-1, -1), (-1, 0), (-1, 1), (0, -1), (0, 0)]
    for row in range(3):
        for column in range(4):
            places = [(n, row + i, column + j) for n, (i, j) in enumerate(offsets)]
            inside = [(n, i, j) for n, i, j in places if i >= 0 and 0 <= j < 4]
            values = torch.cat([z[:, :, i, j] for _, i, j in inside], 1)
            elements = torch.tensor([2 * n + c for n, _, _ in inside for c in range(2)])
            expected += as_distribution(prior.patches.marginal(elements)).log_prob(values)
            if len(inside) > 1:
                expected -= as_distribution(prior.patches.marginal(elements[:-2])).log_prob(values[:, :-2])
    torch.testing.assert_close(prior.log_prob(z), expected)


def test_draws_of_patches_follow_their_density() -> None:
    # Of one component the latents are jointly normal, and the curvature of the density is their precision.
    prior = patch_mixture(components=1)
    at = torch.zeros(24, dtype=torch.float64)
    precision = torch.autograd.functional.hessian(lambda z: -prior.log_prob(z.view(1, 2, 3, 4))[0], at)
    z = prior.sample(Noise.from_seed(0, 4000)).flatten(1)
    white = (z - z.mean(0)) @ torch.linalg.cholesky(precision)
    torch.testing.assert_close(torch.cov(white.T), torch.eye(24, dtype=torch.float64), rtol=0, atol=0.1)
    # The density is normalised: that of a normal of this precision at its mean.
    peak = 0.5 * torch.linalg.slogdet(precision)[1] - 12 * math.log(2 * math.pi)
    entropy = 12 - peak
    torch.testing.assert_close(-prior.log_prob(z.view(-1, 2, 3, 4)).mean(), entropy, rtol=0, atol=0.25)


def test_the_rest_of_a_latent_is_drawn_given_its_first_elements() -> None:
    prior = mixture(shape=(3,))
    known = normal(2)
    drawn = prior.completed(known.expand(4000, 2), Noise.from_seed(0, 4000))
    posterior = prior.given(torch.eye(3, dtype=torch.float64)[:2], known, noise=1e-6)
    torch.testing.assert_close(drawn.mean(0), posterior.mean[2:], rtol=0, atol=0.1)
    expected = as_distribution(prior.marginal(torch.tensor([2, 0]))).log_prob(normal(5, 2))
    torch.testing.assert_close(prior.marginal(torch.tensor([2, 0])).log_prob(normal(5, 2)), expected)


def test_patches_are_fitted_to_the_windows_of_encodings() -> None:
    smooth = torch.nn.functional.avg_pool2d(normal(60, 2, 10, 10), 3, 1)
    prior = PatchMixture.fit(smooth[:50], 2, reach=2)
    assert prior.shape == (2, 8, 8)
    independent = PatchMixture.fit(smooth.std() * normal(50, 2, 8, 8, seed=1), 2, reach=1)
    assert prior.log_prob(smooth[50:]).mean() > independent.log_prob(smooth[50:]).mean() + 20
    z = prior.sample(Noise.from_seed(0, 64))

    def roughness(z: Tensor) -> Tensor:
        return z.diff(dim=3).square().mean() / z.var()

    assert abs(roughness(z) / roughness(smooth) - 1) < 0.3


def test_patches_of_other_latents_are_refused() -> None:
    with pytest.raises(InvalidArgument, match=r"one over \(5, 3\)"):
        PatchMixture(mixture(1, (5, 2)), (3, 4, 4), reach=1)
    with pytest.raises(InvalidArgument, match="W >= 5"):
        PatchMixture.fit(torch.zeros(9, 2, 4, 4), 1)


def test_the_number_of_components_over_patches_is_chosen_on_held_out_latents() -> None:
    # Each image is smooth or rough: two scales.
    latents = normal(150, 2, 5, 5) * torch.tensor([0.2, 3.0]).double().repeat(75)[:, None, None, None]
    for kind in (PatchMixture, InnovationMixture):
        found = fit_patch_mixture(latents[:100], latents[100:], components=(1, 2), kind=kind)
        mixture = found.patches if isinstance(found, PatchMixture) else found.patches.patches
        assert isinstance(found, kind) and len(mixture.means) == 2
    with pytest.raises(InvalidArgument, match="held_out"):
        fit_patch_mixture(latents, torch.zeros(3, 3))


# -- innovations -------------------------------------------------------------------------------------


def innovation_mixture() -> InnovationMixture:
    """Of one component of white patches."""
    white = GaussianMixture(*(t.double() for t in (torch.zeros(1), torch.zeros(1, 5, 2), torch.eye(10)[None])))
    factor = torch.eye(24).double() + 0.1 * normal(24, 24).tril()
    return InnovationMixture(normal(24, seed=1), factor, PatchMixture(white, (2, 3, 4), reach=1))


def test_white_innovations_are_those_of_one_gaussian() -> None:
    prior, z = innovation_mixture(), normal(5, 2, 3, 4)
    gaussian = MultivariateNormal(prior.mean, scale_tril=prior.factor)
    torch.testing.assert_close(prior.log_prob(z), gaussian.log_prob(z.movedim(1, -1).flatten(1)))
    drawn = prior.sample(Noise.from_seed(0, 4000))
    assert abs(prior.innovations(drawn).var() - 1) < 0.05 and abs(prior.innovations(drawn).mean()) < 0.05


def test_innovations_of_encodings_are_white_and_know_how_rough_a_place_is() -> None:
    # The last row is the first one again, far from it; and each image has a scale.
    latents = normal(600, 2, 5, 5)
    latents[:, :, 4] = latents[:, :, 0] + 0.1 * latents[:, :, 4]
    latents *= (0.7 * normal(600, 1, 1, 1, seed=2)).exp()
    prior, whole, near = (
        fit(latents[:500])
        for fit in (
            lambda z: InnovationMixture.fit(z, 8),
            lambda z: GaussianMixture.fit(z, 1),
            lambda z: PatchMixture.fit(z, 8, reach=1),
        )
    )
    innovations = prior.innovations(latents[:500]).movedim(1, -1).flatten(1)
    torch.testing.assert_close(torch.cov(innovations.T), torch.eye(50).double(), rtol=0, atol=0.2)
    best = prior.log_prob(latents[500:]).mean()
    assert best > whole.log_prob(latents[500:]).mean() + 5 and best > near.log_prob(latents[500:]).mean() + 10


def test_innovations_of_other_latents_are_refused() -> None:
    with pytest.raises(InvalidArgument, match=r"InnovationMixture: got mean .* expected \(d,\) and \(d, d\)"):
        InnovationMixture(torch.zeros(7), torch.eye(7), patch_mixture())
    with pytest.raises(InvalidArgument, match=r"InnovationMixture.latents"):
        InnovationMixture.fit(torch.zeros(9, 4))
