"""Eight attributes at once, in combinations that other digits have: Table 3 of the paper, with rules as the judge.

The rules are those of `argmax/attributes.py`: each reads one attribute, such as *slanted* or *looped*, off an image.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from argmax.attributes import measures, thresholds
from torch import Tensor

import latentsearch as ls
from latentsearch.priors import StandardNormal

from .fits import Fits
from .setting import Setting

COUNT = 1000
COLUMNS = {
    "accuracy": ("accuracy", "{:.1%}"),
    "precision": ("precision", "{:.1%}"),
    "recall": ("recall", "{:.1%}"),
    "F1": ("f1", "{:.1%}"),
    "all eight": ("all", "{:.1%}"),
    "Fréchet": ("frechet", "{:.1f}"),
    "shift": ("shift", "{:.1f}"),
}


def limits(setting: Setting) -> Tensor:
    """``(8,)``: above what a measure counts as having the attribute, from the training images."""
    return thresholds(measures(setting.train[0][:20_000]))


def rows(setting: Setting, fits: Fits) -> Iterator[dict[str, Any]]:
    """A row a method."""
    limit = limits(setting)
    own = (measures(setting.test[0]) > limit).float()
    asked = own[:COUNT]
    start = StandardNormal((20,)).sample(ls.Noise.from_seed(12, COUNT))

    def judged(latents: Tensor, before: Tensor | None = None) -> dict[str, float]:
        found = scores(measures(setting.images(latents)) > limit, asked > 0.5)
        found["frechet"] = setting.frechet(latents)
        return found if before is None else found | {"shift": setting.shift(before, latents)}

    yield {"method": "encodings of digits that have them"} | judged(setting.test_latents[:COUNT])
    yield {"method": "N(0, I)"} | judged(start)
    critic = fits.attributes(limit)
    wanted = ls.HasAttributes(critic, asked, threshold=0.9)
    near = 0.5 * ls.Near(start, scale=setting.spread.square()[None])
    mixture = fits.mixture()
    likely = ls.LogPrior(mixture).below(float(-mixture.log_prob(setting.test_latents).quantile(0.1)))
    rounds, run = ls.AugmentedLagrangian(ls.GradientSearch()), ls.Run(evaluations=1000)
    for name, goal in {
        "the nearest that have them": near.subject_to(wanted),
        "the nearest, as likely as data": near.subject_to(wanted, likely),
    }.items():
        result = rounds.search(setting.generator, goal, init=start, seed=0, run=run)
        yield {"method": name} | judged(result.latent, start)
    actor = fits.actor_of_attributes(limit)
    with torch.no_grad():
        yield {"method": "actor, λ = 0"} | judged(actor(start, asked), start)


def scores(found: Tensor, asked: Tensor) -> dict[str, float]:
    """Means over attributes, of booleans ``(N, 8)``; and the share of rows that have all as asked."""
    both, has, wants = ((found & asked).double().sum(0), found.double().sum(0), asked.double().sum(0))
    precision, recall = both / has.clamp(min=1), both / wants.clamp(min=1)
    f1 = 2 * both / (has + wants).clamp(min=1)
    right = found == asked
    means = {"precision": precision, "recall": recall, "f1": f1, "accuracy": right.double().mean(0)}
    return {name: float(values.mean()) for name, values in means.items()} | {"all": float(right.all(1).double().mean())}
