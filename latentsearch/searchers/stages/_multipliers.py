"""Multipliers and penalties of requirements, one row a problem."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor
from typing_extensions import Self

from latentsearch.goal.augmentation import Augmentation

_ENOUGH = 0.25  # of what was missed before; where more is still missed, the penalty grows
_MOST = 1e18  # of a penalty: squares of it fit single precision


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
    def at(cls, losses: Tensor, excess: Tensor) -> Self:
        r"""Those of the first round.

        What a requirement is missed by is to weigh about as much as the loss does: as the geometric mean of the loss
        where the search starts, or of the excess if that is more, and of the loss elsewhere. The former is 0 for an
        edit, which starts at the source; the latter may be far too much.

        Args:
            losses: ``(2, B)``, where the search starts, and elsewhere.
            excess: ``(B, n)``, above the thresholds, where it starts.
        """
        known = finite(excess).abs()
        here, elsewhere = finite(losses).abs()[..., None]
        here = torch.maximum(here, known)
        scale = (here * torch.maximum(elsewhere, here)).sqrt()
        tiny = torch.finfo(scale.dtype).tiny
        penalty = torch.where(known > 0, 2 * scale / known.square().clamp(min=tiny), 1.0)
        return cls(torch.zeros_like(known), penalty.clamp(1 / _MOST, _MOST), _missed(excess))

    def after(self, excess: Tensor, growth: float) -> Self:
        """Those of the next round, from what still exceeds thresholds."""
        multiplier = (self.multiplier + self.penalty * finite(excess)).clamp(0, _MOST)
        missed = _missed(excess)
        grown = (self.penalty * growth).clamp(max=_MOST)
        penalty = torch.where(missed > _ENOUGH * self.missed, grown, self.penalty)
        return replace(self, multiplier=multiplier, penalty=penalty, missed=missed)

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

    def augmentation(self, *, stricter: bool, dtype: torch.dtype) -> Augmentation:
        """What a round adds to the loss; stricter by what the round before missed."""
        margin = finite(self.missed) if stricter else torch.zeros_like(self.missed)
        return Augmentation(self.multiplier, self.penalty, margin).to(self.multiplier.device, dtype)


def finite(values: Tensor) -> Tensor:
    """In float64, with 0 where there is no number: what is infinite says nothing of a scale."""
    return torch.nan_to_num(values.double(), nan=0.0, posinf=0.0, neginf=0.0)


def _missed(excess: Tensor) -> Tensor:
    return torch.nan_to_num(excess.double(), nan=torch.inf).clamp(min=0)
