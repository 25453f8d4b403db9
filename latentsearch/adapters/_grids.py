"""Grids of codes and their codebooks: looked over, and several made one."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from latentsearch.adapters._used import stand_ins
from latentsearch.errors import InvalidArgument, describe
from latentsearch.spaces import Discrete


@dataclass(frozen=True)
class Grid:
    """One grid of the latent: where its positions and its columns are, and how large its codebook is."""

    shape: tuple[int, ...]
    start: int
    size: int
    width: int

    @property
    def positions(self) -> int:
        return math.prod(self.shape)


def checked_grids(
    codebook: Tensor | Sequence[Tensor], shape: tuple[int, ...] | Sequence[tuple[int, ...]]
) -> tuple[list[Tensor], list[tuple[int, ...]]]:
    several = isinstance(codebook, Iterable) and not hasattr(codebook, "shape")  # as tensors and arrays have
    codebooks: list[Any] = list(codebook) if several else [codebook]
    shapes: list[Any] = list(shape) if several else [shape]
    if several and not all(isinstance(grid, Iterable) for grid in shapes):
        raise InvalidArgument(
            "CodebookGenerator.shape",
            got=repr(shape),
            expected="a list of shapes for a list of codebooks",
            hint="write [(7, 7)] for one grid",
        )
    if len(codebooks) != len(shapes) or not codebooks:
        raise InvalidArgument(
            "CodebookGenerator.shape",
            got=f"{len(shapes)} shapes",
            expected=f"one for each of {len(codebooks)} codebooks",
        )
    shapes = [Discrete(grid, 1).shape for grid in shapes]  # which looks them over
    for book, grid in zip(codebooks, shapes, strict=True):
        if type(book).__module__ == "numpy":
            hint = "torch.as_tensor(codebook)"
            raise InvalidArgument("CodebookGenerator.codebook", got=type(book).__name__, expected="a tensor", hint=hint)
        per_position = isinstance(book, Tensor) and book.ndim == len(grid) + 2 and not several
        if not isinstance(book, Tensor) or not book.is_floating_point() or (book.ndim != 2 and not per_position):
            raise InvalidArgument(
                "CodebookGenerator.codebook",
                got=describe(book) if isinstance(book, Tensor) else type(book).__name__,
                expected="a floating (K, D)" + ("" if several else f", or ({listed(grid)}, K, D)"),
                hint="for an nn.Embedding give its .weight",
            )
        if not bool(book.isfinite().all()):
            raise InvalidArgument("CodebookGenerator.codebook", got="NaN or infinity in it", expected="finite vectors")
    return codebooks, shapes


@torch.no_grad()
def projected(book: Tensor, project: Callable[[Tensor], Tensor]) -> Tensor:
    try:
        return project(book)
    except Exception as error:
        raise InvalidArgument(
            "CodebookGenerator.project",
            got=f"a function that fails on {describe(book)} with {type(error).__name__}: {error}",
            expected="codes (..., D) to what the decoder sees, (..., D')",
        ) from error


def joined(
    codebooks: list[Tensor], masks: list[Tensor], shapes: list[tuple[int, ...]]
) -> tuple[Tensor, Tensor | None, list[Grid]]:
    """One codebook for all grids, the code that each of its codes stands for, and where each grid is.

    The codes are ``(K,)``, or ``(P, K)`` where positions differ; None where each stands for itself.
    """
    grids, start = [], 0
    for book, shape in zip(codebooks, shapes, strict=True):
        grids.append(Grid(shape, start, book.shape[-2], book.shape[-1]))
        start += grids[-1].positions
    aliases = [stand_ins(*pair) for pair in zip(codebooks, masks, strict=True)]
    if len(codebooks) == 1:
        book, alias = codebooks[0], aliases[0]
        if not bool(masks[0].all()):
            book = book.gather(-2, alias[..., None].expand_as(book))
        alias = alias.flatten(0, -2) if alias.ndim > 1 else alias
    else:
        filled = [
            _filled_up(*parts, max(g.size for g in grids), max(g.width for g in grids))
            for parts in zip(codebooks, aliases, grids, strict=True)
        ]
        book, alias = (torch.cat(parts) for parts in zip(*filled, strict=True))
    itself = bool((alias == torch.arange(alias.shape[-1], device=alias.device)).all())
    return book, None if itself else alias, grids


def _filled_up(book: Tensor, alias: Tensor, grid: Grid, size: int, width: int) -> tuple[Tensor, Tensor]:
    """The codebook ``(P, size, width)`` of a grid and what its codes stand for, with copies of its last code."""
    alias = torch.cat([alias, alias[-1:].expand(size - grid.size)])
    book = F.pad(book, (0, width - grid.width))[alias]
    return book.expand(grid.positions, -1, -1), alias.expand(grid.positions, -1)


def listed(shape: tuple[int, ...]) -> str:
    """The sides, to stand in a shape."""
    return ", ".join(map(str, shape))
