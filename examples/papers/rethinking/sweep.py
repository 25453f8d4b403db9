"""What the paper does not give: the weight of the pull, and how many images centres look at, beside others held out."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor

import latentsearch as ls
from latentsearch.judge import frechet_distance
from latentsearch.priors import GaussianMixture

from .fits import Fits, centres, images
from .judge import DRAWS, Judge

COLUMNS = {
    "λ1": ("pull", "{:g}"),
    "share looked at, M / (M + N)": ("looked_at", "{:g}"),
    "squared error": ("error", "{:.1f}"),
    "spread of encodings": ("spread", "{:.2f}"),
    "Fréchet distance, mixture of 10": ("frechet", "{:.1f}"),
}


def rows(fits: Fits, judge: Judge) -> Iterator[dict[str, Any]]:
    """Models with one centre, fitted for two epochs to 55,000 digits and looked at on 5,000 others."""
    shown = images("mnist", "train")[0]
    seen, held_out = shown[:20_000], shown[55_000:]
    features = judge.features(held_out)
    for pull, looked_at in [(w, 0.5) for w in (0.01, 0.1, 1.0, 10.0, 100.0)] + [(1.0, 0.25), (1.0, 0.75)]:
        model = fits.swept(centres(1, pull=pull, looked_at=looked_at))
        mixture = GaussianMixture.fit(encoded(model, seen), 10)
        drawn = model.decode(mixture.sample(ls.Noise.from_seed(0, DRAWS)))
        z = encoded(model, held_out)
        yield {
            "pull": pull,
            "looked_at": looked_at,
            "error": float((model.decode(z) - held_out).square().flatten(1).sum(1).mean()),
            "spread": float(z.var(0).sum().sqrt()),
            "frechet": frechet_distance(judge.features(drawn), features),
        }


def encoded(model: Any, pictures: Tensor) -> Tensor:
    """Encodings, a thousand images at a time."""
    return torch.cat([model.encode(part) for part in pictures.split(1000)])
