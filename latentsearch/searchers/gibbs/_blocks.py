"""Positions that are drawn in one turn: far enough from each other to be asked for at once."""

from __future__ import annotations

import math

import torch
from torch import Tensor


def blocks(shape: tuple[int, ...], spacing: int) -> list[Tensor]:
    """Every position of the flattened grid in one block, ``(n,)`` int64 each.

    Those of one block are ``spacing`` apart along every axis: a neighbour is never drawn in the same turn.
    """
    place = torch.zeros(shape, dtype=torch.int64)
    for axis, side in enumerate(shape):
        step = min(spacing, side)
        own = torch.arange(side) % step
        place = place * step + own.view(-1, *(1,) * (len(shape) - axis - 1))
    flat = place.flatten()
    return [(flat == number).nonzero()[:, 0] for number in range(int(flat.max()) + 1)]


def largest(shape: tuple[int, ...], spacing: int) -> int:
    """The number of positions of the largest block."""
    return math.prod(-(-side // min(spacing, side)) for side in shape)
