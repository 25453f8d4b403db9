"""Positions that are drawn in one turn: far enough from each other to be asked for at once."""

from __future__ import annotations

import itertools
import math
from collections.abc import Collection


def blocks(shape: tuple[int, ...], spacing: int, free: Collection[int] | None = None) -> list[list[int]]:
    """Every position of the flattened grid in one block, or those that are free.

    Those of one block are ``spacing`` apart along every axis: a neighbour is never drawn in the same turn. They are
    plain numbers, since a step may not ask a device for them. There is a block even where nothing is free.
    """
    found: dict[tuple[int, ...], list[int]] = {}
    for position, place in enumerate(itertools.product(*map(range, shape))):
        if not free or position in free:
            found.setdefault(tuple(index % spacing for index in place), []).append(position)
    return [found[key] for key in sorted(found)]


def largest(shape: tuple[int, ...], spacing: int) -> int:
    """The number of positions of the largest block."""
    return math.prod(-(-side // min(spacing, side)) for side in shape)
