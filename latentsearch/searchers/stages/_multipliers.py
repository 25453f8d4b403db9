"""Multipliers and penalties of requirements, one row a problem."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor
from typing_extensions import Self

from latentsearch.goal.augmentation import Augmentation

_ENOUGH = 0.25  # of what was missed before; where more is still missed, the penalty grows
_MOST = 1e12  # of a penalty


@dataclass(frozen=True, eq=False)
class Multipliers:
    """What rounds have learnt of the requirements of B problems.

    Attributes:
        multiplier: ``(B, n)`` float64, as all of them.
        penalty: ``(B, n)``.
        missed: ``(B, n)``, what requirements were missed by after the last round, at least 0.
    """

    multiplier: Tensor
    penalty: Tensor
    missed: Tensor

    @classmethod
    def at(cls, loss: Tensor, excess: Tensor) -> Self:
        """Those of the first round, from the loss ``(B,)`` and what exceeds thresholds, ``(B, n)``, at some latents.

        What a requirement is missed by then weighs as much as the loss, or as itself where there is hardly a loss: the
        units of losses do not matter.
        """
        loss, excess = finite(loss).abs()[:, None], finite(excess).abs()
        scale = torch.maximum(loss, excess)
        tiny = torch.finfo(scale.dtype).tiny
        penalty = torch.where(excess > 0, 2 * scale / excess.square().clamp(min=tiny), 1.0)
        return cls(torch.zeros_like(excess), penalty.clamp(max=_MOST), excess)

    def after(self, excess: Tensor, growth: float) -> Self:
        """Those of the next round, from what still exceeds thresholds."""
        excess = finite(excess)
        multiplier = (self.multiplier + self.penalty * excess).clamp(min=0)
        missed = excess.clamp(min=0)
        grown = (self.penalty * growth).clamp(max=_MOST)
        return replace(
            self,
            multiplier=multiplier,
            penalty=torch.where(missed > _ENOUGH * self.missed, grown, self.penalty),
            missed=missed,
        )

    def put(self, index: Tensor, part: Multipliers) -> Self:
        """With the rows of some problems replaced."""
        return replace(
            self,
            multiplier=self.multiplier.index_copy(0, index, part.multiplier),
            penalty=self.penalty.index_copy(0, index, part.penalty),
            missed=self.missed.index_copy(0, index, part.missed),
        )

    def of(self, index: Tensor) -> Self:
        """Those of some problems."""
        return replace(self, multiplier=self.multiplier[index], penalty=self.penalty[index], missed=self.missed[index])

    def augmentation(self, *, stricter: bool, judges: bool, dtype: torch.dtype) -> Augmentation:
        """What a round adds to the loss; stricter by what the round before missed."""
        margin = self.missed if stricter else torch.zeros_like(self.missed)
        return Augmentation(self.multiplier, self.penalty, margin, judges).to(self.multiplier.device, dtype)


def finite(values: Tensor) -> Tensor:
    """In float64, with numbers where there are none."""
    return torch.nan_to_num(values.double(), nan=0.0, posinf=_MOST, neginf=-_MOST)
