"""Another digit out of each test digit, moving it as little as will do."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Any

import torch
from torch import Tensor

import latentsearch as ls

from .fits import Fits, means
from .setting import Setting

COUNT = 1000
COLUMNS = {
    "read as asked": ("accuracy", "{:.1%}"),
    "critic satisfied": ("satisfied", "{:.1%}"),
    "shift": ("shift", "{:.1f}"),
    "pixels": ("pixels", "{:.3f}"),
    "evaluations": ("evaluations", "{:,.0f}"),
    "seconds": ("seconds", "{:.0f}"),
}


def problem(setting: Setting, count: int = COUNT) -> tuple[Tensor, Tensor]:
    """The latents of the first test digits, and the class asked of each: all others in turn."""
    start, own = setting.test_latents[:count], setting.test[1][:count]
    return start, (own + 1 + torch.arange(count) % 9) % 10


def methods(
    setting: Setting, fits: Fits, start: Tensor, asked: Tensor, own: Tensor
) -> Iterator[tuple[str, ls.Searcher, ls.Goal]]:
    """Each with what it searches for: another class, asked of latents of a class of their own."""
    critic = fits.critic()
    attribute = {at: ls.Classified(critic, asked, of="latent", threshold=at) for at in (0.9, 0.97, 0.98, 0.99)}
    vector = means(setting)[asked] - means(setting)[own]
    yield "attribute vectors", ls.AttributeVectorSearch(vector, most=4.0, steps=40), attribute[0.97]
    slow = ls.GradientSearch(partial(torch.optim.Adam, lr=0.02))
    yield "attribute alone, to the first at 0.9", slow, attribute[0.9]
    approved = 0.1 * ls.HasAttributes(fits.realism(), threshold=0.5)
    yield "attribute + 0.1 realism, as the paper", ls.GradientSearch(), attribute[0.97] + approved
    yield "attribute alone, to the first at 0.97", slow, attribute[0.97]
    near = 0.5 * ls.Near(start, scale=setting.spread.square()[None])
    rounds = ls.AugmentedLagrangian(ls.GradientSearch())
    for at in (0.9, 0.97, 0.98, 0.99):
        yield f"the nearest at {at:g}", rounds, near.subject_to(attribute[at])
    plain = ls.Classified(fits.critic(noise=0.0), asked, of="latent", threshold=0.99)
    yield "the nearest at 0.99, a critic trained without noise", rounds, near.subject_to(plain)
    for name, actor in fits.actors().items():
        yield name, ls.ActorSearch(actor, actor.one_hot(asked)), attribute[0.97]


STRIPS = ("attribute vectors", "attribute + 0.1 realism, as the paper", "the nearest at 0.99", "actor, near")


def strips(setting: Setting, fits: Fits) -> dict[str, Tensor]:
    """Test digits from 0 to 9, and what some methods make of each when the next digit is asked."""
    latents, labels = setting.test_latents, setting.test[1]
    start = torch.stack([latents[labels == digit][3] for digit in range(10)])
    asked = (torch.arange(10) + 1) % 10
    found = {"test digits": setting.images(start)}
    for name, searcher, goal in methods(setting, fits, start, asked, torch.arange(10)):
        if name in STRIPS:
            result = searcher.search(setting.generator, goal, init=start, seed=0, run=ls.Run(evaluations=1000))
            found[f"{name} "] = result.output
    return found


def rows(setting: Setting, fits: Fits) -> Iterator[dict[str, Any]]:
    """A row a method."""
    start, asked = problem(setting)
    before = setting.vae.decode(start)
    for name, searcher, goal in methods(setting, fits, start, asked, setting.test[1][:COUNT]):
        result = searcher.search(setting.generator, goal, init=start, seed=0, run=ls.Run(evaluations=1000))
        yield {
            "method": name,
            "accuracy": setting.accuracy(result.latent, asked),
            "satisfied": float(result.score.passed.double().mean()),
            "shift": setting.shift(start, result.latent),
            "pixels": float((result.output - before).square().mean()),
            "evaluations": float(result.evaluations.mean()),
            "seconds": result.seconds,
        }
