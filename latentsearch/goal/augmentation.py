"""What is added to a loss where requirements are not met, so that a search meets them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from torch import Tensor
from typing_extensions import Self

from latentsearch.goal.score import Score


@dataclass(frozen=True, eq=False)
class Augmentation:
    r"""The terms of an augmented Lagrangian: $(\max(0, \lambda + \rho g)^2 - \lambda^2) / 2\rho$ of each requirement.

    g is how far the requirement's loss is above its threshold. Where the multiplier is right, the least sum of the
    loss and these terms is the least loss that meets the requirements, at any penalty that is high enough.

    Source: Rockafellar, *Augmented Lagrange multiplier functions and duality in nonconvex programming* (1974),
    <https://doi.org/10.1137/0312021>.

    Attributes:
        multiplier: $\lambda$, ``(B, n)``, at least 0.
        penalty: $\rho$, ``(B, n)``, above 0.
        margin: ``(B, n)``, how far below its threshold each loss is to be.
        problems: B.
    """

    multiplier: Tensor
    penalty: Tensor
    margin: Tensor

    @property
    def problems(self) -> int:
        return len(self.multiplier)

    def of(self, score: Score, excess: Tensor) -> Score:
        """What a search goes by, from what requirements exceed their thresholds by, ``(N, n)``, and the goal's own."""
        aimed = self.multiplier + self.penalty * (excess + self.margin)
        added = (aimed.clamp(min=0).square() - self.multiplier.square()) / (2 * self.penalty)
        return Score.of(score.loss + added.sum(1), None, torch.where(score.passed, score.loss, torch.inf))

    def select(self, index: Tensor) -> Self:
        """The rows that serve problems ``index``."""
        return self._mapped(lambda t: t[index.to(t.device)])

    def to(self, device: torch.device | str, dtype: torch.dtype | None = None) -> Self:
        """The same on ``device``, as ``dtype``."""
        return self._mapped(lambda t: t.to(device, dtype))

    def _mapped(self, function: Callable[[Tensor], Tensor]) -> Self:
        tensors = (self.multiplier, self.penalty, self.margin)
        multiplier, penalty, margin = map(function, tensors)
        return replace(self, multiplier=multiplier, penalty=penalty, margin=margin)
