"""Swaps of one code for another, and the grids that they make, alone and combined."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

# How many swaps are combined, to find out how many still help each other.
_SIZES = (1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64, 96, 128, 192, 256, 384, 512, 768, 1024)


class Swaps(NamedTuple):
    """Single swaps of each row, the best first.

    Attributes:
        position, code: ``(M, C)`` int64: which code is put where in the flattened grid.
        first_order: ``(M, C)``: the change of the loss to first order.
        half_distance: ``(M, C)``: half the squared distance between the two codes.
        new: ``(M, C)`` bool: False for one that was excluded, and only fills up the count.
    """

    position: Tensor
    code: Tensor
    first_order: Tensor
    half_distance: Tensor
    new: Tensor

    def ids(self, codebook_size: int) -> Tensor:
        """``(M, C)``: one integer a swap."""
        return self.position * codebook_size + self.code

    def split(self, count: int) -> tuple[Swaps, Swaps]:
        """The first so many columns, and the others."""
        return Swaps(*(t[:, :count] for t in self)), Swaps(*(t[:, count:] for t in self))

    def take(self, index: Tensor) -> Swaps:
        """Those of some columns, ``(M, D)`` int64."""
        return Swaps(*(part.gather(1, index) for part in self))

    def by_position(self, positions: int) -> Swaps:
        """As a table, ``(M, P, C)`` each; every position must have as many, and they stay in order."""
        order = self.position.argsort(dim=1, stable=True)
        return Swaps(*(part.unflatten(1, (positions, -1)) for part in self.take(order)))


def until_stalled(total: int, patience: int | None) -> int:
    """How many swaps are tried at one grid without improvement before a row ends; None for all in total."""
    return total if patience is None else min(patience, total)


def recent_last(
    swaps: Swaps, first: Tensor, recent: Tensor, codebook_size: int, count: int, per_position: int
) -> Swaps:
    """The first ``count`` swaps; among the first few, those that failed recently come last. The order stays otherwise.

    Args:
        swaps: ``(M, C)``.
        first: ``(M,)`` int64, how many come before all others.
        recent: ``(M, T)`` int64 ids of swaps that failed, T at least 1.
        codebook_size: K.
        count: How many to take.
        per_position: How many at most for one position, as long as there are others.
    """
    ids, known = swaps.ids(codebook_size), recent.sort(1).values
    place = torch.searchsorted(known, ids).clamp(max=known.shape[1] - 1)
    failed = known.gather(1, place) == ids
    later = torch.arange(ids.shape[1], device=ids.device) >= first[:, None]
    swaps = swaps.take(torch.where(swaps.new, 2 * later + 1 * failed, 4).argsort(dim=1, stable=True))
    crowded = _rank_at_position(swaps.position) >= per_position
    return swaps.take(torch.where(swaps.new, 1 * crowded, 2).argsort(dim=1, stable=True)[:, :count])


def _rank_at_position(position: Tensor) -> Tensor:
    """``(M, C)``: how many swaps before each one are at its position."""
    ordered, order = position.sort(dim=1, stable=True)
    rank = torch.arange(position.shape[1], device=position.device) - torch.searchsorted(ordered, ordered)
    return torch.empty_like(rank).scatter_(1, order, rank)


# -- grids ---------------------------------------------------------------------------------------------------


class SwapSets(NamedTuple):
    """U sets of swaps for each row, of V members at most, at different positions.

    Attributes:
        position, code: ``(M, U, V)`` int64.
        member: ``(M, U, V)`` bool: what is none is not made.
    """

    position: Tensor
    code: Tensor
    member: Tensor

    def applied(self, z: Tensor) -> Tensor:
        """Grids ``(M, *S)`` with each of the sets made: ``(M, U, *S)``."""
        # What is no member goes to a column of its own, which is dropped.
        flat = z.flatten(1)
        target = torch.where(self.member, self.position, flat.shape[1])
        wide = torch.cat([flat, flat[:, :1]], 1)[:, None].expand(-1, target.shape[1], -1)
        grids: Tensor = wide.scatter(2, target, self.code)[..., :-1].unflatten(2, z.shape[1:])
        return grids


def alone(swaps: Swaps) -> SwapSets:
    """Each swap ``(M, C)`` as a set of its own."""
    position = swaps.position[..., None]
    return SwapSets(position, swaps.code[..., None], torch.ones_like(position, dtype=torch.bool))


def combination_sizes(positions: int, least: int = 1) -> tuple[int, ...]:
    """How many swaps are combined: ``least`` and more, at most one a position."""
    return tuple(size for size in _SIZES if least <= size <= positions)


def combined(swaps: Swaps, gain: Tensor, sizes: tuple[int, ...], instead: Swaps) -> tuple[SwapSets, Tensor]:
    """The best swaps together: the best two, the best three and so on, of each position its best.

    Args:
        swaps: C swaps of each row.
        gain: ``(M, C)``: by how much each lowers the loss; those that do not are left out.
        sizes: How many are combined.
        instead: One swap a size, made alone where there are too few for that size to be another grid.

    Returns:
        One set a size, and ``(M, len(sizes))`` bool: where the other swap is made instead.
    """
    gain, order = torch.where(gain.isnan(), -torch.inf, gain).sort(dim=1, descending=True, stable=True)
    position, code = swaps.position.gather(1, order), swaps.code.gather(1, order)
    repeated = (position[:, :, None] == position[:, None, :]).tril(-1).any(2)
    helps = (gain > 0) & ~repeated
    rank = helps.cumsum(1)
    most = torch.tensor(sizes, device=gain.device)
    fewer = torch.tensor((1, *sizes[:-1]), device=gain.device)[: len(sizes)]
    replaced = fewer >= rank[:, -1:]
    within = helps[:, None] & (rank[:, None] <= most[:, None]) & ~replaced[..., None]
    position = torch.cat([position[:, None].expand(-1, len(sizes), -1), instead.position[..., None]], 2)
    code = torch.cat([code[:, None].expand(-1, len(sizes), -1), instead.code[..., None]], 2)
    return SwapSets(position, code, torch.cat([within, replaced[..., None]], 2)), replaced
