"""One line from images to a prior; priors on disk; and the decoder's own error as a noise level."""

from __future__ import annotations

import math
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

import latentsearch as ls
from latentsearch import priors, zoo
from latentsearch.errors import BrokenFile, InvalidArgument, Unsupported
from latentsearch.fitting._temperature import typical_temperature
from latentsearch.noise import Noise
from latentsearch.priors import (
    GaussianMixture,
    HistogramPrior,
    InnovationMixture,
    MaskedDiffusion,
    PatchMixture,
    PixelCNN,
)
from latentsearch.testing import check_prior

pytestmark = pytest.mark.filterwarnings("ignore::latentsearch.FitWarning")  # the images are few, and fits are quick

IMAGES, _ = zoo.images()
CODES = ls.wrap(zoo.load("mnist-vqvae-40"))
VAE = ls.wrap(zoo.load("mnist-vae"))
SMALL = partial(MaskedDiffusion, channels=8, blocks=1)
LEFT = (torch.arange(28) < 14).float().expand(1, 1, 28, 28)


@pytest.fixture(scope="module")
def fitted() -> priors.FittedPrior:
    return ls.fit_prior(CODES, IMAGES, network=SMALL, steps=30, held_out=0.2)


def test_a_prior_over_codes_is_fitted_and_can_propose(fitted: priors.FittedPrior) -> None:
    assert isinstance(fitted, ls.ConditionalPrior) and isinstance(fitted, ls.CalibratedPrior)
    assert fitted.space == CODES.space and fitted.cost > 0
    assert fitted.figures["uniform"] == pytest.approx(math.log2(40))
    assert not any(parameter.requires_grad for parameter in fitted.prior.parameters())  # type: ignore[attr-defined]
    encoded = CODES.encode(IMAGES)
    known = torch.zeros_like(encoded, dtype=torch.bool)
    known[..., :4] = True
    filled = fitted.resample(encoded, ~known, Noise.from_seed(0, len(encoded)))
    assert torch.equal(filled[known], encoded[known])


def test_training_beats_the_histogram_on_codes_that_go_together() -> None:
    # Each grid is of one of three kinds: a histogram cannot tell, and what is known of a grid can.
    kinds = torch.tensor([[0, 1, 2, 3], [3, 2, 1, 0], [1, 3, 0, 2]]).view(3, 2, 2)
    codes = kinds[Noise.from_seed(0).integers(3, 600)[0]]
    generator = ls.CodebookGenerator(lambda e: e, torch.randn(4, 3, generator=torch.Generator().manual_seed(0)), (2, 2))
    prior = ls.fit_prior(generator, codes, network=SMALL, steps=300)
    # log2(3) bits a grid of four codes are the least; independent codes cost about 1.6 bits each.
    assert prior.figures["bits"] < 0.6 < 1.5 < prior.figures["histogram"]
    assert prior.residuals.numel() == 0


@pytest.mark.parametrize("spread, expected", [(1 / 0.7, 0.7), (0.8, 1.0)], ids=["too wide", "too narrow"])
def test_draws_become_as_likely_as_data(spread: float, expected: float) -> None:
    # An untrained network is its histogram, here that of the data at another temperature.
    logs = 2 * torch.randn(4, 4, 8, generator=torch.Generator().manual_seed(0))
    data = HistogramPrior(logs.log_softmax(-1)).sample(Noise.from_seed(1, 4000))
    network = SMALL(ls.Discrete((4, 4), 8), histogram=(logs / spread).log_softmax(-1)).eval()
    found = typical_temperature(network, data, Noise.from_seed(2))
    assert network.temperature == 1 and found == pytest.approx(expected, abs=0.06)


def test_few_grids_do_not_tell_a_temperature() -> None:
    wide = SMALL(ls.Discrete((2, 2), 8), histogram=torch.tensor([3.0, *[0.0] * 7]).expand(2, 2, 8))
    assert typical_temperature(wide, torch.zeros(15, 2, 2, dtype=torch.int64), Noise.from_seed(0)) == 1
    assert typical_temperature(wide, torch.zeros(16, 2, 2, dtype=torch.int64), Noise.from_seed(0)) < 1


