"""Encoders, and priors fitted to what they give."""

from __future__ import annotations

import copy
import functools
import warnings
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

import latentsearch as ls
from latentsearch.priors import GaussianMixture

from .situation import (
    LATENT,
    OUTPUT,
    RUN,
    Situation,
    collector,
    expect,
    made,
    plain,
    refused,
    refused_or_right,
    seeded,
    target,
    untouched,
)

SITUATIONS: list[Situation] = []
situation = collector(SITUATIONS)

LINEAR = seeded(nn.Linear(LATENT, OUTPUT)).eval()
INVERSE = torch.linalg.pinv(LINEAR.weight.detach())


def encode(x: Tensor) -> Tensor:
    """The latents whose outputs by LINEAR come nearest."""
    return (x - LINEAR.bias) @ INVERSE.T


def wrap(encoder: Any, **settings: Any) -> ls.ContinuousGenerator:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ls.WrapWarning)
        return ls.ContinuousGenerator(LINEAR, shape=(LATENT,), encode=encoder, **settings)


def images(rows: int = 400) -> Tensor:
    with torch.no_grad():
        return LINEAR(torch.randn(rows, LATENT, generator=torch.Generator().manual_seed(6), dtype=torch.float32))


@dataclass
class Gaussian:
    """As the posterior of an AutoencoderKL: a mean, and draws."""

    mean: Tensor

    def sample(self) -> Tensor:
        return self.mean + 0.1 * torch.randn_like(self.mean)

    def mode(self) -> Tensor:
        return self.mean


@situation("encode returns a distribution", "https://github.com/huggingface/diffusers/issues/180")
def returns_distribution() -> None:
    refused(lambda: wrap(lambda x: Gaussian(encode(x))), "latents, a tensor", "mode", "mean")


@situation("encode returns mean and log-variance", "https://github.com/wohlert/semi-supervised-pytorch/issues/17")
def returns_moments() -> None:
    refused(lambda: wrap(lambda x: (encode(x), encode(x))), "[0]")


@situation("encode draws its latents", "https://github.com/huggingface/diffusers/issues/180")
def draws() -> None:
    before = torch.get_rng_state()
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        ls.ContinuousGenerator(LINEAR, shape=(LATENT,), encode=lambda x: Gaussian(encode(x)).sample())
    expect(any("mean" in str(one.message) for one in caught), "no warning")
    expect(torch.equal(before, torch.get_rng_state()), "changed: torch's random state")


@situation("an encoder that normalises images in place", "https://github.com/pytorch/vision/issues/680")
def in_place() -> None:
    def normalising(x: Tensor) -> Tensor:
        return encode(x.sub_(0.5).mul_(2.0) / 2.0 + 0.5)

    def play() -> None:
        generator, given = wrap(normalising), images(4)
        kept = given.clone()
        found = generator.encode(given)
        expect(torch.equal(given, kept), "encode wrote over the images that the user gave it")
        expect(torch.allclose(found, encode(kept), atol=1e-4), "other latents than the encoder's")

    refused_or_right(play, "in place", "in-place", "inplace")


@situation("an encoder in train mode behind a lambda", "https://github.com/descriptinc/descript-audio-codec/issues/106")
def train_mode() -> None:
    net = nn.Sequential(nn.BatchNorm1d(OUTPUT), nn.Linear(OUTPUT, LATENT)).train()
    with untouched(net):
        refused(lambda: wrap(lambda x: net(x)), "eval")


