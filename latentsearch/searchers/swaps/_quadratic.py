"""What a gradient and a curvature say about the swaps of a grid of codes.

Putting code j at position p of the grid z changes the loss by about::

    g_p·δ + λ |δ|²/2,    δ = e_j - e_{z_p},

with the gradient g from one backward pass, and one curvature λ a row fitted to the changes that were measured.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from latentsearch._codes import rows_that_fit
from latentsearch._rows import per_row
from latentsearch.loop import project_each
from latentsearch.objective import Linear, Objective
from latentsearch.searchers._curvature import Curvature, first_guess
from latentsearch.searchers.swaps._criteria import Criterion, negative_log_expected_improvement
from latentsearch.searchers.swaps._swaps import Swaps


@dataclass(frozen=True)
class QuadraticModel:
    """The objective near the grids held, to second order; of one step, and never part of a state.

    Attributes:
        objective: What is modelled.
        z: ``(M, *S)``, the grids held.
        linear: The objective near them to first order.
        fit: The curvature, fitted to what was measured.
        curvature: ``(M,)``, λ in force.
    """

    objective: Objective
    z: Tensor
    linear: Linear
    fit: Curvature
    curvature: Tensor

    @classmethod
    def at(cls, objective: Objective, z: Tensor, fit: Curvature) -> QuadraticModel:
        """The model at grids ``(M, *S)``; costs 2 evaluations a row."""
        linear = objective.linearise(z)
        guess = first_guess(objective.codebook, linear.gradient)
        return cls(objective, z, linear, fit, fit.value_or(guess))

    def damped(self, damping: Tensor) -> QuadraticModel:
        """The model with the curvature overstated so many times, ``(M,)``."""
        return replace(self, curvature=self.curvature * damping)

    def predict(self, swaps: Swaps) -> Tensor:
        """``(M, ..., C)``: the predicted change of the loss for each swap, in float32 at least."""
        half_distance = swaps.half_distance.to(self.curvature.dtype)
        return swaps.first_order.to(half_distance.dtype) + per_row(self.curvature, half_distance) * half_distance

    def observe(self, swaps: Swaps, change: Tensor) -> Curvature:
        """The curvature, fitted to the measured changes of the loss by these swaps; NaN is left out."""
        return self.fit.observe(change - swaps.first_order, swaps.half_distance)

    def rank(
        self,
        count: int,
        per_position: int,
        exclude: Tensor | None = None,
        criterion: Criterion = negative_log_expected_improvement,
    ) -> Swaps:
        """The best swaps of each row, a bounded number at each position, the best first.

        Args:
            count: C, how many.
            per_position: How many at most for one position.
            exclude: ``(M, T)`` int64 ids of swaps that come last; None for none.
            criterion: What they are ranked by.
        """
        size, held = self.objective.grid.codebook_size, self.z.flatten(1)
        ids = torch.arange(held.shape[1], device=held.device) * size + held
        ids = ids if exclude is None else torch.cat([ids, exclude], 1)
        # All scores of a row are K elements a position: a few rows at a time.
        rows = rows_that_fit(self.z.shape[1:], size, 1 << 22)
        parts = []
        for start in range(0, len(held), rows):
            part = slice(start, start + rows)
            first_order, half_distance = self._tables(part)
            curvature = self.curvature[part, None, None]
            # In the curvature's dtype, which does not overflow where distances are in half precision.
            quadratic = curvature * half_distance.to(curvature.dtype)
            # Where there is no quadratic term there is no error: what is lowest is best.
            score = torch.where(curvature > 0, criterion(first_order, quadratic), first_order)
            # A code that stands for another is no swap of its own.
            score = self.objective.codebook.without_others(score.unflatten(1, self.z.shape[1:]), torch.inf)
            score = score.flatten(1, -2)
            parts.append(_best(score, first_order, half_distance, count, per_position, ids[part]))
        return Swaps(*(torch.cat(tensors) for tensors in zip(*parts, strict=True)))

    def _tables(self, rows: slice) -> tuple[Tensor, Tensor]:
        """The change to first order and half the squared distance of every swap of some rows, ``(m, P, K)`` each."""
        codebook, held = self.objective.codebook, self.z[rows, ..., None]
        first_order = codebook.products(self.linear.gradient[rows])
        if self.linear.table is not None:
            first_order = first_order + self.linear.table[rows]
        distance = codebook.excess(self.objective.embed(self.z[rows]))
        half_distance = 0.5 * (distance - distance.gather(-1, held)).clamp(min=0)
        return (first_order - first_order.gather(-1, held)).flatten(1, -2), half_distance.flatten(1, -2)

    def project(self, grids: Tensor, swaps: Swaps | None = None, gain: Tensor | None = None) -> Tensor:
        """Grids ``(M, U, *S)`` projected onto the goal's limit.

        What stays is what gains most by the model, and by the gains given; without these, every new code.

        Args:
            grids: The grids.
            swaps: C swaps of each row, of which some are made in each grid.
            gain: ``(M, C)``, by how much each lowers the loss.
        """

        def priority(center: Tensor) -> Tensor:
            worth = self._priority(center)
            if swaps is not None and gain is not None:
                worth = worth.scatter_add(1, swaps.position, gain.clamp(min=0).to(worth.dtype))
            worth = worth.view_as(self.z)[:, None].expand_as(grids)
            return torch.where(grids != self.z[:, None], torch.inf, worth) if gain is None else worth

        return project_each(self.objective, grids, priority)

    def _priority(self, center: Tensor) -> Tensor:
        """``(M, P)``: by how much the loss should rise if a position took the code of ``center``, ``(M, *S)``."""
        move = self.objective.embed(center) - self.objective.embed(self.z)
        half_distance = 0.5 * move.square().sum(-1).flatten(1).to(self.curvature.dtype)
        rise = (self.linear.gradient * move).sum(-1).flatten(1) + self.curvature[:, None] * half_distance
        if self.linear.table is not None:
            there, here = (self.linear.table.gather(-1, code[..., None]).flatten(1) for code in (center, self.z))
            rise = rise + there - here
        return rise


def _best(
    score: Tensor, first_order: Tensor, half_distance: Tensor, count: int, per_position: int, exclude: Tensor
) -> Swaps:
    """The best few swaps at each position, and of these the best, from tables ``(m, P, K)``; exclude ``(m, T)``."""
    size = score.shape[2]
    score = score.flatten(1).scatter(1, exclude, torch.inf).view_as(score)
    score = torch.where(score.isnan(), torch.inf, score)
    best, code = score.topk(min(per_position, size), 2, largest=False)
    best, column = best.flatten(1).topk(min(count, best[0].numel()), 1, largest=False)
    position, code = column // code.shape[2], code.flatten(1).gather(1, column)
    index = position * size + code
    first_order, half_distance = (table.flatten(1).gather(1, index) for table in (first_order, half_distance))
    return Swaps(position, code, first_order, half_distance, best < torch.inf)