def test_a_temperature_can_be_given(fitted: priors.FittedPrior) -> None:
    warm, cold = (
        ls.fit_prior(CODES, IMAGES, network=SMALL, steps=30, held_out=0.2, temperature=temperature)
        for temperature in (1.0, 0.5)
    )
    assert [each.figures["temperature"] for each in (warm, cold)] == [1, 0.5]
    codes = CODES.encode(IMAGES[:2])
    nothing = torch.zeros_like(codes, dtype=torch.bool)
    logs = warm.conditionals(codes, nothing)  # type: ignore[attr-defined]
    torch.testing.assert_close(cold.conditionals(codes, nothing), (2 * logs).log_softmax(-1))  # type: ignore[attr-defined]
    warm.prior.set_temperature(0.5)  # type: ignore[attr-defined]
    torch.testing.assert_close(warm.conditionals(codes, nothing), (2 * logs).log_softmax(-1))  # type: ignore[attr-defined]
    with pytest.raises(InvalidArgument, match="temperature"):
        warm.prior.set_temperature(0.0)  # type: ignore[attr-defined]


def test_continuous_latents_get_a_mixture() -> None:
    prior = ls.fit_prior(VAE, torch.cat([IMAGES, IMAGES.roll(1, 3), IMAGES.roll(-1, 3)]), held_out=0.2)
    assert isinstance(prior.prior, GaussianMixture) and set(prior.figures) == {"nats", "standard normal"}
    assert prior.sample(Noise.from_seed(0, 3)).shape == (3, 20)
    assert prior.residuals.shape[1:] == (1, 28, 28)


def test_spatial_latents_get_what_held_out_ones_are_likeliest_under() -> None:
    # Each is rough or smooth, all over; with the last row like the first, which no patch sees; and as numbers in a row.
    scale = torch.tensor([0.3, 3.0]).repeat(150)[:, None, None, None]
    near = Noise.from_seed(0).normal(300, 2, 6, 6)[0]
    far = torch.cat([near[:, :, :5], near[:, :, :1] + 0.1 * near[:, :, 5:]], 2)

    def picked(latents: Tensor) -> priors.FittedPrior:
        return ls.fit_prior(ls.ContinuousGenerator(lambda z: z, tuple(latents.shape[1:])), latents)

    assert isinstance(picked((scale * near)[:100]).prior, PatchMixture)
    found = picked(scale * far)
    assert isinstance(found.prior, InnovationMixture) and found.figures["nats"] < found.figures["standard normal"]
    assert isinstance(picked(near[:, :, 0, 0]).prior, GaussianMixture)


@pytest.mark.parametrize("kind", [PatchMixture, InnovationMixture])
def test_priors_over_patches_come_back_from_their_file(kind: type, tmp_path: Path) -> None:
    latents = Noise.from_seed(0).normal(60, 2, 4, 4)[0]
    saved = priors.fitted(kind.fit(latents, 2, reach=1), torch.zeros(0), {})  # type: ignore[attr-defined]
    priors.save(saved, tmp_path / "prior.safetensors")
    found = priors.load(tmp_path / "prior.safetensors")
    assert isinstance(found.prior, kind)
    torch.testing.assert_close(found.log_prob(latents), saved.log_prob(latents), rtol=0, atol=1e-4)


def test_the_same_seed_gives_the_same_prior() -> None:
    fit = partial(ls.fit_prior, CODES, IMAGES, network=SMALL, steps=5, held_out=0.2)
    one, same, other = (fit(seed=seed).log_prob(CODES.encode(IMAGES)) for seed in (1, 1, 2))
    assert torch.equal(one, same) and not torch.equal(one, other)


def test_augmented_images_are_encoded_anew() -> None:
    seen = []

    def shifted(images: Tensor, noise: Noise) -> Tensor:
        assert len(images) == len(noise)
        seen.append(len(images))
        return images.roll(1, 3)

    ls.fit_prior(CODES, IMAGES, network=SMALL, steps=3, held_out=0.2, augment=shifted)
    assert seen == [2, 16, 16, 16]  # which are tried first
    with pytest.raises(InvalidArgument, match=r"fit_prior.augment: got latents"):
        ls.fit_prior(CODES, CODES.encode(IMAGES), steps=3, augment=shifted)


