"""Settings and tensors that no model, critic or prior can work with: each is told before any work."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import nn

import latentsearch as ls
import latentsearch.critics
import latentsearch.models
from latentsearch.priors import StandardNormal
from latentsearch.relaxations import Annealed

# Of no type, as what is given is of the wrong one.
models: Any = latentsearch.models
critics: Any = latentsearch.critics
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
