"""Positions that are drawn in one turn: far enough from each other to be asked for at once."""

from __future__ import annotations

import itertools
import math


def blocks(shape: tuple[int, ...], spacing: int) -> list[list[int]]:
    """Every position of the flattened grid in one block.

    Those of one block are ``spacing`` apart along every axis: a neighbour is never drawn in the same turn. They are
    plain numbers, since a step may not ask a device for them.
    """
    found: dict[tuple[int, ...], list[int]] = {}
    for position, place in enumerate(itertools.product(*map(range, shape))):
        found.setdefault(tuple(index % spacing for index in place), []).append(position)
    return [found[key] for key in sorted(found)]


def largest(shape: tuple[int, ...], spacing: int) -> int:
    """The number of positions of the largest block."""
    return math.prod(-(-side // min(spacing, side)) for side in shape)
