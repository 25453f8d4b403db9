"""Digits on demand: 200 samples of each class."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor

import latentsearch as ls
from latentsearch.priors import StandardNormal

from .fits import Fits
from .setting import Setting

EACH = 200
COLUMNS = {
    "read right": ("accuracy", "{:.1%}"),
    "Fréchet": ("frechet", "{:.1f}"),
    "diversity": ("diversity", "{:.2f}"),
    "shift": ("shift", "{:.1f}"),
    "evaluations": ("evaluations", "{:,.0f}"),
    "seconds": ("seconds", "{:.0f}"),
}


def rows(setting: Setting, fits: Fits) -> Iterator[dict[str, Any]]:
    """A row a method. Searches of latents begin at draws of N(0, I), and no decoder runs before they end."""
    labels = torch.arange(10).repeat_interleave(EACH)
    critic, spread = fits.critic(), setting.spread
    asked = ls.Classified(critic, labels, of="latent", threshold=0.97)
    start = StandardNormal((20,)).sample(ls.Noise.from_seed(7, len(labels)))
    test, digits = setting.test_latents, setting.test[1]
    yield {"method": "encodings of test digits"} | judged(setting, test, digits)
    yield {"method": "N(0, I)"} | judged(setting, start, labels)

    def searched(name: str, searcher: ls.Searcher, goal: ls.Goal, evaluations: int = 400) -> dict[str, Any]:
        run = ls.Run(evaluations=evaluations)
        result = searcher.search(setting.generator, goal, init=start, seed=0, run=run)
        spent = {"evaluations": float(result.evaluations.mean()), "seconds": result.seconds}
        return {"method": name} | judged(setting, result.latent, labels, start) | spent

    yield searched("attribute alone", ls.GradientSearch(), asked)
    approved = ls.HasAttributes(fits.realism(), threshold=0.5)
    yield searched("attribute + 0.1 realism, as the paper", ls.GradientSearch(), asked + 0.1 * approved)
    near = 0.5 * ls.Near(start, scale=spread.square()[None])
    rounds = ls.AugmentedLagrangian(ls.GradientSearch())
    yield searched("the nearest that is of the class", rounds, near.subject_to(asked), 600)
    density = ls.LogPrior(fits.mixture()).below(float(-fits.mixture().log_prob(test).quantile(0.1)))
    yield searched("the nearest of the class, as likely as data", rounds, near.subject_to(asked, density), 1000)
    for distance in (0.0, 0.1):
        actor = ls.ActorSearch(fits.actor(distance), fits.actor(distance).one_hot(labels))
        yield searched(f"actor, λ = {distance:g}", actor, asked)
    free = ls.Classified(critic, labels, of="latent", threshold=None)
    prior = ls.LogPrior(StandardNormal((20,)))
    yield searched("importance resampling of 2,000", ls.ImportanceResampling(), free + prior, 2000)
    yield searched("MALA, a mixture and the critic", ls.MALASearch(), free + ls.LogPrior(fits.mixture()), 1000)
    yield by_class(setting, fits, "a mixture a class", None, labels)
    yield by_class(setting, fits, "a mixture a class, rejection by the critic", 0.9, labels)


def by_class(setting: Setting, fits: Fits, name: str, threshold: float | None, labels: Tensor) -> dict[str, Any]:
    """Draws of a mixture for each class; with a threshold, the first that the critic takes for one of the class."""
    drawn, spent, seconds = [], [], 0.0
    for label in range(10):
        generator = setting.with_prior(fits.mixture(label))
        if threshold is None:
            drawn.append(generator.prior.sample(ls.Noise.from_seed(label, EACH)))
            continue
        goal = ls.Classified(fits.critic(), torch.full((EACH,), label), of="latent", threshold=threshold)
        result = ls.RandomSearch(batch=1).search(generator, goal, seed=label, run=ls.Run(evaluations=100))
        drawn.append(result.latent)
        spent.append(float(result.evaluations.mean()))
        seconds += result.seconds
    row = {"method": name} | judged(setting, torch.cat(drawn), labels)
    return row | ({"evaluations": sum(spent) / len(spent), "seconds": seconds} if spent else {})


def judged(setting: Setting, latents: Tensor, labels: Tensor, start: Tensor | None = None) -> dict[str, float]:
    found = {
        "accuracy": setting.accuracy(latents, labels),
        "frechet": setting.frechet(latents),
        "diversity": setting.diversity(latents, labels),
    }
    return found if start is None else found | {"shift": setting.shift(start, latents)}