@situation("an encoder that remembers the shape of what it saw", "https://github.com/Project-MONAI/MONAI/pull/8856")
def remembers_shapes() -> None:
    class Model(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.shapes: list[int] = []

        def encode(self, x: Tensor) -> Tensor:
            self.shapes.append(len(x))
            return encode(x)

        def decode(self, z: Tensor) -> Tensor:
            return LINEAR(z)

    model = made(Model)
    generator = ls.ContinuousGenerator(model.decode, shape=(LATENT,), encode=model.encode)
    goal = ls.Matches(images(2))
    found = ls.GradientSearch().search(generator, goal, init=generator.encode(images(2)), seed=0, run=RUN)
    expect((found.score.loss < 1e-6).all(), f"losses {found.score.loss.tolist()}")


@situation(
    "an encoder under @torch.inference_mode(), whose latents start a search",
    "https://github.com/Comfy-Org/ComfyUI/issues/2194",
)
def inference_encoder() -> None:
    generator = wrap(torch.inference_mode()(encode))

    def play() -> None:
        start = generator.encode(images(2))
        found = ls.GradientSearch().search(generator, ls.Matches(target()), init=start, seed=0, run=RUN)
        wanted = ls.GradientSearch().search(wrap(encode), ls.Matches(target()), init=encode(images(2)), seed=0, run=RUN)
        expect(torch.allclose(found.latent, wanted.latent, atol=1e-3), "other latents than undisturbed")

    refused_or_right(play, "inference")


@situation(
    "latents with a graph, as encode gives them, start a search", "https://github.com/harvardnlp/sa-vae/issues/5"
)
def start_with_graph() -> None:
    net = copy.deepcopy(LINEAR)
    generator = ls.ContinuousGenerator(net, shape=(LATENT,))
    start = encode(net(torch.ones(2, LATENT)))
    with untouched(net):
        found = ls.GradientSearch().search(generator, ls.Matches(target()), init=start, seed=0, run=RUN)
        wanted = ls.GradientSearch().search(generator, ls.Matches(target()), init=start.detach(), seed=0, run=RUN)
    expect(torch.equal(found.latent, wanted.latent), "other latents than from detached ones")
    expect(not found.latent.requires_grad, "a result that holds on to a graph")


@functools.cache
def fitted() -> Any:
    return fit()


def fit() -> Any:
    return ls.fit_prior(wrap(encode), images(), seed=0)


def plays_fit(dtype: torch.dtype = torch.float32, **settings: Any) -> None:
    wanted, z = fitted().log_prob(encode(images(4))), encode(images(4))
    before = torch.get_default_dtype()
    torch.set_default_dtype(dtype)
    try:
        found = fit().log_prob(z)
    finally:
        torch.set_default_dtype(before)
    expect(torch.allclose(found.float(), wanted.float(), atol=1e-2), f"{found.tolist()} for {wanted.tolist()}")


@situation(
    "fit_prior under torch.no_grad() and torch.set_grad_enabled(False)",
    "https://github.com/choyingw/SynergyNet/pull/22",
)
def fit_without_gradients() -> None:
    fitted()
    with torch.no_grad():
        plays_fit()


@situation("fit_prior under torch.set_default_dtype(torch.float64)", "https://github.com/pytorch/pytorch/issues/2138")
def fit_double() -> None:
    plays_fit(torch.float64)


@situation("fit_prior where warnings are errors", "https://github.com/catalyst-team/catalyst/issues/989")
def fit_strict() -> None:
    fitted()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        plays_fit()


@situation("fit_prior leaves the model and the settings as they were")
def fit_untouched() -> None:
    fitted()
    with untouched(LINEAR):
        plays_fit()


@situation("fit_prior given images of bytes, or in 0..255", "https://github.com/cleverhans-lab/cleverhans/issues/265")
def fit_bytes() -> None:
    generator = wrap(lambda x: encode(x), output_transform=torch.sigmoid, output_range=(0, 1))
    refused(lambda: ls.fit_prior(generator, (torch.rand(16, OUTPUT) * 255).to(torch.uint8), seed=0), "float", "255")
    refused(lambda: ls.fit_prior(generator, torch.ones(400, OUTPUT) * 255, seed=0), "range", "[0, 1]", "(0, 1)", "255")


@situation("a mixture around latents that were made in inference mode")
def mixture_in_inference() -> None:
    with torch.inference_mode():
        centres = encode(images(8)).clone()

    def play() -> None:
        prior = GaussianMixture.around(centres, encode(images()))
        generator = ls.ContinuousGenerator(plain(), shape=(LATENT,), prior=prior)
        aim = ls.Matches(target(), noise=0.1) + ls.LogPrior(prior)
        found = ls.GradientSearch().search(generator, aim, seed=0, run=RUN)
        expect(found.score.loss.isfinite().all(), "NaN")

    refused_or_right(play, "inference")
