"""What cannot be fitted to, or is no prior of this decoder, is found out before any work, in words that help."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import latentsearch as ls
from latentsearch import priors, zoo
from latentsearch.errors import InvalidArgument, Unsupported
from latentsearch.noise import Noise
from latentsearch.priors import Fingerprint, MaskedDiffusion
from latentsearch.testing import toys
from latentsearch.training import initialised

TWENTY = zoo.images()[0]
IMAGES = torch.cat([TWENTY.roll(shift, 3) for shift in range(-5, 5)])
CODES, VAE = ls.wrap(zoo.load("mnist-vqvae-40")), ls.wrap(zoo.load("mnist-vae"))
LATENTS = CODES.encode(IMAGES)
SMALL = partial(MaskedDiffusion, channels=8, blocks=1)


def plane(encode: Callable[[Tensor], Tensor] | None = None, **settings: Any) -> ls.ContinuousGenerator:
    """Two elements to outputs (1, 2, 2) in [0, 1]."""
    net = nn.Sequential(nn.Linear(2, 4), nn.Sigmoid(), nn.Unflatten(1, (1, 2, 2))).eval()
    return ls.ContinuousGenerator(net, (2,), encode=encode, check=False, **settings)


# -- images ------------------------------------------------------------------------------------------

IMAGES_OF_ANOTHER_KIND = {
    "bytes": ((IMAGES * 255).to(torch.uint8), r"uint8.*images.float\(\) / 255"),
    "from 0 to 255": (IMAGES * 255, r"values in \[0, 25\d\], expected images in the range .*; images / 255"),
    "from -1 to 1": (2 * IMAGES - 1, r"values in \[-1, .*; \(images \+ 1\) / 2"),
    "no channel": (IMAGES[:, 0], r"expected floating images \(N, 1, 28, 28\).*; images\[:, None\]$"),
    "channels last": (IMAGES.movedim(1, -1), r"; images.movedim\(-1, 1\)$"),
    "another size": (IMAGES[..., :20], r"\(200, 1, 28, 20\).*floating images \(N, 1, 28, 28\), as the decoder gives$"),
    "NaN": (IMAGES * math.nan, "NaN or infinity among them"),
    "a list": (list(IMAGES), r"got list, expected a tensor \(N, \*O\); torch.stack\(images\)"),
    "an array": (IMAGES.numpy(), r"got ndarray.*; torch.from_numpy\(images\)"),
    "a loader": (torch.utils.data.DataLoader(IMAGES), r"got DataLoader.*; torch.cat\("),
    "a string": ("digits", r"got str, expected a tensor \(N, \*O\)$"),
    "three": (IMAGES[:3], r"got 3, of which 1 is held out, expected at least 10 to fit to; better 200$"),
}  # fmt: skip


@pytest.mark.parametrize("generator", [CODES, VAE], ids=["codes", "continuous"])
@pytest.mark.parametrize(("images", "message"), IMAGES_OF_ANOTHER_KIND.values(), ids=IMAGES_OF_ANOTHER_KIND)
def test_images_of_another_kind_are_refused(generator: Any, images: Any, message: str) -> None:
    if generator is VAE and "expected at least" in message:
        message = r"expected at least 40 to fit to, for latents of 20 elements; better 200"
    with pytest.raises(InvalidArgument, match=rf"fit_prior.images: .*{message}"):
        ls.fit_prior(generator, images)


@pytest.mark.parametrize(
    ("declared", "images", "hint"),
    [
        ((0, 1), IMAGES * 255, "images / 255"),
        ((-1, 1), IMAGES, r"2 \* images - 1"),
        ((-1, 1), IMAGES * 255, r"images / 127.5 - 1"),
        ((0, 255), IMAGES, r"images \* 255"),
        ((0, 1), 3 * IMAGES, ""),
    ],
)
def test_images_are_in_the_range_that_was_declared(declared: Any, images: Tensor, hint: str) -> None:
    generator = plane(lambda x: x.flatten(1)[:, :2], output_range=declared)
    with pytest.raises(InvalidArgument, match=rf"got values in .* the range of output_range, .*{hint}$"):
        ls.fit_prior(generator, images[..., 9:11, 13:15])


def test_few_images_are_warned_of_with_numbers() -> None:
    fit = partial(ls.fit_prior, network=SMALL, steps=1)
    with pytest.warns(ls.FitWarning, match=r"got 20, of which 1 is held out, .* Give 200 at least, and better") as seen:
        fit(CODES, TWENTY)
    assert [warning.filename for warning in seen] == [__file__]
    with pytest.raises(InvalidArgument, match=r"got 22, of which 1 is held out, expected at least 40 to fit to"):
        ls.fit_prior(VAE, IMAGES[:22])
    # What is learnt of one place of a spatial latent serves all: its channels count.
    large = ls.ContinuousGenerator(nn.Flatten(), (9, 8, 8))
    with pytest.raises(
        InvalidArgument, match=r"got 18, .* at least 18 to fit to, for latents of 9 channels; better 200"
    ):
        ls.fit_prior(large, Noise.from_seed(0, 18).normal(9, 8, 8))


def test_images_that_the_decoder_does_not_know_are_warned_of() -> None:
    blurred = ls.ContinuousGenerator(lambda z: z.view(-1, 1, 2, 1).expand(-1, 1, 2, 2).sigmoid(), (2,),
                                     encode=lambda x: -9 * x[:, 0, :, 0], check=False)  # fmt: skip
    images = Noise.from_seed(0, 300).uniform(1, 2, 2).round()
    with pytest.warns(ls.FitWarning, match=r"farther from the images \(mean square .*\) than their mean is \(0.2"):
        ls.fit_prior(blurred, images)


# -- settings and encoders ---------------------------------------------------------------------------


def test_settings_of_networks_are_refused_over_continuous_latents() -> None:
    for name, value in {
        "network": SMALL,
        "augment": lambda x, noise: x,
        "checkpoint": "p",
        "autocast": torch.half,
        "temperature": 1.0,
    }.items():
        with pytest.raises(Unsupported, match=rf"fit_prior.{name}: got .* a Gaussian mixture"):
            ls.fit_prior(VAE, IMAGES, **{name: value})  # type: ignore[arg-type]


def test_without_an_encoder_latents_are_named() -> None:
    for blind in (plane(), toys.bowl().generator):
        with pytest.raises(
            Unsupported, match=r"without an encoder.*or give latents in place of images: floating .* \(N, "
        ):
            ls.fit_prior(blind, torch.rand(300, 1, 2, 2))
    codes = ls.CodebookGenerator(CODES.decoder, CODES.codebook, (7, 7))  # type: ignore[union-attr]
    with pytest.raises(Unsupported, match=r"a CodebookGenerator without an encoder.*int64 codes \(N, 7, 7\)"):
        ls.fit_prior(codes, IMAGES)
    for wrong, message in ((LATENTS.int(), r"other integers by .long\(\)"), (LATENTS + 1, "with codes 1 to 40")):
        with pytest.raises(InvalidArgument, match=rf"fit_prior.images: .*{message}"):
            ls.fit_prior(codes, wrong)


@pytest.mark.parametrize(
    ("encode", "message"),
    [
        (lambda x: x.flatten(1), r"ContinuousGenerator.encode: got .*\(\d+, 4\).*expected floating .*\(N, 2\)"),
        (lambda x: x.flatten(1)[:1, :2], r"1 latents for \d+ images, expected one an image"),
        (lambda x: x.flatten(1)[:, :2] * math.nan, r"latents with NaN or infinity"),
        (lambda x: x @ torch.ones(3), r"ContinuousGenerator.encode: got a function that fails on .* with RuntimeError"),
    ],
)  # fmt: skip
def test_encoders_give_what_the_decoder_takes(encode: Callable[[Tensor], Tensor], message: str) -> None:
    with pytest.raises(InvalidArgument, match=message):
        ls.fit_prior(plane(encode), torch.rand(300, 1, 2, 2))


def test_what_augments_is_tried_beforehand() -> None:
    calls = []

    def cut(images: Tensor, noise: Noise) -> Tensor:
        calls.append(len(images))
        return images[..., 1:]

    with pytest.raises(InvalidArgument, match=r"fit_prior.augment's result: got .*\(2, 1, 28, 27\).* as many images"):
        ls.fit_prior(CODES, IMAGES, augment=cut)
    assert calls == [2]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"network": "pixelcnn"}, r"fit_prior.network: got 'pixelcnn', expected a class such as PixelCNN"),
        ({"network": MaskedDiffusion(CODES.space, channels=8, blocks=1)}, r"got a MaskedDiffusion, .* a class such as"),  # type: ignore[arg-type]
        ({"temperature": 0}, r"fit_prior.temperature: got 0, expected a positive number"),
        ({"augment": 3}, r"fit_prior.augment: got 3, expected a function of images and noise"),
        (
            {"augment": lambda images: images},
            r"fails on .* with TypeError: .*; one of images alone is lambda",
        ),
        ({"held_out": "a tenth"}, r"fit_prior.held_out: got 'a tenth', expected a number in"),
    ],
)
def test_settings_are_what_they_should_be(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidArgument, match=message):
        ls.fit_prior(CODES, IMAGES, **settings)


def test_what_is_no_prior_leads_to_one() -> None:
    for other, hint in ((CODES, r"generator.prior is one"), ("prior.safetensors", r"ls.priors.load\(path\) reads one")):
        with pytest.raises(InvalidArgument, match=rf"LogPrior.prior: got .*; {hint}"):
            ls.LogPrior(other)  # type: ignore[arg-type]


# -- a prior belongs to a decoder --------------------------------------------------------------------


@pytest.fixture(scope="module")
def fitted() -> priors.FittedPrior:
    return ls.fit_prior(CODES, IMAGES, network=SMALL, steps=5)


def another_decoder() -> ls.CodebookGenerator:
    """One over latents of the same space."""
    codes = CODES
    assert isinstance(codes, ls.CodebookGenerator)
    return ls.CodebookGenerator(codes.decoder, codes.codebook.flip(0), (7, 7), encode=lambda x: 39 - codes.encode(x))


def test_a_prior_of_another_decoder_is_refused(fitted: priors.FittedPrior, tmp_path: Path) -> None:
    priors.save(fitted, tmp_path / "prior", dtype=torch.float16)
    goal, other = ls.Matches(TWENTY[:1], noise="decoder"), another_decoder()
    random, run = ls.RandomSearch(batch=2), ls.Run(evaluations=4)
    for prior in (fitted, priors.load(tmp_path / "prior")):
        random.search(CODES, goal + ls.LogPrior(prior), seed=0, run=run)
        ls.wrap(zoo.load("mnist-vqvae-40"), prior=prior)
        message = r"{}: got a prior of another decoder.*ls.fit_prior\(generator, images\) fits one; prior.prior is this"
        with pytest.raises(InvalidArgument, match=message.format("LogPrior.prior")):
            ls.search(other, goal + ls.LogPrior(prior), seed=0, run=run)
        with pytest.raises(InvalidArgument, match=message.format("CodebookGenerator.prior")):
            ls.CodebookGenerator(other.decoder, other.codebook, (7, 7), prior=prior)
        unlooked = ls.CodebookGenerator(other.decoder, other.codebook, (7, 7), prior=prior, check=False)
        with pytest.raises(InvalidArgument, match=message.format("generator.prior")):
            ls.search(unlooked, ls.Matches(TWENTY[:1], noise=0.1), seed=0)
        with pytest.raises(InvalidArgument, match=message.format("Reference.prior")):
            ls.judge.Reference(other, TWENTY, prior)
        bare = ls.Matches(TWENTY[:1], noise=0.1) + ls.LogPrior(prior.prior)
        random.search(other, bare, seed=0, run=run)


def test_a_decoder_is_known_again_in_another_precision(fitted: priors.FittedPrior) -> None:
    coarse = ls.wrap(zoo.load("mnist-vqvae-40").to(torch.bfloat16))
    assert fitted.fingerprint.is_of(coarse) and fitted.fingerprint.latent.shape == (2, 7, 7)
    assert ls.fit_prior(VAE, IMAGES).fingerprint.is_of(VAE)


def test_what_can_be_saved_is_said() -> None:
    with pytest.raises(
        InvalidArgument, match=r"priors.save.prior: got a UniformCodes, expected a FittedPrior; ls.fit_prior"
    ):
        priors.save(CODES.prior, "prior")  # type: ignore[arg-type]
    histogram = priors.HistogramPrior.from_codes(LATENTS, 40)
    with pytest.raises(
        InvalidArgument, match=r"got a HistogramPrior, .*ls.priors.fitted\(prior, torch.zeros\(0\), {}\)"
    ):
        priors.save(histogram, "prior")  # type: ignore[arg-type]


class Tones(nn.Module):
    """Sounds: every part of an output has a mean of 0 but for rounding."""

    def __init__(self) -> None:
        super().__init__()
        self.mix = nn.Linear(8, 16, bias=False)

    def forward(self, z: Tensor) -> Tensor:
        time = torch.linspace(0, 1, 4097)[:-1]
        waves = (2 * math.pi * 16 * torch.arange(1, 17)[:, None] * time).sin()
        return self.mix(z) @ waves.to(z.dtype)


def test_a_decoder_is_known_again_where_means_cancel() -> None:
    with initialised(0):
        tones = Tones().eval().requires_grad_(False)
    fingerprint = Fingerprint.of(ls.ContinuousGenerator(tones, (8,)), Noise.from_seed(0, 2).normal(8))
    for dtype in (torch.float64, torch.bfloat16):
        assert fingerprint.is_of(ls.ContinuousGenerator(copy.deepcopy(tones).to(dtype), (8,), dtype=dtype))
