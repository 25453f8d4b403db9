"""A step size a row that sets itself: one over the curvature fitted to what past moves really cost, with caution."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from latentsearch._rows import per_row, sum_rows
from latentsearch.objective import Objective
from latentsearch.searchers._curvature import curvature, empty_fit, first_guess, learn

_FADE = 0.8  # of what was learnt about the curvature, in every move
_RISE, _FALL = 2.0, 0.95  # what the caution is multiplied by as the loss rises and falls
_LEAST, _MOST = 2.0**-6, 2.0**6  # of the caution
_FLATTEST = 2.0**-6  # of the first guess of the curvature: where moves cost nothing steps would have no end


@dataclass
class Pace:
    """What the step size of each row depends on.

    Attributes:
        fit: ``(M, 2)``, the curvature's fit.
        caution: ``(M,)``, by how much the curvature is overstated.
        loss: ``(M,)``, of the grid before.
        slope, way: ``(M,)``, of the move from there, as in `_curvature`; a way of 0 is no move.
    """

    fit: Tensor
    caution: Tensor
    loss: Tensor
    slope: Tensor
    way: Tensor


def standing(objective: Objective, rows: int) -> Pace:
    """The pace before the first move."""
    fit = empty_fit(objective, rows)
    none = torch.zeros_like(fit[:, 0])
    return Pace(fit, torch.ones_like(none), none, none, none)


def arrived(pace: Pace, loss: Tensor) -> Pace:
    """The pace with what the last move cost, now that the grid it led to has a loss ``(M,)``."""
    rise = loss.to(pace.loss.dtype) - pace.loss
    moved = pace.way > 0
    fit = torch.where(moved[:, None], learn(pace.fit, rise - pace.slope, pace.way, _FADE), pace.fit)
    changed = pace.caution * torch.where(rise > 0, _RISE, _FALL)
    caution = torch.where(moved, changed.clamp(_LEAST, _MOST), pace.caution)
    return Pace(fit, caution, pace.loss, pace.slope, pace.way)


def departed(pace: Pace, loss: Tensor, gradient: Tensor, move: Tensor) -> Pace:
    """The pace with the next move ``(M, *S, D)`` of the codes' embeddings, from a grid with loss and gradient."""
    dtype = pace.loss.dtype
    slope, way = sum_rows(gradient * move), sum_rows(move.square()) / 2
    return Pace(pace.fit, pace.caution, loss.to(dtype), slope.to(dtype), way.to(dtype))


def step_size(pace: Pace, codebook: Tensor, gradient: Tensor) -> Tensor:
    """One over the curvature, for each row: ``(M, *1, 1)``, to be multiplied with a gradient ``(M, *S, D)``."""
    guess = first_guess(codebook, gradient).to(pace.fit.dtype)
    bend = torch.where(pace.fit[:, 1] > 0, curvature(pace.fit).maximum(_FLATTEST * guess), guess)
    size = 1 / (bend * pace.caution).clamp(min=torch.finfo(bend.dtype).tiny)
    return per_row(size.clamp(max=torch.finfo(gradient.dtype).max).to(gradient.dtype), gradient)
