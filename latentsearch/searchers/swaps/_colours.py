"""A colouring of the positions of a 2-D grid: those of one colour are far enough apart to be changed in one decode.

With a spacing of 2 the colours of a grid are::

    0 1 0 1 0
    2 3 2 3 2
    0 1 0 1 0

Each position of a colour owns the part of the output that is nearer to it than to others of its colour, out to the
border, so that what the positions own is all of the output, once.
"""

from __future__ import annotations

import torch
from torch import Tensor

from latentsearch._maps import overlap, shared_out


def colours(shape: tuple[int, ...], spacing: int, device: torch.device) -> Tensor:
    """``(P,)`` int64 in [0, spacing²): the colour of each position of a flattened grid ``(H, W)``."""
    row, column = (torch.arange(side, device=device) % spacing for side in shape)
    return (row[:, None] * spacing + column).flatten()


def changed_together(z: Tensor, code: Tensor, spacing: int) -> Tensor:
    """Grids with the codes of one colour changed each: ``(M, C * spacing², H, W)``, the first codes' first.

    Args:
        z: ``(M, H, W)``.
        code: ``(M, P, C)``: C codes for each position.
        spacing: Cells between positions of one colour.
    """
    colour = colours(tuple(z.shape[1:]), spacing, z.device)
    chosen = colour == torch.arange(spacing**2, device=z.device)[:, None]
    grids = torch.where(chosen, code.mT[:, :, None], z.flatten(1)[:, None, None]).flatten(1, 2)
    return grids.view(*grids.shape[:2], *z.shape[1:])


def shares(change: Tensor, shape: tuple[int, ...], spacing: int) -> Tensor:
    """The part of each change of the loss map that is attributed to each position: ``(M, P, C)``.

    Args:
        change: ``(M, C * spacing², h, w)``, of the maps of ``changed_together``.
        shape: ``(H, W)``, the grid.
        spacing: Cells between positions of one colour.
    """
    windows = (_owned(side, spacing, pixels, change) for side, pixels in zip(shape, change.shape[2:], strict=True))
    owned = shared_out(change, *windows)
    owned = owned.view(len(change), -1, spacing**2, owned[0, 0].numel())
    colour = colours(shape, spacing, change.device).expand(len(owned), owned.shape[1], 1, -1)
    return owned.gather(2, colour)[:, :, 0].mT


def _owned(side: int, spacing: int, pixels: int, like: Tensor) -> Tensor:
    """``(side, pixels)``: how much of each pixel the cells along one axis own, each among those of its colour."""
    cell = torch.arange(side, dtype=like.dtype, device=like.device)
    low, high = cell + (1 - spacing) / 2, cell + (1 + spacing) / 2
    low, high = torch.where(cell < spacing, 0, low), torch.where(cell + spacing >= side, side, high)
    return overlap(low * (pixels / side), high * (pixels / side), pixels)
