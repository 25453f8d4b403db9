"""Digits on demand: 200 samples of each class."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

import latentsearch as ls
from latentsearch.priors import StandardNormal

from .fits import Fits
from .setting import Setting

EACH = 200
REJECTION = "a mixture a class, rejection by the critic"
STRIPS = ("N(0, I)", "attribute alone", "the nearest of the class", "actor, λ = 0", "actor, near", REJECTION)
COLUMNS = {
    "read right": ("accuracy", "{:.1%}"),
    "Fréchet": ("frechet", "{:.1f}"),
    "diversity": ("diversity", "{:.2f}"),
    "shift": ("shift", "{:.1f}"),
    "evaluations": ("evaluations", "{:,.0f}"),
    "seconds": ("seconds", "{:.0f}"),
}


@dataclass(frozen=True)
class Method:
    """A search of latents that begins at draws of N(0, I); no decoder runs before it ends."""

    searcher: ls.Searcher
    goal: ls.Goal
    evaluations: int = 400


def methods(setting: Setting, fits: Fits, start: Tensor, labels: Tensor) -> dict[str, Method]:
    critic, mixture = fits.critic(), fits.mixture()
    asked = ls.Classified(critic, labels, of="latent", threshold=0.97)
    free = ls.Classified(critic, labels, of="latent", threshold=None)
    approved = ls.HasAttributes(fits.realism(), threshold=0.5)
    near = 0.5 * ls.Near(start, scale=setting.spread.square()[None])
    likely = ls.LogPrior(mixture).below(float(-mixture.log_prob(setting.test_latents).quantile(0.1)))
    rounds = ls.AugmentedLagrangian(ls.GradientSearch())
    actors = {name: ls.ActorSearch(actor, actor.one_hot(labels)) for name, actor in fits.actors().items()}
    return {
        "attribute alone": Method(ls.GradientSearch(), asked),
        "attribute + 0.1 realism, as the paper": Method(ls.GradientSearch(), asked + 0.1 * approved),
        "the nearest of the class": Method(rounds, near.subject_to(asked), 600),
        "the nearest of the class, as likely as data": Method(rounds, near.subject_to(asked, likely), 1000),
        **{name: Method(actor, asked) for name, actor in actors.items()},
        "N(0, I) and the critic, 1 of 2,000": Method(
            ls.ImportanceResampling(), free + ls.LogPrior(StandardNormal((20,))), 2000
        ),
        "a mixture and the critic, MALA": Method(ls.MALASearch(), free + ls.LogPrior(mixture), 1000),
    }


def searched(setting: Setting, method: Method, start: Tensor) -> ls.SearchResult:
    run = ls.Run(evaluations=method.evaluations)
    return method.searcher.search(setting.generator, method.goal, init=start, seed=0, run=run)


def rows(setting: Setting, fits: Fits) -> Iterator[dict[str, Any]]:
    """A row a method."""
    labels = torch.arange(10).repeat_interleave(EACH)
    start = StandardNormal((20,)).sample(ls.Noise.from_seed(7, len(labels)))
    yield {"method": "encodings of test digits"} | judged(setting, setting.test_latents, setting.test[1])
    yield {"method": "N(0, I)"} | judged(setting, start, labels)
    for name, method in methods(setting, fits, start, labels).items():
        result = searched(setting, method, start)
        spent = {"evaluations": float(result.evaluations.mean()), "seconds": result.seconds}
        yield {"method": name} | judged(setting, result.latent, labels, start) | spent
    plain = torch.cat([fits.mixture(label).sample(ls.Noise.from_seed(label, EACH)) for label in range(10)])
    yield {"method": "a mixture a class"} | judged(setting, plain, labels)
    found, evaluations, seconds = rejected(setting, fits, EACH)
    row = {"method": REJECTION} | judged(setting, found, labels)
    yield row | {"evaluations": evaluations, "seconds": seconds}


def rejected(setting: Setting, fits: Fits, each: int) -> tuple[Tensor, float, float]:
    """Of a mixture for each class the first draws that the critic takes for one of the class."""
    results = []
    for label in range(10):
        goal = ls.Classified(fits.critic(), torch.full((each,), label), of="latent", threshold=0.9)
        generator, run = setting.with_prior(fits.mixture(label)), ls.Run(evaluations=100)
        results.append(ls.RandomSearch(batch=1).search(generator, goal, seed=label, run=run))
    evaluations = torch.cat([result.evaluations for result in results]).mean()
    return torch.cat([result.latent for result in results]), float(evaluations), sum(r.seconds for r in results)


def strips(setting: Setting, fits: Fits) -> dict[str, Tensor]:
    """A digit of each class by some methods, all from the same draws."""
    labels = torch.arange(10)
    start = StandardNormal((20,)).sample(ls.Noise.from_seed(11, 10))
    found = methods(setting, fits, start, labels)
    latents = {"N(0, I)": start} | {name: searched(setting, found[name], start).latent for name in STRIPS[1:-1]}
    latents[REJECTION] = rejected(setting, fits, 1)[0]
    return {name: setting.images(z) for name, z in latents.items()}


def judged(setting: Setting, latents: Tensor, labels: Tensor, start: Tensor | None = None) -> dict[str, float]:
    found = {
        "accuracy": setting.accuracy(latents, labels),
        "frechet": setting.frechet(latents),
        "diversity": setting.diversity(latents, labels),
    }
    return found if start is None else found | {"shift": setting.shift(start, latents)}
