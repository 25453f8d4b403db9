"""A colouring of the positions of a grid: those of one colour are far enough apart to be changed in one decode.

With a spacing of 2 the colours of a sequence, and of a grid of two axes, are::

    0 1 0 1 0        0 1 0 1 0
                     2 3 2 3 2
                     0 1 0 1 0

Each position of a colour owns the part of the output that is nearer to it than to others of its colour, out to the
border, so that what the positions own is all of the output, once.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from latentsearch._maps import overlap, shared_out


def number_of_colours(axes: int, spacing: int) -> int:
    """How many colours a grid of so many axes has: as many as a block has positions."""
    return int(spacing**axes)


def colours(shape: Sequence[int], spacing: int, device: torch.device) -> Tensor:
    """``(P,)`` int64: the colour of each position of a flattened grid S."""
    colour = torch.zeros(1, dtype=torch.int64, device=device)
    for side in shape:
        along = torch.arange(side, device=device) % spacing
        colour = (colour[:, None] * spacing + along).flatten()
    return colour


def changed_together(z: Tensor, code: Tensor, spacing: int) -> Tensor:
    """Grids with the codes of one colour changed each: ``(M, C * colours, *S)``, the first codes' first.

    Args:
        z: ``(M, *S)``.
        code: ``(M, P, C)``: C codes for each position.
        spacing: Cells between positions of one colour.
    """
    colour = colours(z.shape[1:], spacing, z.device)
    chosen = colour == torch.arange(number_of_colours(z.ndim - 1, spacing), device=z.device)[:, None]
    grids = torch.where(chosen, code.mT[:, :, None], z.flatten(1)[:, None, None]).flatten(1, 2)
    return grids.view(*grids.shape[:2], *z.shape[1:])


def shares(change: Tensor, shape: Sequence[int], spacing: int) -> Tensor:
    """The part of each change of the loss map that is attributed to each position: ``(M, P, C)``.

    Args:
        change: ``(M, C * colours, *cells)``, of the maps of ``changed_together``.
        shape: S, the grid.
        spacing: Cells between positions of one colour.
    """
    decodes = (-1, number_of_colours(len(shape), spacing))
    owned: Tensor = owned_by_each(change, shape, spacing).flatten(2).unflatten(1, decodes)
    colour = colours(shape, spacing, change.device).expand(*owned.shape[:2], 1, -1)
    return owned.gather(2, colour)[:, :, 0].mT


def owned_by_each(change: Tensor, shape: Sequence[int], spacing: int) -> Tensor:
    """Maps ``(..., *cells)`` summed over what each position owns among those of its colour: ``(..., *S)``."""
    cells = change.shape[change.ndim - len(shape) :]
    return shared_out(change, [_owned(side, spacing, own, change) for side, own in zip(shape, cells, strict=True)])


def _owned(side: int, spacing: int, cells: int, like: Tensor) -> Tensor:
    """``(side, cells)``: how much of each cell the positions along one axis own, each among those of its colour."""
    position = torch.arange(side, dtype=like.dtype, device=like.device)
    low, high = position + (1 - spacing) / 2, position + (1 + spacing) / 2
    low, high = torch.where(position < spacing, 0, low), torch.where(position + spacing >= side, side, high)
    return overlap(low * (cells / side), high * (cells / side), cells)
