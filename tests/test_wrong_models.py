"""Settings and tensors that no model, critic or prior can work with: each is told before any work."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn
from torch.distributions import MultivariateNormal

import latentsearch as ls
import latentsearch.critics
import latentsearch.models
import latentsearch.priors
from latentsearch.priors import StandardNormal
from latentsearch.relaxations import Annealed

# Of no type, as what is given is of the wrong one.
models: Any = latentsearch.models
critics: Any = latentsearch.critics
priors: Any = latentsearch.priors
SHAPE = (1, 8, 8)
NAN = float("nan")
LINE = ls.Continuous((4,))
SIZED: list[tuple[Any, str]] = [
    (models.VAE, "width"),
    (models.VAE, "channels"),
    (models.VAE, "residual_blocks"),
    (models.VQVAE, "codebook_size"),
    (models.VQVAE, "width"),
    (models.VQVAE, "channels"),
    (models.VQVAE, "halvings"),
    (models.Classifier, "classes"),
    (models.Classifier, "channels"),
    (models.DiscreteVAE, "variables"),
    (models.DiscreteVAE, "categories"),
]
SHAPED = (models.VAE, models.VQVAE, models.Classifier, models.Autoencoder, models.DenseVAE, models.DiscreteVAE)


@pytest.mark.parametrize("value", [True, 1.5, "3", None, -1])
@pytest.mark.parametrize(("kind", "setting"), SIZED)
def test_sizes_are_whole_numbers(kind: Any, setting: str, value: object) -> None:
    with pytest.raises(ls.InvalidArgument, match=rf"{kind.__name__}\.{setting}: got .*whole number of at least \d"):
        kind(SHAPE, **{setting: value})


@pytest.mark.parametrize("shape", [(8, 8), 8, (1, 0, 8), "1x8x8", (1, 8.0, 8), (True, 8, 8), None])
@pytest.mark.parametrize("kind", SHAPED)
def test_images_have_channels_height_and_width(kind: Any, shape: object) -> None:
    with pytest.raises(ls.InvalidArgument, match=rf"{kind.__name__}\.image_shape: got .*three whole numbers"):
        kind(shape)


def test_sides_can_be_halved_as_often_as_is_said() -> None:
    assert models.VQVAE((1, 8, 8), channels=4, width=2, halvings=3).latent_shape == (1, 1)
    with pytest.raises(ls.InvalidArgument, match="sides divisible by 8"):
        models.VQVAE((1, 12, 12), halvings=3)
    with pytest.raises(ls.InvalidArgument, match=r"channels: got 3, expected a whole number of at least 4"):
        models.VQVAE((1, 8, 8), channels=3, halvings=3)


@pytest.mark.parametrize(
    ("make", "match"),
    [
        (lambda: models.VQVAE(SHAPE, commitment=NAN), r"VQVAE\.commitment: got nan"),
        (lambda: models.VQVAE(SHAPE, variance="1"), r"VQVAE\.variance: got '1', expected a positive number"),
        (lambda: models.VQVAE(SHAPE, normalise="no"), r"VQVAE\.normalise: got 'no', expected True or False"),
        (lambda: models.Codebook(5, 3, decay=True), r"Codebook\.decay: got True"),
        (lambda: models.Codebook(5, 3, revive_below=-1), r"Codebook\.revive_below: got -1"),
        (lambda: models.CentreAutoencoder(SHAPE, decay=None), r"CentreAutoencoder\.decay: got None"),
        (lambda: models.CentreAutoencoder(SHAPE, looked_at="0.5"), r"CentreAutoencoder\.looked_at: got '0\.5'"),
        (
            lambda: models.MixedVAE(SHAPE, dropout="0.5"),
            r"MixedVAE\.dropout: got '0\.5', expected a number in",
        ),
        (lambda: models.MixedVAE(SHAPE, widths=8), r"MixedVAE\.widths: got 8, expected four"),
        (lambda: models.MixedVAE(SHAPE, schedule="cosine"), r"MixedVAE\.schedule: got 'cosine', expected a function"),
        (lambda: models.DiscreteVAE(SHAPE, schedule=Annealed), r"got the class Annealed, .*write Annealed\(\)"),
        (lambda: models.DiscreteVAE(SHAPE, schedule=str), r"got the class str"),
        (lambda: models.DiscreteVAE(SHAPE, schedule=lambda step: "1"), r"a function that gives '1'"),
        (lambda: models.MelodyVAE(32, bars=2, kl_weight=True), r"MelodyVAE\.kl_weight: got True"),
        (lambda: models.MelodyVAE(32, bars=2, free_nats=NAN), r"MelodyVAE\.free_nats: got nan"),
        (lambda: models.LatentNetwork(LINE, 1, labels=-1), r"LatentNetwork\.labels: got -1"),
        (lambda: models.LatentNetwork((4,), 1), r"LatentNetwork\.space: got \(4,\), .*Continuous\("),
        (lambda: models.LatentNetwork(LINE, 1, activation=nn.ReLU()), r"got a ReLU, expected a class"),
        (lambda: models.ResidualBlock(0), r"ResidualBlock\.channels: got 0"),
        (lambda: critics.Actor((4,)), r"Actor\.space: got \(4,\), expected a space"),
        (lambda: critics.AttributeCritic(LINE, 3, exclusive="yes"), r"exclusive: got 'yes', expected True or False"),
        (lambda: critics.RealismCritic(StandardNormal((4,)), divergence="js"), r"got 'js', expected 'cross-entropy'"),
        (lambda: critics.RealismCritic(StandardNormal((4,)), inner_rate=NAN), r"inner_rate: got nan"),
        (
            lambda: critics.ActorCritic(critics.Actor, critics.Critic(LINE), StandardNormal((4,)), spread=1.0),
            r"ActorCritic\.actor: got the class Actor",
        ),
    ],
)
def test_settings_are_of_their_kind(make: Callable[[], object], match: str) -> None:
    with pytest.raises(ls.InvalidArgument, match=match):
        make()


@pytest.mark.parametrize(
    ("model", "latents"),
    [
        (models.VAE(SHAPE, width=3, channels=4), "3"),
        (models.Autoencoder(SHAPE, width=3, channels=4), "3"),
        (models.DenseVAE(SHAPE, width=3, hidden=4), "3"),
        (models.DenseAutoencoder(SHAPE, width=3, hidden=4), "3"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_images_and_latents_are_those_of_the_model(model: Any, latents: str) -> None:
    name = type(model).__name__
    with pytest.raises(ls.InvalidArgument, match=rf"{name}\.images: .*\(1, 1, 9, 9\).*expected \(N, 1, 8, 8\)"):
        model.encode(torch.zeros(1, 1, 9, 9))
    with pytest.raises(ls.InvalidArgument, match=r"images\[None\]"):
        model.encode(torch.zeros(1, 8, 8))
    with pytest.raises(ls.InvalidArgument, match=rf"{name}\.latents: .*\(1, 5\).*expected \(N, {latents}\)"):
        model.decode(torch.zeros(1, 5))
    with pytest.raises(ls.InvalidArgument, match=rf"{name}\.latents: got a list"):
        model.decode([0.0, 0.0, 0.0])


# -- priors ------------------------------------------------------------------------------------------

GRIDS = ls.Discrete((2, 2), 5)
VECTORS: dict[str, Callable[[], Any]] = {
    "StandardNormal": lambda: priors.StandardNormal((4,)),
    "GaussianMixture": lambda: priors.GaussianMixture(torch.zeros(2), torch.zeros(2, 4), torch.eye(4).expand(2, 4, 4)),
    "DistributionPrior": lambda: priors.DistributionPrior(MultivariateNormal(torch.zeros(4), torch.eye(4))),
    "RealNVP": lambda: priors.RealNVP((4,), blocks=1, width=4),
    "RectifiedFlow": lambda: priors.RectifiedFlow((4,), width=4, depth=1, steps=1),
    "Concrete": lambda: priors.Concrete(torch.zeros(5), 1.0),
    "LogisticNormal": lambda: priors.LogisticNormal(torch.zeros(4), torch.eye(4)),
}
CODES: dict[str, Callable[[], Any]] = {
    "UniformCodes": lambda: priors.UniformCodes(GRIDS),
    "HistogramPrior": lambda: priors.HistogramPrior(torch.zeros(2, 2, 5)),
    "MaskedDiffusion": lambda: priors.MaskedDiffusion(GRIDS, channels=4, blocks=1).eval(),
    "PixelCNN": lambda: priors.PixelCNN(GRIDS, channels=4, blocks=1).eval(),
}


@pytest.mark.parametrize("name", [*VECTORS, *CODES])
@pytest.mark.parametrize("noise", [3, None, torch.Generator(), ls.Noise])
def test_draws_take_noise(name: str, noise: object) -> None:
    with pytest.raises(ls.InvalidArgument, match=rf"{name}\.noise: got .*, expected a Noise; Noise\.from_seed"):
        (VECTORS | CODES)[name]().sample(noise)


@pytest.mark.parametrize("name", VECTORS)
def test_densities_are_of_the_priors_latents(name: str) -> None:
    prior = VECTORS[name]()
    for z in (torch.zeros(2, 5), torch.zeros(2, 4).long(), torch.zeros(()), [0.0] * 4):
        with pytest.raises(ls.InvalidArgument, match=rf"{name}\.log_prob: got .*expected a floating tensor \(N, 4\)"):
            prior.log_prob(z)
    with pytest.raises(ls.InvalidArgument, match=r"z\[None\]"):
        prior.log_prob(torch.zeros(4))
    assert prior.log_prob(torch.zeros(3, 4)).shape == (3,)


@pytest.mark.parametrize("name", CODES)
def test_densities_are_of_the_priors_codes(name: str) -> None:
    prior = CODES[name]()
    grid = torch.zeros(1, 2, 2)
    for z in (torch.zeros(1, 3, 3).long(), grid, grid.int(), grid.long()[0], torch.zeros(1, 2, 2, 4), [0]):
        with pytest.raises(ls.InvalidArgument, match=rf"{name}\.log_prob: got .*int64 codes \(N, 2, 2\)"):
            prior.log_prob(z)
    assert prior.log_prob(torch.full((1, 2, 2, 5), 0.2)).shape == (1,)


@pytest.mark.parametrize("name", ["HistogramPrior", "MaskedDiffusion", "PixelCNN"])
def test_codes_beyond_are_told_where_they_are_looked_at(name: str) -> None:
    with pytest.raises(ls.InvalidArgument, match=r"codes .*7.*\[0, 5\)"):
        CODES[name]().log_prob(torch.full((1, 2, 2), 7))


WEIGHTS, MEANS, FACTORS = torch.zeros(2), torch.zeros(2, 4), torch.eye(4).expand(2, 4, 4)
LATENTS = torch.randn(30, 4, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("value", [True, 1.5, "3", None, 0])
@pytest.mark.parametrize("kind", ["MaskedDiffusion", "PixelCNN"])
@pytest.mark.parametrize("setting", ["channels", "blocks"])
def test_networks_of_codes_have_sizes(kind: str, setting: str, value: object) -> None:
    with pytest.raises(ls.InvalidArgument, match=rf"{kind}\.{setting}: got .*whole number of at least 1"):
        getattr(priors, kind)(GRIDS, **{"channels": 4, "blocks": 1, setting: value})


@pytest.mark.parametrize("value", [True, NAN, "0.5", None, -0.1, 5])
@pytest.mark.parametrize("kind", ["MaskedDiffusion", "PixelCNN"])
@pytest.mark.parametrize("setting", ["dropout", "mix", "cost"])
def test_networks_of_codes_have_shares_and_costs(kind: str, setting: str, value: object) -> None:
    if (setting, value) == ("cost", 5):
        return
    with pytest.raises(ls.InvalidArgument, match=rf"{kind}\.{setting}: got .*expected a number"):
        getattr(priors, kind)(GRIDS, **{"channels": 4, "blocks": 1, setting: value})


@pytest.mark.parametrize(
    ("make", "match"),
    [
        (lambda: priors.StandardNormal((0,)), r"shape: got \(0,\), expected a tuple of positive integers"),
        (
            lambda: priors.StandardNormal((4,), torch.int64),
            r"StandardNormal\.dtype: got torch\.int64, .*torch\.float32",
        ),
        (lambda: priors.RealNVP(LINE), r"shape: got Continuous"),
        (lambda: priors.UniformCodes((2, 2)), r"UniformCodes\.space: got \(2, 2\), expected a Discrete"),
        (lambda: priors.UniformCodes(GRIDS, used=torch.ones(5)), r"UniformCodes\.used: got a float32 .*expected bool"),
        (lambda: priors.UniformCodes(GRIDS, used=torch.zeros(5).bool()), "got a position with no code"),
        (lambda: priors.HistogramPrior.from_codes(torch.zeros(0, 2).long(), 5), "at least one row of codes"),
        (lambda: priors.PixelCNN(GRIDS, classes=-1), r"PixelCNN\.classes: got -1"),
        (lambda: priors.PixelCNN(GRIDS, codebook=[[1.0]] * 5), r"PixelCNN\.codebook: got a list, expected a tensor"),
        (lambda: priors.GaussianMixture([0.0], MEANS, FACTORS), r"log_weights: got a list, expected a floating tensor"),
        (lambda: priors.GaussianMixture(WEIGHTS * NAN, MEANS, FACTORS), r"GaussianMixture\.log_weights: got NaN"),
        (lambda: priors.GaussianMixture(WEIGHTS, MEANS, FACTORS.mT + 1), r"scale_tril: got numbers above the diagonal"),
        (lambda: priors.GaussianMixture(WEIGHTS, MEANS, -FACTORS), r"scale_tril: got a diagonal that is not positive"),
        (lambda: priors.fit_gaussian_mixture([[0.0]], LATENTS), r"fit_gaussian_mixture\.latents: got a list"),
        (lambda: priors.fit_gaussian_mixture(LATENTS, LATENTS[:0]), r"fit_gaussian_mixture\.held_out: .*one row"),
        (lambda: priors.fit_gaussian_mixture(LATENTS, LATENTS, components=10), r"components: got 10, expected a list"),
        (lambda: priors.PatchMixture(None, (4, 4), 1), r"PatchMixture\.patches: got None"),
        (lambda: priors.to_alr([0.5, 0.5]), r"to_alr\.log_y: got a list"),
        (lambda: priors.fitted(None, torch.zeros(0), {}), r"FittedPrior\.prior: got NoneType"),
        (lambda: priors.fitted(StandardNormal, torch.zeros(0), {}), r"got the class StandardNormal, .*make one"),
        (lambda: priors.fitted(StandardNormal((4,)), [0.1], {}), r"FittedPrior\.residuals: got a list"),
    ],
)
def test_priors_are_made_of_what_they_can_be(make: Callable[[], object], match: str) -> None:
    with pytest.raises(ls.InvalidArgument, match=match):
        make()


def test_a_component_may_never_be_drawn() -> None:
    prior = priors.GaussianMixture(torch.tensor([0.0, -torch.inf]), MEANS, FACTORS)
    assert prior.log_prob(torch.zeros(1, 4)).isfinite().all()


@pytest.mark.parametrize("path", [None, 3, "", "."])
def test_fitted_priors_are_files(path: Any) -> None:
    prior = priors.fitted(priors.GaussianMixture(WEIGHTS, MEANS, FACTORS), torch.zeros(0), {})
    with pytest.raises(ls.InvalidArgument, match=r"priors\.save\.path: got .*expected a path of a file"):
        priors.save(prior, path)
    with pytest.raises(ls.InvalidArgument, match=r"priors\.load\.path: got .*expected a path of a file"):
        priors.load(path)


def test_what_a_file_can_hold_is_told(tmp_path: Path) -> None:
    prior = priors.fitted(priors.GaussianMixture(WEIGHTS, MEANS, FACTORS), torch.zeros(0), {})
    with pytest.raises(ls.InvalidArgument, match=r"priors\.save\.dtype: got torch\.int8"):
        priors.save(prior, tmp_path / "prior.safetensors", dtype=torch.int8)
    with pytest.raises(FileNotFoundError, match=r"nowhere, where no file is"):
        priors.load(tmp_path / "nowhere")
    priors.save(prior, tmp_path / "prior.safetensors")
    with pytest.raises(ls.InvalidArgument, match=r"priors\.load\.device: got 'gpu', .*'cuda'"):
        priors.load(tmp_path / "prior.safetensors", device="gpu")
    with pytest.raises(ls.errors.MissingFile) as caught:
        priors.load(tmp_path / "nowhere")
    assert str(pickle.loads(pickle.dumps(caught.value))) == str(caught.value)
