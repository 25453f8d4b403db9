"""Samples made more like data: draws of N(0, I), shifted."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch

import latentsearch as ls
from latentsearch.priors import StandardNormal

from .fits import Fits
from .setting import Setting

COUNT = 5000
COLUMNS = {
    "Fréchet": ("frechet", "{:.1f}"),
    "diversity": ("diversity", "{:.2f}"),
    "shift": ("shift", "{:.1f}"),
}


def rows(setting: Setting, fits: Fits) -> Iterator[dict[str, Any]]:
    """A row a method."""
    start = StandardNormal((20,)).sample(ls.Noise.from_seed(8, COUNT))
    found = {"encodings": setting.latents[:COUNT], "N(0, I)": start}
    actors = {distance: fits.actor(distance, labelled=False) for distance in (0.0, 0.1)}
    with torch.no_grad():
        found |= {f"actor, λ = {distance:g}": actor(start) for distance, actor in actors.items()}
    approved = ls.HasAttributes(fits.realism(), torch.ones(2000, 1), threshold=0.5)
    run = ls.Run(evaluations=200, stop_when_satisfied=False)
    result = ls.GradientSearch().search(setting.generator, approved, init=start[:2000], seed=0, run=run)
    found["100 steps on the critic"] = result.latent
    found["a mixture of 50"] = fits.mixture().sample(ls.Noise.from_seed(9, COUNT))
    for name, latents in found.items():
        row = {"method": name, "frechet": setting.frechet(latents), "diversity": setting.diversity(latents, None)}
        shifted = name.startswith(("actor", "100"))
        yield row | ({"shift": setting.shift(start[: len(latents)], latents)} if shifted else {})
