"""Sevens made of codes: a classifier of images, and a prior that says which grids of codes look like digits."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from functools import cache
from typing import Any

import torch
from codes_bench import generators, priors
from data import mnist
from torch import Tensor

import latentsearch as ls
from latentsearch import zoo
from latentsearch.judge import Reference

from .fits import Fits
from .setting import Setting

DIGIT, COUNT = 7, 100
NAME = "mnist-512"
REFERENCE = slice(3000, 5000)  # test images that the judge's band comes from
COLUMNS = {
    "read as a 7": ("accuracy", "{:.0%}"),
    "in band": ("band", "{:.0%}"),
    "bits": ("bits", "{:.2f}"),
    "evaluations": ("evaluations", "{:,.0f}"),
    "seconds": ("seconds", "{:.0f}"),
}
BEST = "SMCSearch, the best of 4"
ALONE = "AutoSearch, the classifier alone"
STRIPS = (ALONE, BEST)


@cache
def decoder() -> ls.CodebookGenerator:
    """The VQ-VAE that the package carries, with its prior."""
    return ls.wrap(zoo.load("mnist-vqvae-512"))


@cache
def reference() -> Reference:
    """A LeNet and a PixelCNN that no search sees."""
    generator = decoder()
    likely = priors.load(f"{NAME}-judge", generators.load(NAME)[0])
    return Reference(generator, mnist("test")[0][REFERENCE], prior=likely, classifier=generators.judge("mnist"))


def methods(count: int = COUNT) -> dict[str, tuple[ls.Searcher, ls.Constraint | ls.Goal, int]]:
    """By name a searcher, a goal of so many problems, and evaluations."""
    asked = torch.full((count,), DIGIT)
    read = ls.Classified(zoo.load("mnist-classifier"), asked)
    free = ls.Classified(zoo.load("mnist-classifier"), asked, threshold=None)
    posterior = free + ls.LogPrior(decoder().prior)
    revealed = ls.SMCSearch(trust=1.0, reveals=24, transitions=1)
    return {
        ALONE: (ls.AutoSearch(), read, 1500),
        "GibbsSearch": (ls.GibbsSearch(), posterior, 1500),
        "GibbsSearch, 20 times the classifier": (ls.GibbsSearch(), 20 * free + ls.LogPrior(decoder().prior), 1500),
        "SMCSearch": (revealed, posterior, 10_000),
        "AutoSearch, 2 of these": (ls.AutoSearch(), posterior, 4000),
        BEST: (replace(revealed, restarts=4), posterior, 40_000),
    }


def rows(setting: Setting, fits: Fits) -> Iterator[dict[str, Any]]:
    """A row a method."""
    images, labels = mnist("test")
    sevens = images[:2000][labels[:2000] == DIGIT][:COUNT]
    yield {"method": "test digits, encoded"} | judged(decoder().encode(sevens))
    for name, (searcher, goal, evaluations) in methods().items():
        result = searcher.search(decoder(), goal, seed=0, run=ls.Run(evaluations=evaluations))
        spent = {"evaluations": float(result.evaluations.mean()), "seconds": result.seconds}
        yield {"method": name} | judged(best(result)) | spent


def best(result: ls.SearchResult) -> Tensor:
    """Of the draws of each problem the one of least loss, ``(B, *S)``: a sampler's own answer is its first."""
    at = result.candidates.score.loss.argmin(1)
    return result.candidates.latent[torch.arange(len(at)), at]


def judged(latents: Tensor) -> dict[str, float]:
    labels = torch.full((len(latents),), DIGIT)
    found = ls.judge.report(latents[:, None], reference(), labels=labels)
    names = {"accuracy": "read right", "band": "in band", "bits": "bits per code"}
    return {name: found[figure].answers for name, figure in names.items()}


def strips() -> dict[str, Tensor]:
    """Ten sevens by two methods."""
    found = {}
    for name in STRIPS:
        searcher, goal, evaluations = methods(10)[name]
        result = searcher.search(decoder(), goal, seed=1, run=ls.Run(evaluations=evaluations))
        found[name] = decoder().decode(best(result))
    return found
