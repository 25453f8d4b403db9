"""The trained priors of the posterior benchmark: how they are built, and the weights that the log vouches for."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

import latentsearch as ls
from codes_bench.bits import BitDiffusion
from codes_bench.generators import WEIGHTS, vouched
from latentsearch import training
from latentsearch.priors import HistogramPrior, MaskedDiffusion, PixelCNN

LOG = Path(__file__).parents[2] / "logs" / "priors.json"

TrainedPrior = MaskedDiffusion | PixelCNN


@dataclass(frozen=True)
class Recipe:
    """What a prior is and how it is trained.

    A judge shares no image, no seed and no architecture with the prior that it judges.

    Attributes:
        model: Its class.
        generator: Whose codes.
        first, last: Of the training images, in their own order; the last ``held_out`` of them are held out.
        held_out: How many choose the weights, or only watch.
        views: Encoded forms of each image: itself, its mirror image, then shifts of either.
        channels, blocks, dropout: Of the network.
        weight_decay: Of matrices.
        steps, seed, average, log_every: Of the fit.
        best: Whether the weights are those that did best on what is held out.
        patience: Entries of the log without a better score after which it ends.
    """

    model: type[TrainedPrior]
    generator: str
    first: int
    last: int
    held_out: int
    views: int
    channels: int
    blocks: int
    dropout: float
    weight_decay: float
    steps: int
    seed: int
    average: float = 0.999
    log_every: int = 1000
    best: bool = True
    patience: int | None = None


RECIPES = {
    "mnist-512-masked": Recipe(
        MaskedDiffusion, "mnist-512", 0, 40_000, 2000, 1, 64, 6, 0.05, 0.02, 45_000, 0, best=False
    ),
    "mnist-512-masked-96": Recipe(
        MaskedDiffusion, "mnist-512", 0, 40_000, 2000, 1, 96, 8, 0.05, 0.02, 40_000, 0, best=False
    ),
    "mnist-512-judge": Recipe(
        PixelCNN, "mnist-512", 40_000, 60_000, 2000, 1, 64, 5, 0.15, 0.02, 12_000, 7, 0.998, 500, patience=4
    ),
    "cifar10-8x8-masked": Recipe(MaskedDiffusion, "cifar10-8x8", 0, 14_000, 1000, 8, 96, 6, 0.1, 0.05, 28_000, 0),
    "cifar10-8x8-judge": Recipe(
        PixelCNN, "cifar10-8x8", 14_000, 20_000, 500, 2, 64, 4, 0.25, 0.05, 2500, 7, 0.998, 250, patience=4
    ),
    # A pass counts as an evaluation, although one of these costs nothing: the decoder is the identity.
    "mnist-bits-masked": Recipe(
        BitDiffusion, "mnist-bits", 0, 40_000, 250, 1, 24, 2, 0.0, 0.02, 1200, 0, 0.99, 200, best=False
    ),
}


def histogram_of(codes: Tensor, size: int = 512) -> HistogramPrior:
    """From codes ``(N, *S)`` of K = ``size``."""
    return HistogramPrior.from_codes(codes, size)


def build(recipe: Recipe, generator: ls.CodebookGenerator, histogram: HistogramPrior | None = None) -> TrainedPrior:
    """The network before training."""
    with training.initialised(recipe.seed):
        made = recipe.model(
            generator.space,
            codebook=generator.codebook,
            histogram=None if histogram is None else histogram.logits,
            channels=recipe.channels,
            blocks=recipe.blocks,
            dropout=recipe.dropout,
        )
    # Convolutions take about half the time.
    return made.to(memory_format=torch.channels_last)


def load(name: str, generator: ls.CodebookGenerator, folder: Path = WEIGHTS, log: Path = LOG) -> TrainedPrior:
    """A prior of `train_priors.py`, if it is the one in the log.

    Raises:
        BrokenFile: If its weights are missing or are others than the log's.
    """
    tensors, _, recorded = vouched(name, "prior", folder, log, "train_priors.py")
    made = build(RECIPES[name], generator)
    made.load_state_dict(tensors)
    made.set_temperature(recorded.get("temperature", 1.0))
    made.set_cost(recorded.get("cost", 1.0))
    return made.eval().requires_grad_(False)
