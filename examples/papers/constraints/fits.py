"""Critics, actors and densities, each fitted once: from a file if there is one."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import cache, partial
from pathlib import Path

import torch
from argmax.attributes import measures
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

import latentsearch as ls
from latentsearch import training
from latentsearch.critics import Actor, AttributeCritic, RealismCritic
from latentsearch.priors import GaussianMixture, StandardNormal

from .setting import Setting

NEAR = 0.06  # the weight of the squares that an actor pays for


class Fits:
    """What the rows search with.

    Args:
        setting: The decoder and the data.
        folder: Where fitted networks are kept.

    Attributes:
        seconds: What each fit took, of those made in this run.
    """

    def __init__(self, setting: Setting, folder: Path) -> None:
        self.setting, self.folder, self.seconds = setting, folder, {}
        folder.mkdir(parents=True, exist_ok=True)

    def critic(self, noise: float = 4.0) -> AttributeCritic:
        """Of digits, trained on latents with noise."""
        fit = partial(ls.fit_critic, self.setting.generator, *self.setting.train, noise=noise)
        return self._kept(f"critic-{noise:g}", lambda: AttributeCritic(ls.Continuous((20,)), 10), fit)

    def actor(self, distance: float, *, labelled: bool = True, steps: int = 24_000) -> Actor:
        images, labels = self.setting.train
        asked = labels if labelled else None
        fit = partial(ls.fit_actor, self.setting.generator, images, asked, distance=distance, steps=steps)
        name = f"actor-{'labels' if labelled else 'none'}-{distance:g}-{steps}"
        return self._kept(name, lambda: Actor(ls.Continuous((20,)), labels=10 if labelled else 0), fit)

    def near_actor(self, steps: int = 24_000) -> Actor:
        """Beyond the paper: it follows the critic of the search too, and pays for squares."""
        fit = partial(
            ls.fit_actor,
            self.setting.generator,
            *self.setting.train,
            attributes=self.critic(),
            metric="l2",
            distance=NEAR,
            steps=steps,
        )
        return self._kept(f"actor-near-{NEAR:g}-{steps}", lambda: Actor(ls.Continuous((20,)), labels=10), fit)

    def actors(self) -> dict[str, Actor]:
        """Those of classes, by the names of their rows."""
        found = {f"actor, λ = {distance:g}": self.actor(distance) for distance in (0.0, 0.1)}
        return found | {"actor, near": self.near_actor()}

    def attributes(self, limit: Tensor) -> AttributeCritic:
        """Of the eight that rules read off images, present where a measure is above its limit."""
        images = self.setting.train[0]
        made = partial(AttributeCritic, ls.Continuous((20,)), len(limit), exclusive=False)
        return self._kept(
            "critic-attributes", made, lambda: ls.fit_critic(self.setting.generator, images, _read(images, limit))
        )

    def actor_of_attributes(self, limit: Tensor, steps: int = 24_000) -> Actor:
        """Asked for combinations of these."""
        images = self.setting.train[0]
        made = partial(Actor, ls.Continuous((20,)), labels=len(limit))

        def fit() -> Actor:
            generator, labels = self.setting.generator, _read(images, limit)
            return ls.fit_actor(generator, images, labels, distance=0.0, steps=steps)

        return self._kept(f"actor-attributes-0-{steps}", made, fit)

    def realism(self) -> RealismCritic:
        """The paper's, with an inner loop of up to 20 steps."""

        def made() -> RealismCritic:
            return RealismCritic(StandardNormal((20,)), inner_steps=20)

        def fit() -> RealismCritic:
            with training.initialised(0):
                critic = made().calibrated(self.setting.latents)
            adam = partial(torch.optim.Adam, lr=1e-3, betas=(0.0, 0.9))
            plan = ls.Fit(3000, batch_size=128, optimizer=adam, schedule=None, average=0.99, log_every=1000)
            ls.fit(critic, (self.setting.latents,), plan)
            return critic

        return self._kept("realism", made, fit)

    def mixture(self, label: int | None = None) -> GaussianMixture:
        """Of all encodings, 50 Gaussians; of a class's, 5."""
        latents, labels = self.setting.latents, self.setting.train[1]
        return GaussianMixture.fit(latents, 50) if label is None else GaussianMixture.fit(latents[labels == label], 5)

    def _kept(self, name: str, make: Callable[[], nn.Module], fit: Callable[[], nn.Module]) -> nn.Module:
        path = self.folder / f"{name}.safetensors"
        if path.exists():
            model = make()
            model.load_state_dict(load_file(path))
            return model.eval().requires_grad_(False)
        start = time.perf_counter()
        model = fit()
        self.seconds[name] = round(time.perf_counter() - start, 1)
        print(f"{name}: fitted in {self.seconds[name]:.0f} s", flush=True)
        save_file({key: value.contiguous() for key, value in model.state_dict().items()}, path)
        return model.eval().requires_grad_(False)


@cache
def _read(images: Tensor, limit: Tensor) -> Tensor:
    """``(N, 8)``, 0 or 1."""
    return (measures(images) > limit).float()


def means(setting: Setting) -> Tensor:
    """``(10, 20)``: the mean encoding of each class."""
    latents, labels = setting.latents, setting.train[1]
    return torch.stack([latents[labels == label].mean(0) for label in range(10)])
