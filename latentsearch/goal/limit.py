"""Limits: the latents that are allowed at all."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable
from typing import TYPE_CHECKING, ClassVar

import torch
from torch import Tensor

from latentsearch.goal._part import Part
from latentsearch.goal.score import Score

if TYPE_CHECKING:
    from latentsearch.goal.goal import Goal

Priority = Callable[[Tensor], Tensor]


class Limit(Part):
    """A set of feasible latents, which no answer leaves. It adds nothing to a loss.

    Searchers ask it to project latents, so that they need not guess what it allows.

    Attributes:
        problems: B, how many problems there is data for; 1 serves any number of rows.
        tensors: Names of the attributes that hold one row a problem, ``(B, ...)`` or ``(1, ...)``.
        couples: Whether what one position may hold depends on what others hold.
        centered: Whether there is a centre; where there is none, searches start at projected draws of the prior.
    """

    couples: bool = True
    centered: ClassVar[bool] = True

    @property
    @abstractmethod
    def center(self) -> Tensor:
        """``(B, *S)``: a feasible latent, where searches start if they are not told.

        Raises:
            LookupError: If there is none, as ``centered`` says.
        """

    @abstractmethod
    def contains(self, latent: Tensor) -> Tensor:
        """``(N,)`` bool: which latents, ``(N, *S)`` or soft ``(N, *S, K)``, are feasible."""

    @abstractmethod
    def project(self, latent: Tensor, priority: Priority | None = None) -> Tensor:
        """The nearest feasible latents; those that are feasible already, as they are.

        Args:
            latent: ``(N, *S)``, or soft ``(N, *S, K)``.
            priority: Which elements of hard latents are worth keeping, where there is a choice: a function from
                the centres ``(N, *S)``, to which elements go back, to ``(N, *S)`` values.
        """

    def tangent(self, latent: Tensor, gradient: Tensor) -> Tensor:
        """What is left of gradients where feasible latents, ``(N, *S)`` both, may move in some directions only.

        Where they may move in all, at least within the set, that is all of it.
        """
        return gradient

    def movable(self, latent: Tensor) -> Tensor:
        """``(N, *S)`` bool: the codes of feasible hard grids that may change alone, to some code at least."""
        return torch.ones_like(latent, dtype=torch.bool)

    def confine(self, score: Score, latent: Tensor) -> Score:
        """The score with an infinite loss where latents are not feasible, which satisfies nobody."""
        inside = self.contains(latent)
        loss = torch.where(inside, score.loss, torch.inf)
        own = None if score.own is None else torch.where(inside, score.own, torch.inf)
        return Score.of(loss, None if score.satisfied is None else score.satisfied & inside, own)

    @property
    def goal(self) -> Goal:
        """A goal without terms, to be added to others."""
        from latentsearch.goal.goal import Goal  # goals hold limits

        return Goal((), limit=self)


class Unlimited(Limit):
    """Every latent is feasible: the null object."""

    couples = False
    centered: ClassVar[bool] = False

    @property
    def center(self) -> Tensor:
        raise LookupError("all latents are feasible: there is no centre; ask the prior")

    def contains(self, latent: Tensor) -> Tensor:
        return torch.ones_like(latent.flatten(1)[:, 0], dtype=torch.bool)

    def project(self, latent: Tensor, priority: Priority | None = None) -> Tensor:
        return latent

    def confine(self, score: Score, latent: Tensor) -> Score:
        return score