def test_a_generator_without_an_encoder_takes_latents_alone() -> None:
    blind = ls.CodebookGenerator(CODES.decoder, CODES.codebook, (7, 7))  # type: ignore[union-attr]
    latents = CODES.encode(IMAGES)
    assert ls.fit_prior(blind, latents, network=SMALL, steps=2, held_out=0.2).space == blind.space
    with pytest.raises(Unsupported, match=r"a ContinuousGenerator without an encoder"):
        ls.fit_prior(ls.ContinuousGenerator(torch.nn.Linear(2, 3).eval(), (2,)), torch.rand(20, 3))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"held_out": 0.0}, "a number in \\(0, 1\\)"),
        ({"steps": 0}, "fit_prior.steps: got 0"),
    ],
)
def test_what_cannot_be_fitted_is_refused(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidArgument, match=message):
        ls.fit_prior(CODES, **({"images": IMAGES} | settings))


def test_a_model_is_no_generator() -> None:
    with pytest.raises(InvalidArgument, match=r"fit_prior.generator: got a VQVAE without .* ls.wrap\(model\)"):
        ls.fit_prior(zoo.load("mnist-vqvae-40"), IMAGES)  # type: ignore[arg-type]


# -- masks of allowed codes ----------------------------------------------------------------------------


def left_fixed(**settings: Any) -> ls.CodebookGenerator:
    """The same decoder with the left of the grid fixed to the codes of an image, which no other image has."""
    own = CODES.encode(IMAGES[:1])[0]
    used = torch.ones(*own.shape, 40, dtype=torch.bool)
    used[:, :4] = torch.zeros(7, 4, 40, dtype=torch.bool).scatter(-1, own[:, :4, None], True)
    assert isinstance(CODES, ls.CodebookGenerator)
    whole = {"layout": CODES.layout, "output_transform": CODES.output_transform, "encode": CODES.encode} | settings
    return ls.CodebookGenerator(whole.pop("decoder", CODES.decoder), CODES.codebook, own.shape, used=used, **whole)


def test_a_prior_of_the_same_decoder_serves_where_codes_are_fixed(fitted: priors.FittedPrior) -> None:
    goal = ls.Matches(IMAGES[:1], noise="decoder") + ls.LogPrior(fitted)
    run = ls.Run(evaluations=20)
    result = ls.CoordinateSearch().search(left_fixed(), goal, seed=0, run=run)
    assert torch.equal(result.latent[..., :4], CODES.encode(IMAGES[:1])[..., :4])
    other = left_fixed(output_transform=lambda x: 1 - x, check=False)
    with pytest.raises(InvalidArgument, match=r"LogPrior\.prior: got a prior of another decoder"):
        ls.CoordinateSearch().search(other, goal, seed=0, run=run)


def test_a_fit_to_fixed_codes_is_warned_of() -> None:
    with pytest.warns(ls.FitWarning, match=r"[45]\d% of their codes are not among .* Fit to the generator without"):
        ls.fit_prior(left_fixed(), IMAGES, network=SMALL, steps=1, held_out=0.2)


# -- on disk -----------------------------------------------------------------------------------------


def code_priors() -> dict[str, Any]:
    space, book = ls.Discrete((2, 3), 5), torch.randn(5, 4, generator=torch.Generator().manual_seed(0))
    histogram = torch.randn(2, 3, 5, generator=torch.Generator().manual_seed(1))
    return {
        "masked": MaskedDiffusion(space, codebook=book, histogram=histogram, channels=8, blocks=2, cost=3.5, steps=2),
        "transformer": MaskedDiffusion(space, channels=32, blocks=1, trunk="transformer"),
        "pixelcnn": PixelCNN(space, codebook=book, channels=8, blocks=2, classes=3),
        "histogram": HistogramPrior(histogram),
    }


