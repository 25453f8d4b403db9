"""Grids of codes and their codebooks: looked over, and several made one."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from latentsearch._checks import in_short
from latentsearch.adapters._used import stand_ins
from latentsearch.errors import InvalidArgument, describe
from latentsearch.spaces import Discrete


@dataclass(frozen=True)
class Grid:
    """One grid of the latent.

    Attributes:
        shape: Of the grid.
        start: Where its positions begin.
        size: Of its codebook.
        width: Of its codes.
        book: Which of the codebooks is its own.
    """

    shape: tuple[int, ...]
    start: int
    size: int
    width: int
    book: int

    @property
    def positions(self) -> int:
        return math.prod(self.shape)


def checked_grids(
    codebook: Tensor | Sequence[Tensor], shape: tuple[int, ...] | Sequence[tuple[int, ...]]
) -> tuple[list[Tensor], list[tuple[int, ...]]]:
    several = isinstance(codebook, Iterable) and not hasattr(codebook, "shape")  # as tensors and arrays have
    if isinstance(codebook, Tensor) and codebook.ndim == 3 and _are_shapes(shape):
        several, codebook = True, list(codebook)
    _refuse_numbers(codebook)
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
        if book.is_meta:
            got, expected = describe(book), "vectors that are loaded"
            raise InvalidArgument("CodebookGenerator.codebook", got=got, expected=expected, hint="load the model first")
        if per_position and tuple(book.shape[:-2]) != grid:
            raise InvalidArgument(
                "CodebookGenerator.codebook",
                got=describe(book),
                expected=f"({listed(grid)}, K, D), one codebook a position, or (K, D) for all",
                hint=_one_for_all(book) or _grids_or_shape(book, grid),
            )
    return codebooks, shapes


def _are_shapes(shape: object) -> bool:
    return isinstance(shape, (list, tuple)) and bool(shape) and all(isinstance(grid, (list, tuple)) for grid in shape)


def _grids_or_shape(book: Tensor, grid: tuple[int, ...]) -> str:
    """What a codebook of other positions may be: of a grid of that shape, or of several grids."""
    as_shape = f"shape={tuple(book.shape[:-2])}, if that is the grid"
    return f"{as_shape}; shape=[{grid}] * {len(book)}, if each is that of a grid" if book.ndim == 3 else as_shape


def _one_for_all(book: Tensor) -> str:
    """How a codebook with axes of length 1 in front becomes one for all positions; empty where it has others."""
    lead = book.ndim - 2
    return f"codebook[{', '.join('0' * lead)}] is one for all positions" if set(book.shape[:-2]) == {1} else ""


def _refuse_numbers(codebook: object) -> None:
    """Raise for a codebook written as lists of numbers."""
    if isinstance(codebook, (list, tuple)) and codebook and not hasattr(codebook[0], "shape"):
        got, hint = f"a list of {type(codebook[0]).__name__}s", "torch.tensor(codebook)"
        if hasattr(codebook[0], "weight"):
            hint = "[each.weight for each in codebook]"
        raise InvalidArgument(
            "CodebookGenerator.codebook", got=got, expected="a tensor (K, D), or a list of such", hint=hint
        )


def check_finite(codebooks: list[Tensor], masks: list[Tensor]) -> None:
    """Raise unless the vectors of all codes that are used are finite; what others hold is never looked at."""
    for book, mask in zip(codebooks, masks, strict=True):
        bad = mask & ~book.isfinite().all(-1)
        if bool(bad.any()):
            raise InvalidArgument(
                "CodebookGenerator.codebook",
                got=f"NaN or infinity in {int(bad.sum())} codes",
                expected="finite vectors",
                hint="if training never used these, say which it did: used=codebook.isfinite().all(-1)",
            )


def check_summed(codebooks: list[Tensor], shapes: list[tuple[int, ...]], project: Callable[[Tensor], Tensor]) -> None:
    """Raise if a projection with a bias, of grids that are likely summed, would add that bias once a grid."""
    if len(shapes) < 2 or len(set(shapes)) > 1:
        return
    bias = projected(torch.zeros_like(codebooks[0][..., :1, :]), project)
    if bool(bias.any()):
        raise InvalidArgument(
            "CodebookGenerator.project",
            got=f"one with a bias, of {len(shapes)} grids of the same shape: a sum of them would have it {len(shapes)} "
            "times",
            expected="a linear one, or none",
            hint="project the sum in the decoder: decoder=lambda *e: net(project(sum(e))), in the decoder's layout",
        )


@torch.no_grad()
def projected(book: Tensor, project: Callable[[Tensor], Tensor]) -> Tensor:
    try:
        found: object = project(book)
    except Exception as error:
        raise InvalidArgument(
            "CodebookGenerator.project",
            got=f"a function that fails on {describe(book)} with {type(error).__name__}: {error}",
            expected="codes (..., D) to what the decoder sees, (..., D')",
        ) from error
    if not isinstance(found, Tensor) or found.ndim != book.ndim or found.shape[:-1] != book.shape[:-1]:
        got = f"{in_short(found)} for a codebook of shape {tuple(book.shape)}"
        expected = "what the decoder sees in place of each code, (..., D')"
        raise InvalidArgument("CodebookGenerator.project", got=got, expected=expected)
    return found


def joined(
    codebooks: list[Tensor], masks: list[Tensor], shapes: list[tuple[int, ...]]
) -> tuple[Tensor, Tensor | None, list[Grid]]:
    """One codebook for all grids, the code that each of its codes stands for, and where each grid is.

    The codebook is ``(K, D)`` of one grid, ``(Q, 1, K, D)`` of several that are alike, which are rows of the latent
    then, and else ``(P, K, D)``. The codes are ``(K,)``, or of each position where positions differ, ``(*S, K)``,
    ``(Q, P, K)`` or ``(P, K)``; None where each stands for itself.
    """
    kinds = {(shape, tuple(book.shape)) for shape, book in zip(shapes, codebooks, strict=True)}
    alike = len(codebooks) > 1 and len(kinds) == 1
    grids, start = [], 0
    for number, (book, shape) in enumerate(zip(codebooks, shapes, strict=True)):
        grids.append(Grid(shape, start, book.shape[-2], book.shape[-1], number))
        start += grids[-1].positions
    aliases = [stand_ins(*pair) for pair in zip(codebooks, masks, strict=True)]
    if alike:
        book = torch.stack(codebooks)[:, None]
        alias = torch.stack([_each(*pair) for pair in zip(aliases, grids, strict=True)])
    elif len(codebooks) == 1:
        book, alias = codebooks[0], aliases[0]
    else:
        filled = [
            _filled_up(*parts, max(g.size for g in grids), max(g.width for g in grids))
            for parts in zip(codebooks, aliases, grids, strict=True)
        ]
        book, alias = (torch.cat(parts) for parts in zip(*filled, strict=True))
    itself = bool((alias == torch.arange(alias.shape[-1], device=alias.device)).all())
    return book, None if itself else alias, grids


def _each(alias: Tensor, grid: Grid) -> Tensor:
    """``(P, K)``: what codes stand for at each position of a grid."""
    return alias.expand(grid.positions, -1) if alias.ndim == 1 else alias.flatten(0, -2)


def _filled_up(book: Tensor, alias: Tensor, grid: Grid, size: int, width: int) -> tuple[Tensor, Tensor]:
    """The codebook ``(P, size, width)`` of a grid and what its codes stand for, with copies of its last code."""
    alias = _each(alias, grid)
    alias = torch.cat([alias, alias[:, -1:].expand(-1, size - grid.size)], 1)
    return F.pad(book, (0, width - grid.width, 0, size - grid.size)).expand(grid.positions, -1, -1), alias


def listed(shape: tuple[int, ...]) -> str:
    """The sides, to stand in a shape."""
    return ", ".join(map(str, shape))
