"""Thresholds: what a goal asks of weighted sums of its terms' losses."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor


class Threshold(NamedTuple):
    """A weighted sum of the terms' losses must be at most a number.

    Attributes:
        weights: One for each term.
        most: The largest sum that passes.
    """

    weights: tuple[float, ...]
    most: float

    def met(self, losses: Sequence[Tensor]) -> Tensor:
        """``(N,)`` bool, from the loss of each term."""
        return weighted_without_zeros(self.weights, losses) <= self.most

    def excess(self, losses: Sequence[Tensor]) -> Tensor:
        """``(N,)``: how far the sum is above what passes, from the loss of each term."""
        return weighted_without_zeros(self.weights, losses) - self.most


def weighted(weights: Sequence[float], losses: Sequence[Tensor]) -> Tensor:
    """The weighted sum of losses, added in their order."""
    parts = [loss if weight == 1 else weight * loss for weight, loss in zip(weights, losses, strict=True)]
    total = parts[0]
    for part in parts[1:]:
        total = total + part
    return total


def weighted_without_zeros(weights: Sequence[float], losses: Sequence[Tensor]) -> Tensor:
    """The weighted sum of losses that have a weight: times 0 an infinite loss would be no number."""
    about = [(weight, loss) for weight, loss in zip(weights, losses, strict=True) if weight]
    return weighted(*zip(*about, strict=True)) if about else torch.zeros_like(losses[0])


def alone(weights: tuple[float, ...], number: int) -> bool:
    """Whether a threshold is on one term and no other."""
    return all((weight != 0) == (n == number) for n, weight in enumerate(weights))
