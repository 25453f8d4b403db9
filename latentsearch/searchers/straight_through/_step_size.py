"""A step size a row that sets itself: one over the curvature fitted to what past moves cost, with damping."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from latentsearch._codebook import Codebook
from latentsearch._rows import per_row, sum_rows
from latentsearch.objective import Objective
from latentsearch.searchers._curvature import Curvature, first_guess

_RISE, _FALL = 2.0, 0.95  # what the damping is multiplied by as the loss rises and falls
_LEAST, _MOST = 2.0**-6, 2.0**6  # of the damping
_FLATTEST = 2.0**-6  # of the first guess of the curvature: where moves cost nothing steps would have no end


@dataclass
class StepSize:
    """What the step size of each row depends on.

    Attributes:
        curvature: The curvature, fitted to what was measured.
        damping: ``(M,)``, by how much the curvature is overstated.
        loss: ``(M,)``, of the grid before.
        first_order: ``(M,)``, the change to first order by the move from there.
        half_distance: ``(M,)``, half the squared length of that move; 0 is no move.
    """

    curvature: Curvature
    damping: Tensor
    loss: Tensor
    first_order: Tensor
    half_distance: Tensor

    @classmethod
    def init(cls, objective: Objective, rows: int) -> StepSize:
        """Before the first move."""
        curvature = Curvature.unknown(objective, rows)
        none = torch.zeros_like(curvature.value)
        return cls(curvature, torch.ones_like(none), none, none, none)

    def observe(self, loss: Tensor) -> StepSize:
        """With what the last move cost, now that the grid it led to has a loss ``(M,)``."""
        change = loss.to(self.loss.dtype) - self.loss
        moved = self.half_distance > 0
        learnt = self.curvature.observe(change - self.first_order, self.half_distance)
        sums = torch.where(moved[:, None], learnt.sums, self.curvature.sums)
        damping = torch.where(change > 0, self.damping * _RISE, self.damping * _FALL)
        damping = torch.where(moved, damping.clamp(_LEAST, _MOST), self.damping)
        return replace(self, curvature=Curvature(sums), damping=damping)

    def update(self, loss: Tensor, gradient: Tensor, move: Tensor) -> StepSize:
        """With the next move ``(M, *S, D)`` of the codes' embeddings, from a grid with loss and gradient."""
        dtype = self.loss.dtype
        first_order, half_distance = sum_rows(gradient * move), sum_rows(move.square()) / 2
        return StepSize(self.curvature, self.damping, loss.to(dtype), first_order.to(dtype), half_distance.to(dtype))

    def value(self, codebook: Codebook, gradient: Tensor) -> Tensor:
        """One over the curvature, damped: ``(M, *1, 1)``, to be multiplied with a gradient ``(M, *S, D)``."""
        guess = first_guess(codebook, gradient).to(self.loss.dtype)
        curvature = self.curvature.value_or(guess).maximum(_FLATTEST * guess)
        size = 1 / (curvature * self.damping).clamp(min=torch.finfo(curvature.dtype).tiny)
        return per_row(size.clamp(max=torch.finfo(gradient.dtype).max).to(gradient.dtype), gradient)
