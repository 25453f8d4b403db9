"""What branch-and-bound asks of a bound."""

from __future__ import annotations

from typing import NamedTuple, Protocol, runtime_checkable

from torch import Tensor

from latentsearch._structural import Structural
from latentsearch.goal import Goal
from latentsearch.objective import Objective
from latentsearch.protocols import Generator


class Bounded(NamedTuple):
    """What is known of the losses of N sets of grids.

    Attributes:
        lower: ``(N,)``: no grid of the set has a lower loss.
        spread: ``(N, P)``: how much the choice at each position, in the order of the flattened grid,
            may matter; the largest is decided next. It affects the speed and never the proof.
    """

    lower: Tensor
    spread: Tensor


@runtime_checkable
class Bound(Protocol, metaclass=Structural):
    """Bounds the loss over sets of grids, from below.

    A set allows some codes at each position, and holds all grids made of allowed codes. It needs no
    order of the codes.

    Attributes:
        evaluations: How many evaluations the bounding of one set counts as.

    Example:
        A bound of one's own, for losses that are known to be nowhere below 0:

        >>> import torch
        >>> from latentsearch.bounds import Bound, Bounded
        >>> class Zero:
        ...     evaluations = 0
        ...     def check(self, generator, goal): ...
        ...     def __call__(self, objective, allowed, row):
        ...         return Bounded(torch.zeros(len(allowed)), allowed.sum(-1).float())
        >>> isinstance(Zero(), Bound)
        True
    """

    @property
    def evaluations(self) -> int: ...

    def check(self, generator: Generator, goal: Goal) -> None:
        """Raise Unsupported if these cannot be bounded. Decodes a grid at most."""

    def __call__(self, objective: Objective, allowed: Tensor, row: Tensor) -> Bounded:
        """Bound N sets of grids; the caller charges for it.

        Args:
            objective: Generator and goal.
            allowed: ``(N, P, K)`` bool: the codes at each position of the flattened grid, at least one.
            row: ``(N,)`` int64: the held row that each set serves.
        """
