"""One step of a Markov chain that the gradient informs, on any kind of space.

A kernel knows how to linearise a latent, what a typical change of the loss is there, and what to
propose: a distribution that can be sampled, and whose density is known there and back. That is all
that Metropolis and Hastings ask for.
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
        gradient: ``(M, *S, D)`` of codes, ``(M, *S)`` of continuous latents.
        table: ``(M, *S, K)``, the gradient of terms that read the codes themselves; ``(M, 0)`` if none does.
    """

    z: Tensor
    loss: Tensor
    gradient: Tensor
    table: Tensor


@dataclass
class StepState:
    """What proposals depend on beside the point.

    Attributes:
        beta: ``(M,)``, the inverse temperature.
        log_step: ``(M,)``, the logarithm of the step size.
        fit: ``(M, F)``, what the kernel has learnt from past transitions.
    """

    beta: Tensor
    log_step: Tensor
    fit: Tensor


class ProposalDistribution(Protocol):
    """The distribution of the next latent to try."""

    def sample(self, noise: Noise) -> Tensor:
        """``(M, *S)``."""

    def log_prob(self, z: Tensor) -> Tensor:
        """``(M,)``, up to a constant that is the same there and back."""

    @property
    def reducible(self) -> Tensor:
        """``(M,)`` bool: whether a smaller step would make smaller proposals."""


class Kernel(ABC):
    """What is proposed in one kind of space."""

    @abstractmethod
    def at(self, objective: Objective, z: Tensor) -> tuple[Score, Point]:
        """Score and linearise latents; 2 evaluations each."""

    @abstractmethod
    def typical_change(self, objective: Objective, point: Point, noise: Noise) -> Tensor:
        """``(M,)``: by how much replacing one code, or all of a continuous latent, changes the loss, to first order."""

    @abstractmethod
    def init(self, objective: Objective, point: Point, beta: Tensor) -> StepState:
        """Where adaptation begins, at an inverse temperature ``(M,)``."""

    @abstractmethod
    def proposal(self, objective: Objective, point: Point, step: StepState) -> ProposalDistribution:
        """What is proposed at a point."""

    @abstractmethod
    def observe(self, objective: Objective, fit: Tensor, here: Point, there: Point, fade: Tensor) -> Tensor:
        """The fit with one more proposal taken in, accepted or not, and the past weighted by ``fade``, ``(M, 1)``."""


class Transition(NamedTuple):
    """What came of one proposal.

    Attributes:
        point: Where the chain is now.
        proposed: What was proposed.
        score: The score of what was proposed.
        acceptance: ``(M,)``, the probability with which it was accepted.
        accepted: ``(M,)`` bool, whether it was.
        reducible: ``(M,)`` bool, whether a smaller step would have proposed less.
    """

    point: Point
    proposed: Point
    score: Score
    acceptance: Tensor
    accepted: Tensor
    reducible: Tensor


def metropolis_hastings(kernel: Kernel, objective: Objective, here: Point, step: StepState, noise: Noise) -> Transition:
    """Propose, and accept with the probability that leaves ``exp(-β loss)`` as it is."""
    forward = kernel.proposal(objective, here, step)
    z = forward.sample(noise.fold(_DRAW))
    score, there = kernel.at(objective, z)
    backward = kernel.proposal(objective, there, step)
    log_ratio = step.beta * (here.loss - there.loss) + (backward.log_prob(here.z) - forward.log_prob(z))
    # Where the loss is infinite there may be no way back, which reads NaN: never accepted.
    acceptance = log_ratio.clamp(max=0).exp().nan_to_num(0.0)
    accepted = noise.fold(_ACCEPT).uniform(dtype=acceptance.dtype) < acceptance
    return Transition(_chosen(accepted, there, here), there, score, acceptance, accepted, forward.reducible)


def _chosen(rows: Tensor, there: Point, here: Point) -> Point:
    """``there`` in the rows given, ``here`` in the others."""
    old, new = flatten(here), flatten(there)
    return unflatten(here, {name: torch.where(per_row(rows, new[name]), new[name], old[name]) for name in old})
