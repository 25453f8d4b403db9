"""Distances to nearest neighbours, a chunk of rows at a time."""

from __future__ import annotations

import torch
from torch import Tensor

_CELLS = 1 << 24  # distances held at once


def kth_distance(points: Tensor, k: int) -> Tensor:
    """``(N,)``: how far each of points ``(N, d)`` is from its k-th nearest among the others."""
    found = []
    for rows in _chunks(points, len(points)):
        distance = torch.cdist(points[rows], points)
        index = torch.arange(len(points), device=points.device)[rows]
        # Not by its distance, which rounding makes more than 0, but by its place: no point is its own neighbour.
        distance.scatter_(1, index[:, None], torch.inf)
        found.append(distance.kthvalue(k, 1).values)
    return torch.cat(found)


def within(centres: Tensor, radius: Tensor, points: Tensor) -> Tensor:
    """``(N,)`` int64: how many of points ``(M, d)`` lie within each ball, of centre ``(N, d)`` and radius ``(N,)``."""
    counts = [
        (torch.cdist(centres[rows], points) <= radius[rows, None]).sum(1) for rows in _chunks(centres, len(points))
    ]
    return torch.cat(counts)


def nearest_distance(points: Tensor, among: Tensor) -> Tensor:
    """``(N,)``: how far each of points ``(N, d)`` is from the nearest of ``among``, ``(M, d)``."""
    sizes = among.square().sum(1)
    found = []
    for rows in _chunks(points, len(among)):
        # By inner products, which are fast; the distance itself then anew, since copies must come out at 0.
        index = (sizes - 2 * points[rows] @ among.T).argmin(1)
        found.append((points[rows] - among[index]).square().sum(1).sqrt())
    return torch.cat(found)


def _chunks(points: Tensor, width: int) -> list[slice]:
    size = max(1, _CELLS // width)
    return [slice(start, start + size) for start in range(0, len(points), size)]
