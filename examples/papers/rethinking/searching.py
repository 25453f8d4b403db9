"""How well a space can be searched: three goals about test images, 500 evaluations each, by what is chosen for them."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

import latentsearch as ls

from .fits import images

TARGETS, BUDGET = 32, 500
SOLVED = 1.1  # times the loss of the encoder's latent


def goals() -> dict[str, tuple[Tensor, ls.Constraint]]:
    """By name, the true images and what is known of them."""
    shown = images("mnist", "test")[0][:TARGETS]
    left = torch.zeros(1, 1, 28, 28)
    left[..., :14] = 1
    small = F.avg_pool2d(shown, 4)
    return {
        "match": ls.Matches(shown),
        "super-resolution": ls.Downscales(small, 4, mode="area"),
        "inpainting": ls.Matches(shown, mask=left),
    }


def measured(generator: ls.AutoEncoder, seed: int) -> dict[str, dict[str, float]]:
    """By goal: the loss, that of the encoder's latents, the share as good as these, and how far the whole image is off.

    ``error`` is the squared error of the whole image, most of which super-resolution and inpainting do not see.
    """
    shown = images("mnist", "test")[0][:TARGETS]
    found = {}
    for name, goal in goals().items():
        result = ls.search(generator, goal, seed=seed, run=ls.Run(evaluations=BUDGET, chunk_rows=256))
        z = generator.encode(shown)
        encoder = goal(generator.decode(z), z).loss
        found[name] = {
            "loss": float(result.score.loss.mean()),
            "encoder": float(encoder.mean()),
            "solved": float((result.score.loss <= SOLVED * encoder).double().mean()),
            "error": float((result.output - shown).square().flatten(1).sum(1).mean()),
        }
    return found