@pytest.mark.parametrize("name", ["masked", "transformer", "pixelcnn", "histogram"])
def test_a_prior_comes_back_from_its_file(name: str, tmp_path: Path) -> None:
    prior = code_priors()[name]
    prior = prior.eval() if isinstance(prior, torch.nn.Module) else prior
    saved = priors.fitted(prior, torch.rand(2, 1, 4, 4), {"bits": 1.5})
    priors.save(saved, tmp_path / "prior.safetensors")
    found = priors.load(tmp_path / "prior.safetensors")
    z = HistogramPrior(torch.zeros(2, 3, 5)).sample(Noise.from_seed(0, 4))
    torch.testing.assert_close(found.log_prob(z), saved.log_prob(z), rtol=0, atol=0)
    assert torch.equal(found.sample(Noise.from_seed(1, 4)), saved.sample(Noise.from_seed(1, 4)))
    assert (found.cost, found.figures, type(found)) == (saved.cost, saved.figures, type(saved))
    assert torch.equal(found.residuals, saved.residuals)
    check_prior(found) if name == "histogram" else None


def test_half_precision_on_disk_is_read_in_float32(fitted: priors.FittedPrior, tmp_path: Path) -> None:
    sizes = []
    for name, dtype in (("whole", None), ("half", torch.float16)):
        priors.save(fitted, tmp_path / name, dtype=dtype)
        sizes.append((tmp_path / name).stat().st_size)
    found, z = priors.load(tmp_path / "half"), CODES.encode(IMAGES)
    assert sizes[1] < 0.6 * sizes[0] and found.log_prob(z).dtype == torch.float32
    torch.testing.assert_close(found.log_prob(z), fitted.log_prob(z), rtol=1e-2, atol=0.1)


def test_other_files_and_priors_are_refused(tmp_path: Path) -> None:
    strange = priors.fitted(priors.StandardNormal((2,)), torch.zeros(0), {})
    with pytest.raises(InvalidArgument, match=r"priors.save: got StandardNormal"):
        priors.save(strange, tmp_path / "prior")
    (tmp_path / "torn").write_bytes(b"torn")
    with pytest.raises(BrokenFile, match="not a whole safetensors file"):
        priors.load(tmp_path / "torn")


def test_the_package_has_a_prior_for_its_vqvae() -> None:
    prior = zoo.prior("mnist-vqvae-512")
    assert prior.figures["bits"] < 3.9 < 6 < prior.figures["histogram"]
    generator = ls.wrap(zoo.load("mnist-vqvae-512"))
    assert prior.fingerprint.latent.shape == (2, 7, 7) and prior.fingerprint.is_of(generator)
    z = generator.encode(IMAGES)
    bits = -prior.log_prob(z) / 49 / math.log(2)
    assert 2 < float(bits.mean()) < 4.5
    with pytest.raises(InvalidArgument, match=r"zoo.prior: got 'mnist-vae'"):
        zoo.prior("mnist-vae")


# -- the decoder's own error -------------------------------------------------------------------------


def test_the_decoders_error_is_measured_where_the_target_counts(fitted: priors.FittedPrior) -> None:
    square = fitted.residuals.square().mean(0)
    left = ls.Matches(IMAGES[:2], mask=LEFT, noise="decoder").calibrated(fitted.residuals)
    torch.testing.assert_close(left.noise, (square[..., :14].mean() / 0.5).sqrt()[None])
    small = ls.Downscales(torch.zeros(1, 1, 7, 7), 4, mode="area", noise="decoder").calibrated(fitted.residuals)
    expected = torch.nn.functional.avg_pool2d(fitted.residuals, 4).square().mean()
    torch.testing.assert_close(small.noise, (expected / 0.5).sqrt()[None])
    both = ls.Matches(IMAGES[:2], mask=torch.cat([LEFT, 1 - LEFT]), noise="decoder").calibrated(fitted.residuals)
    assert both.noise.shape == (2,) and both.noise[0] == left.noise[0] != both.noise[1]


