"""One step of a Markov chain that the gradient informs, on any kind of space.

A kernel knows how to linearise a latent, what a typical change of the loss is there, and what to
propose: a law that can be drawn from, and whose probability is known there and back. That is all
that the test of Metropolis and Hastings asks for.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import NamedTuple, Protocol

import torch
from torch import Tensor

from latentsearch._rows import flatten, per_row, unflatten
from latentsearch.goal import Score
from latentsearch.noise import Noise
from latentsearch.objective import Objective

# Streams of noise; each use folds a constant of its own.
_DRAW, _ACCEPT = 1, 2


@dataclass
class Point:
    """A latent with its loss to first order.

    Attributes:
        z: ``(M, *S)``.
        loss: ``(M,)``.
        gradient: ``(M, *S, D)`` on codes, ``(M, *S)`` on numbers.
        table: ``(M, *S, K)``, the gradient of terms that read the codes themselves; ``(M, 0)`` if none does.
    """

    z: Tensor
    loss: Tensor
    gradient: Tensor
    table: Tensor


@dataclass
class Pace:
    """What proposals go by.

    Attributes:
        beta: ``(M,)``, the inverse temperature.
        log_step: ``(M,)``, the logarithm of the step size.
        fit: ``(M, F)``, what the kernel has learnt from past moves.
    """

    beta: Tensor
    log_step: Tensor
    fit: Tensor


class Law(Protocol):
    """The distribution of the next proposal."""

    def draw(self, noise: Noise) -> Tensor:
        """``(M, *S)``."""

    def log_prob(self, z: Tensor) -> Tensor:
        """``(M,)``, up to a constant that is the same there and back."""

    @property
    def reducible(self) -> Tensor:
        """``(M,)`` bool: whether a smaller step would make smaller proposals."""


class Kernel(ABC):
    """How one kind of space is walked."""

    @abstractmethod
    def at(self, objective: Objective, z: Tensor) -> tuple[Score, Point]:
        """Score and linearise latents; 2 rows each."""

    @abstractmethod
    def typical_change(self, objective: Objective, point: Point, noise: Noise) -> Tensor:
        """``(M,)``: by how much replacing one code, or all numbers, changes the loss, to first order."""

    @abstractmethod
    def first_pace(self, objective: Objective, point: Point, beta: Tensor) -> Pace:
        """Where adaptation begins, at an inverse temperature ``(M,)``."""

    @abstractmethod
    def law(self, objective: Objective, point: Point, pace: Pace) -> Law:
        """What is proposed at a point."""

    @abstractmethod
    def learned(self, objective: Objective, fit: Tensor, here: Point, there: Point, keep: Tensor) -> Tensor:
        """The fit with one more move taken in, accepted or not, and the past weighted by ``keep``, ``(M, 1)``."""


class Move(NamedTuple):
    """What came of one proposal.

    Attributes:
        point: Where the chain is now.
        there: What was proposed.
        score: The score of what was proposed.
        chance: ``(M,)``, the probability with which it was accepted.
        reducible: ``(M,)`` bool, whether a smaller step would have proposed less.
    """

    point: Point
    there: Point
    score: Score
    chance: Tensor
    reducible: Tensor


def metropolis(kernel: Kernel, objective: Objective, here: Point, pace: Pace, noise: Noise) -> Move:
    """Propose, and accept with the probability that leaves ``exp(-β loss)`` as it is."""
    law = kernel.law(objective, here, pace)
    z = law.draw(noise.fold(_DRAW))
    score, there = kernel.at(objective, z)
    way_back = kernel.law(objective, there, pace).log_prob(here.z) - law.log_prob(z)
    log_ratio = pace.beta * (here.loss - there.loss) + way_back
    # Where the loss is infinite there may be no way back, which reads NaN: never accepted.
    chance = log_ratio.clamp(max=0).exp().nan_to_num(0.0)
    accepted = noise.fold(_ACCEPT).uniform(dtype=chance.dtype) < chance
    return Move(_chosen(accepted, there, here), there, score, chance, law.reducible)


def _chosen(rows: Tensor, there: Point, here: Point) -> Point:
    """``there`` in the rows given, ``here`` in the others."""
    old, new = flatten(here), flatten(there)
    return unflatten(here, {name: torch.where(per_row(rows, new[name]), new[name], old[name]) for name in old})
