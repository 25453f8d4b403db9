"""How well rows do."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
from torch import Tensor


class Score(NamedTuple):
    """How well each row does.

    Attributes:
        loss: ``(N,)`` floating; lower is better.
        satisfied: ``(N,)`` bool; None where there is no threshold.
    """

    loss: Tensor
    satisfied: Tensor | None = None

    @property
    def passed(self) -> Tensor:
        """``(N,)`` bool: where a threshold is met; nowhere if there is none."""
        return torch.zeros_like(self.loss, dtype=torch.bool) if self.satisfied is None else self.satisfied

    def map(self, function: Callable[[Tensor], Tensor]) -> Score:
        """The score with ``function`` of both tensors."""
        return Score(function(self.loss), None if self.satisfied is None else function(self.satisfied))

    @staticmethod
    def where(condition: Tensor, a: Score, b: Score) -> Score:
        """The rows of ``a`` where a condition ``(N,)`` holds, those of ``b`` elsewhere."""
        loss = torch.where(condition, a.loss, b.loss)
        if a.satisfied is None and b.satisfied is None:
            return Score(loss)
        return Score(loss, torch.where(condition, a.passed, b.passed))

    @staticmethod
    def cat(scores: Sequence[Score], dim: int = 0) -> Score:
        """Scores side by side."""
        loss = torch.cat([score.loss for score in scores], dim)
        if all(score.satisfied is None for score in scores):
            return Score(loss)
        return Score(loss, torch.cat([score.passed for score in scores], dim))
