"""Draws from the prior: the baseline that every method has to beat."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from latentsearch.loop import IterativeSearcher, Proposal, best_of, prior_draws, project_each, score_each
from latentsearch.noise import Noise
from latentsearch.objective import Objective, cost_of_draw
from latentsearch.protocols import Generator, Prior
from latentsearch.spaces import LatentSpace


@dataclass
class RandomState:
    """The first latents, to be scored in the first step, and how many steps were taken."""

    z: Tensor
    number: int


@dataclass(frozen=True)
class RandomSearch(IterativeSearcher):
    """Keep the best of many draws from the [prior][latentsearch.loop.drawn_from].

    The first of all draws is the initial latent. Works on every space, with every constraint.

    Attributes:
        batch: Draws a step and row.
        restarts: Independent starts a problem.

    Example:
        >>> import latentsearch as ls
        >>> from latentsearch.testing import toys
        >>> toy = toys.codes()
        >>> result = ls.RandomSearch().search(toy.generator, toy.constraint, seed=0)
        >>> int(result.evaluations[0])
        992
    """

    batch: int = 16

    meets_requirements: ClassVar[bool] = True
    needs_gradient: ClassVar[bool] = False

    def __post_init__(self) -> None:
        super().__post_init__()
        self._require_count("batch")

    def step_cost(self, space: LatentSpace) -> int:
        return self.batch

    def prior_cost(self, generator: Generator, prior: Prior) -> float:
        return self.batch * cost_of_draw(prior)

    def start(self, objective: Objective, z: Tensor, noise: Noise) -> RandomState:
        return RandomState(z, 0)

    def step(self, objective: Objective, state: RandomState, noise: Noise) -> tuple[RandomState, Proposal]:
        own = int(state.number == 0)  # the initial latent is the first of all draws
        draws = prior_draws(objective, own, self.batch, noise).to(state.z.dtype)
        draws = torch.cat([state.z[:, None].expand(-1, own, *state.z.shape[1:]), draws], 1)
        draws = project_each(objective, draws, lambda _: noise.fold(0).uniform(*draws.shape[1:]))
        if state.number == 0:
            draws = torch.cat([state.z[:, None], draws[:, 1:]], 1)
        return RandomState(state.z, state.number + 1), Proposal(*best_of(draws, score_each(objective, draws)))
