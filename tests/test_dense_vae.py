"""The feed-forward VAE with Gaussian pixels, and the plain autoencoder of the same layers."""

from __future__ import annotations

import copy
import math
from functools import partial

import pytest
import torch
from torch import Tensor
from torch.distributions import Independent, Normal, kl_divergence

import latentsearch as ls
from latentsearch import models, training

SHAPE = (1, 4, 4)
NOISE = ls.Noise.from_seed(0)
Model = models.DenseVAE | models.DenseAutoencoder


def build(noise: float = 0.1) -> models.DenseVAE:
    with training.initialised(0):
        return models.DenseVAE(SHAPE, width=3, hidden=16, layers=2, noise=noise)


def plain() -> models.DenseAutoencoder:
    with training.initialised(0):
        return models.DenseAutoencoder(SHAPE, width=3, hidden=16, layers=2)


def blobs(rows: int) -> Tensor:
    """Smooth random images."""
    noise = ls.Noise.from_seed(1, rows).normal(1, 2, 2)
    return torch.nn.functional.interpolate(noise, scale_factor=2, mode="bilinear").sigmoid()


def error(model: Model, images: Tensor) -> float:
    with torch.no_grad():
        return (model.decode(model.encode(images)) - images).square().mean().item()


@pytest.mark.parametrize("noise", [1.0, 0.1, 0.01])
def test_the_likelihood_is_that_of_gaussian_pixels(noise: float) -> None:
    model, images, z = build(noise).double(), blobs(5).double(), ls.Noise.from_seed(2, 5).normal(3).double()
    pixels = Independent(Normal(model.decode(z), noise), 3)
    torch.testing.assert_close(model.log_likelihood(images, z), pixels.log_prob(images))


def test_the_terms_are_the_bound_of_one_draw_an_image() -> None:
    model, images = build().double(), blobs(5).double()
    mean, std = model.posterior(images)
    terms = model.training_terms(images, NOISE)
    exact = kl_divergence(Normal(mean, std), Normal(torch.zeros_like(mean), 1.0)).sum(1).mean()
    torch.testing.assert_close(terms["kl"], exact)
    z = mean + std * NOISE.normal(5, 3, dtype=torch.float64)[0]
    torch.testing.assert_close(terms["reconstruction"], -model.log_likelihood(images, z).mean())


def test_the_noise_of_a_pixel_enters_nothing_but_the_likelihood() -> None:
    sharp, blurred, images = build(0.1), build(0.3), blobs(5)
    one, other = (model.training_terms(images, NOISE) for model in (sharp, blurred))
    assert one["kl"] == other["kl"] and torch.equal(sharp.encode(images), blurred.encode(images))
    constants = [16 * math.log(noise * math.sqrt(2 * math.pi)) for noise in (0.1, 0.3)]
    torch.testing.assert_close(
        (one["reconstruction"] - constants[0]) * 0.1**2, (other["reconstruction"] - constants[1]) * 0.3**2
    )


def test_the_posterior_is_a_mean_and_the_softplus_of_the_other_half() -> None:
    model, images = build(), blobs(5)
    mean, std = model.posterior(images)
    raw = model.encoder(images)
    assert torch.equal(mean, raw[:, :3]) and torch.equal(model.encode(images), mean)
    torch.testing.assert_close(std, raw[:, 3:].exp().log1p())


def test_the_layers_are_those_of_the_paper() -> None:
    model = models.DenseVAE((1, 28, 28))
    sides = ([tuple(weight.shape) for weight in side.parameters()][::2] for side in (model.encoder, model.decoder))
    inner = [(1024, 1024)] * 2
    assert list(sides) == [[(1024, 784), *inner, (2048, 1024)], [(1024, 1024), *inner, (784, 1024)]]
    assert sum(isinstance(layer, torch.nn.ReLU) for layer in model.modules()) == 6


def test_the_first_weights_let_the_latents_through() -> None:
    with training.initialised(0):
        model = models.DenseVAE(SHAPE, width=64, hidden=64)
    # 0.03 by torch's own first weights.
    assert model.decoder(ls.Noise.from_seed(0, 100).normal(64)).std(0).mean() > 0.3


@pytest.mark.parametrize("model", [build(), plain()], ids=lambda model: type(model).__name__)
def test_it_learns_in_half_precision_and_gives_full(model: Model) -> None:
    model, images = copy.deepcopy(model), blobs(4).round().repeat(16, 1, 1, 1)
    before = error(model, images)
    plan = ls.Fit(150, 64, partial(torch.optim.Adam, lr=1e-2), autocast=torch.bfloat16)
    ls.fit(model, (images,), plan)
    assert error(model, images) < 0.4 * before
    with torch.autocast("cpu", torch.bfloat16):
        z = model.encode(images)
        assert z.dtype == model.decode(z).dtype == torch.float32


@pytest.mark.parametrize("model", [build(), plain()], ids=lambda model: type(model).__name__)
def test_settings_build_it_again_and_it_is_wrapped(model: Model) -> None:
    again = type(model)(**model.settings)
    again.load_state_dict(model.state_dict())
    images, generator = blobs(5), ls.wrap(again.eval())
    assert generator.space == ls.Continuous((3,))
    torch.testing.assert_close(generator.decode(generator.encode(images)), model.decode(model.encode(images)))


@pytest.mark.parametrize("settings", [{"noise": 0.0}, {"width": 0}, {"hidden": 0}, {"layers": 0}], ids=str)
def test_a_setting_out_of_range_is_refused(settings: dict[str, int]) -> None:
    with pytest.raises(ls.InvalidArgument, match=f"DenseVAE.{next(iter(settings))}"):
        models.DenseVAE(SHAPE, **settings)


@pytest.mark.parametrize("model", [build(), plain()], ids=lambda model: type(model).__name__)
def test_bytes_are_refused(model: Model) -> None:
    with pytest.raises(ls.InvalidArgument, match=r"divide bytes by 255"):
        model.training_terms(blobs(2) * 255, NOISE)
