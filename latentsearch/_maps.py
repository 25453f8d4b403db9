"""Maps of losses over the cells of an output: resampled, and shared out among windows."""

from __future__ import annotations

import torch
from torch import Tensor


def overlap(low: Tensor, high: Tensor, pixels: int) -> Tensor:
    """``(P, pixels)``: how much of each pixel, between 0 and 1, lies in each window.

    Args:
        low: ``(P,)``, where each window begins, in pixels.
        high: ``(P,)``, where it ends.
        pixels: How many there are, the first from 0 to 1.
    """
    first = torch.arange(pixels, dtype=low.dtype, device=low.device)
    return (torch.minimum(high[:, None], first + 1) - torch.maximum(low[:, None], first)).clamp(min=0)


def shared_out(loss_map: Tensor, rows: Tensor, columns: Tensor) -> Tensor:
    """Sums of maps ``(..., h, w)`` over windows ``(P, h)`` by ``(Q, w)``: ``(..., P, Q)``."""
    return rows @ loss_map @ columns.mT


def resampled(loss_map: Tensor, size: tuple[int, ...]) -> Tensor:
    """Maps ``(N, *cells)`` at another size, each cell's loss spread over as much of the output as before."""
    for axis, (old, new) in enumerate(zip(loss_map.shape[1:], size, strict=True), start=1):
        if old != new:
            spread = _spread(old, new, loss_map)
            loss_map = (loss_map.movedim(axis, -1) @ spread.mT).movedim(-1, axis)
    return loss_map


def _spread(old: int, new: int, like: Tensor) -> Tensor:
    """``(new, old)``: which share of each old pixel goes to each new one; every column sums to 1."""
    edges = torch.arange(new + 1, dtype=like.dtype, device=like.device) * (old / new)
    return overlap(edges[:-1], edges[1:], old)
