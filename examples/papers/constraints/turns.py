"""Whose turn it is, and which loss: actors without labels, trained for as many steps in four ways."""

from __future__ import annotations

import time
from collections.abc import Iterator
from functools import partial
from itertools import product
from typing import Any

import torch

import latentsearch as ls
from latentsearch import training
from latentsearch.critics import Actor, ActorCritic, Critic
from latentsearch.priors import StandardNormal

from .fits import Fits
from .setting import Setting

COUNT, STEPS = 5000, 12_000
COLUMNS = {
    "Fréchet": ("frechet", "{:.1f}"),
    "diversity": ("diversity", "{:.2f}"),
    "seconds": ("seconds", "{:.0f}"),
}


def rows(setting: Setting, fits: Fits) -> Iterator[dict[str, Any]]:
    """A row a way."""
    start = StandardNormal((20,)).sample(ls.Noise.from_seed(8, COUNT))
    for divergence, critic_steps in product(("cross-entropy", "wasserstein"), (1, 10)):
        began = time.perf_counter()
        actor = fitted(setting, divergence, critic_steps)
        seconds = time.perf_counter() - began
        with torch.no_grad():
            z = actor(start)
        row = {"method": f"{divergence}, {critic_steps} to 1", "frechet": setting.frechet(z)}
        yield row | {"diversity": setting.diversity(z, None), "seconds": seconds}


def fitted(setting: Setting, divergence: Any, critic_steps: int) -> Actor:
    space, prior = ls.Continuous((20,)), StandardNormal((20,))
    with training.initialised(0):
        actor, critic = Actor(space), Critic(space).calibrated(setting.latents)
        pair = ActorCritic(actor, critic, prior, spread=setting.spread, distance=0.0, divergence=divergence)
    adam = partial(torch.optim.Adam, lr=1e-3, betas=(0.5, 0.9))
    turns = {
        "critic": training.Group(lambda pair: pair.critic.parameters(), adam, critic_steps),
        "actor": training.Group(lambda pair: pair.actor.parameters(), adam),
    }
    plan = ls.Fit(STEPS, batch_size=256, optimizer=turns, schedule=None, average=0.99, log_every=STEPS)
    ls.fit(pair, (setting.latents,), plan)
    return actor
