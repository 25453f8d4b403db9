"""Maps of losses over the cells of an output: resampled, and shared out among windows."""

from __future__ import annotations

from collections.abc import Sequence

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


def shared_out(loss_map: Tensor, windows: Sequence[Tensor]) -> Tensor:
    """Sums of maps over windows: of the last axes the n-th, of ``h_n`` cells, becomes one of P_n windows.

    Args:
        loss_map: ``(..., h_1, h_2, ...)``.
        windows: ``(P_n, h_n)`` each.
    """
    for axis, window in enumerate(windows, start=-len(windows)):
        loss_map = _along(axis, loss_map, window)
    return loss_map


def with_axes(loss_map: Tensor, axes: int) -> Tensor:
    """Maps ``(N, ..., *cells)`` summed over all but rows and so many axes of cells."""
    return loss_map[:, None].flatten(1, loss_map.ndim - axes).sum(1)


def resampled(loss_map: Tensor, size: tuple[int, ...]) -> Tensor:
    """Maps ``(N, *cells)`` at another size, each cell's loss spread over as much of the output as before."""
    for axis, (old, new) in enumerate(zip(loss_map.shape[1:], size, strict=True), start=1):
        if old != new:
            loss_map = _along(axis, loss_map, _spread(old, new, loss_map))
    return loss_map


def _along(axis: int, loss_map: Tensor, matrix: Tensor) -> Tensor:
    """A map with a matrix ``(new, old)`` applied along one axis."""
    return (loss_map.movedim(axis, -1) @ matrix.mT).movedim(-1, axis)


def _spread(old: int, new: int, like: Tensor) -> Tensor:
    """``(new, old)``: which share of each old pixel goes to each new one; every column sums to 1."""
    edges = torch.arange(new + 1, dtype=like.dtype, device=like.device) * (old / new)
    return overlap(edges[:-1], edges[1:], old)
