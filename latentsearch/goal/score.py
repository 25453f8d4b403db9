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

    @property
    def own(self) -> Tensor | None:
        """``(N,)``, where a search adds something to the goal's loss so that requirements are met.

        The goal's own loss of rows that meet them, infinity for others. None where nothing is added.
        """
        return None

    @staticmethod
    def of(loss: Tensor, satisfied: Tensor | None = None, own: Tensor | None = None) -> Score:
        """A score, with the goal's own loss beside it where there is one."""
        return Score(loss, satisfied) if own is None else _Augmented(loss, satisfied).beside(own)

    @property
    def parts(self) -> tuple[Tensor, ...]:
        """Its tensors, of which ``of`` makes it again: loss, ``passed``, and the goal's own loss if there is one."""
        return (self.loss, self.passed) if self.own is None else (self.loss, self.passed, self.own)

    def map(self, function: Callable[[Tensor], Tensor]) -> Score:
        """The score with ``function`` of its tensors."""
        satisfied = None if self.satisfied is None else function(self.satisfied)
        return Score.of(function(self.loss), satisfied, None if self.own is None else function(self.own))

    @staticmethod
    def where(condition: Tensor, a: Score, b: Score) -> Score:
        """The rows of ``a`` where a condition ``(N,)`` holds, those of ``b`` elsewhere."""
        loss = torch.where(condition, a.loss, b.loss)
        own = None if a.own is None or b.own is None else torch.where(condition, a.own, b.own)
        if a.satisfied is None and b.satisfied is None:
            return Score.of(loss, None, own)
        return Score.of(loss, torch.where(condition, a.passed, b.passed), own)

    @staticmethod
    def cat(scores: Sequence[Score], dim: int = 0) -> Score:
        """Scores side by side."""
        loss = torch.cat([score.loss for score in scores], dim)
        owns = [score.own for score in scores if score.own is not None]
        own = torch.cat(owns, dim) if len(owns) == len(scores) else None
        if all(score.satisfied is None for score in scores):
            return Score.of(loss, None, own)
        return Score.of(loss, torch.cat([score.passed for score in scores], dim), own)


class _Augmented(Score):
    """A score that still unpacks as two."""

    _own: Tensor

    def beside(self, own: Tensor) -> Score:
        self._own = own
        return self

    @property
    def own(self) -> Tensor:
        return self._own