def test_a_search_finds_the_decoders_error_out(fitted: priors.FittedPrior) -> None:
    goal = ls.Matches(IMAGES[:1], mask=LEFT, noise="decoder") + ls.LogPrior(fitted)
    known = goal.goal.calibrated(fitted.residuals)
    searches = (ls.search(CODES, each, seed=0, run=ls.Run(evaluations=300)) for each in (goal, known))
    assert torch.equal(*(result.latent for result in searches))
    judged = (ls.judge.report(z[:, None], ls.judge.Reference(CODES, IMAGES), each) for z in [CODES.encode(IMAGES[:1])]
              for each in (goal, known))  # fmt: skip
    assert len({found["loss"].answers for found in judged}) == 1
    with pytest.raises(InvalidArgument, match=r"Matches.noise: got 'decoder'"):
        ls.search(CODES, ls.Matches(IMAGES[:1], noise="decoder"), seed=0)
    with pytest.raises(InvalidArgument, match=r"Matches.noise: got 'decoder'"):
        ls.Matches(IMAGES[:1], noise="decoder")(IMAGES[:1], IMAGES[:1])


def test_a_mean_of_squares_beside_a_prior_in_nats_is_refused(fitted: priors.FittedPrior) -> None:
    with pytest.raises(InvalidArgument, match=r"a mean, beside a prior in nats .* noise='decoder'"):
        ls.search(CODES, ls.Matches(IMAGES[:1]) + ls.LogPrior(fitted), seed=0)
    weighed = ls.Matches(IMAGES[:1]) + 1e-4 * ls.LogPrior(fitted)
    assert ls.search(CODES, weighed, seed=0, run=ls.Run(evaluations=200)).latent.shape == (1, 7, 7)


def test_the_method_is_chosen_by_whether_a_prior_can_propose(fitted: priors.FittedPrior) -> None:
    match = ls.Matches(IMAGES[:1], noise=0.1)
    choose = ls.AutoSearch().choose
    for cost, chains in ((7.0, 3), (60.0, 1)):
        fitted.prior.set_cost(cost)  # type: ignore[attr-defined]
        chosen = choose(CODES, match + ls.LogPrior(fitted), ls.Run(evaluations=3000))
        assert isinstance(chosen, ls.GibbsSearch) and chosen.restarts == chains
    for other in (match, match + ls.LogPrior(CODES.prior)):
        assert not isinstance(choose(CODES, other), ls.GibbsSearch)


def test_images_of_the_shape_of_latents_are_encoded() -> None:
    mix = torch.linalg.qr(torch.randn(6, 6, generator=torch.Generator().manual_seed(0))).Q

    def encode(x: Tensor) -> Tensor:
        return (x - 3) @ mix.T

    generator = ls.ContinuousGenerator(lambda z: z @ mix + 3, (6,), encode=encode)
    z = Noise.from_seed(0, 300).normal(6)
    prior = ls.fit_prior(generator, generator.decode(z))
    assert prior.residuals.shape[1:] == (6,) and float(prior.sample(Noise.from_seed(1, 200)).mean().abs()) < 0.5
    blind = ls.ContinuousGenerator(lambda z: z @ mix + 3, (6,))
    assert ls.fit_prior(blind, z).residuals.numel() == 0


def test_a_carried_prior_stands_in_no_searchs_way_that_does_not_draw_from_it() -> None:
    generator = ls.wrap(zoo.load("mnist-vqvae-512"), output_transform=lambda x: 2 * x - 1)
    result = ls.RelaxedSearch(steps=2).search(generator, ls.Matches(2 * IMAGES[:1] - 1), seed=0)
    assert bool(result.score.loss.isfinite().all())
    with pytest.raises(InvalidArgument, match="prior=None"):
        ls.GibbsSearch(sweeps=1).search(generator, ls.Matches(2 * IMAGES[:1] - 1, noise=0.1), seed=0)


def test_only_networks_that_can_be_tempered_are_fitted() -> None:
    with pytest.raises(InvalidArgument, match="one of CategoricalFlow"):
        ls.fit_prior(CODES, IMAGES, network=lambda space, codebook, histogram: priors.CategoricalFlow(space, codebook))
    with pytest.raises(InvalidArgument, match="a positive number"):
        SMALL(ls.Discrete((2, 2), 3)).set_temperature("1")  # type: ignore[arg-type]
