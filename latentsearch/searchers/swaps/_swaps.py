"""Swaps of one code for another: ranked by slope and curvature, and made together."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from latentsearch._codes import excess, lookup, products, rows_that_fit
from latentsearch._rows import per_row
from latentsearch.objective import Linear, Objective
from latentsearch.searchers.swaps._expected_improvement import reluctance

# How many swaps are made together, to see up to where they still help each other.
_SIZES = (1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64, 96, 128, 192, 256, 384, 512, 768, 1024)


class Swaps(NamedTuple):
    """Single swaps of each row, the most promising first.

    Attributes:
        position, code: ``(M, C)`` int64: which code is put where in the flattened grid.
        slope: ``(M, C)``: the change of the loss to first order.
        way: ``(M, C)``: half the squared distance between the two codes.
        new: ``(M, C)`` bool: False for one that was to be left out, taken for want of others.
    """

    position: Tensor
    code: Tensor
    slope: Tensor
    way: Tensor
    new: Tensor

    def ids(self, codebook_size: int) -> Tensor:
        """``(M, C)``: one number a swap."""
        return self.position * codebook_size + self.code

    def split(self, count: int) -> tuple[Swaps, Swaps]:
        """The first so many columns, and the others."""
        return Swaps(*(t[:, :count] for t in self)), Swaps(*(t[:, count:] for t in self))


def most_promising(
    codebook: Tensor,
    z: Tensor,
    linear: Linear,
    curvature: Tensor,
    count: int,
    per_position: int,
    left_out: Tensor,
    *,
    daring: bool = True,
) -> Swaps:
    """The swaps from which most improvement can be expected, a bounded number at each position.

    Args:
        codebook: ``(K, D)`` or ``(*S, K, D)``.
        z: ``(M, *S)``.
        linear: The objective near z.
        curvature: ``(M,)``.
        count: C, how many.
        per_position: How many at most for one position.
        left_out: ``(M, T)`` int64 ids of swaps that come last.
        daring: Mind that the prediction may err; else those with the lowest ``slope + curvature * way``.
    """
    # All scores of a row are K numbers a position: a few rows at a time.
    rows = rows_that_fit(z.shape[1:], codebook.shape[-2], 1 << 22)
    parts = []
    for start in range(0, len(z), rows):
        part = slice(start, start + rows)
        slope, way = _tables(codebook, z[part], linear, part)
        swaps = _best(slope, way, z[part].flatten(1), curvature[part], count, per_position, left_out[part], daring)
        parts.append(swaps)
    return Swaps(*(torch.cat(tensors) for tensors in zip(*parts, strict=True)))


def untried_first(
    swaps: Swaps, first: Tensor, lately: Tensor, codebook_size: int, count: int, per_position: int
) -> Swaps:
    """So many of the swaps: of the first few those that failed lately come last; otherwise they stay in order.

    Args:
        swaps: ``(M, C)``.
        first: ``(M,)`` int64, how many come before all others.
        lately: ``(M, T)`` int64 ids, T at least 1.
        codebook_size: K.
        count: How many to take.
        per_position: How many at most for one position, as long as there are others.
    """
    ids, known = swaps.ids(codebook_size), lately.sort(1).values
    place = torch.searchsorted(known, ids).clamp(max=known.shape[1] - 1)
    failed = known.gather(1, place) == ids
    later = torch.arange(ids.shape[1], device=ids.device) >= first[:, None]
    order = torch.where(swaps.new, 2 * later + 1 * failed, 4).argsort(dim=1, stable=True)
    swaps = Swaps(*(part.gather(1, order) for part in swaps))
    crowded = _rank_at_position(swaps.position) >= per_position
    order = torch.where(swaps.new, 1 * crowded, 2).argsort(dim=1, stable=True)[:, :count]
    return Swaps(*(part.gather(1, order) for part in swaps))


def _rank_at_position(position: Tensor) -> Tensor:
    """``(M, C)``: how many swaps before each one are at its position."""
    ordered, order = position.sort(dim=1, stable=True)
    rank = torch.arange(position.shape[1], device=position.device) - torch.searchsorted(ordered, ordered)
    return torch.empty_like(rank).scatter_(1, order, rank)


def by_position(swaps: Swaps, positions: int) -> Swaps:
    """Swaps as a table, ``(M, P, C)`` each; every position must have as many, and they stay in order."""
    order = swaps.position.argsort(dim=1, stable=True)
    return Swaps(*(part.gather(1, order).unflatten(1, (positions, -1)) for part in swaps))


def _tables(codebook: Tensor, z: Tensor, linear: Linear, part: slice) -> tuple[Tensor, Tensor]:
    """Slope and way of every swap, ``(m, P, K)`` each."""
    held = z[..., None]
    slope = products(codebook, linear.gradient[part])
    if linear.table is not None:
        slope = slope + linear.table[part]
    far = excess(codebook, lookup(codebook, z))
    tables = slope - slope.gather(-1, held), 0.5 * (far - far.gather(-1, held)).clamp(min=0)
    return tables[0].flatten(1, -2), tables[1].flatten(1, -2)


def _best(
    slope: Tensor,
    way: Tensor,
    z: Tensor,
    curvature: Tensor,
    count: int,
    per_position: int,
    left_out: Tensor,
    daring: bool,
) -> Swaps:
    """The best few at each position, and of these the best; ``z`` is ``(m, P)``."""
    size = slope.shape[-1]
    # In the curvature's dtype, which does not overflow where distances are in half precision.
    bend = curvature[:, None, None] * way.to(curvature.dtype)
    # Where nothing bends there is no error: what is lowest is best.
    last = torch.where(curvature[:, None, None] > 0, reluctance(slope, bend), slope) if daring else slope + bend
    last = last.scatter(2, z[..., None], torch.inf)
    last = last.flatten(1).scatter(1, left_out, torch.inf).view_as(slope)
    last = torch.where(last.isnan(), torch.inf, last)
    best, code = last.topk(min(per_position, size), 2, largest=False)
    best, column = best.flatten(1).topk(min(count, best[0].numel()), 1, largest=False)
    position, code = column // code.shape[2], code.flatten(1).gather(1, column)
    index = position * size + code
    slope, way = (table.flatten(1).gather(1, index) for table in (slope, way))
    return Swaps(position, code, slope, way, best < torch.inf)


def alone(z: Tensor, swaps: Swaps) -> Tensor:
    """Grids with one of the swaps each: ``(M, C, *S)``."""
    wide = z.flatten(1)[:, None].expand(-1, swaps.code.shape[1], -1)
    grids: Tensor = wide.scatter(2, swaps.position[..., None], swaps.code[..., None]).unflatten(2, z.shape[1:])
    return grids


def worth_keeping(objective: Objective, z: Tensor, linear: Linear, curvature: Tensor, center: Tensor) -> Tensor:
    """``(M, *S)``: by how much the loss should rise if the code at a position went back to the limit's centre."""
    way = objective.embed(center) - objective.embed(z)
    rise = (linear.gradient * way).sum(-1) + per_row(curvature, z) * 0.5 * way.square().sum(-1).to(curvature.dtype)
    if linear.table is not None:
        there, here = (linear.table.gather(-1, code[..., None])[..., 0] for code in (center, z))
        rise = rise + there - here
    return rise


def merge_sizes(positions: int, least: int = 1) -> tuple[int, ...]:
    """How many swaps are made together: ``least`` and more, at most one a position."""
    return tuple(size for size in _SIZES if least <= size <= positions)


def merged(z: Tensor, swaps: Swaps, gain: Tensor, sizes: tuple[int, ...], instead: Swaps) -> tuple[Tensor, Tensor]:
    """Grids with the best swaps made together: the best two, the best three and so on, of each position its best.

    Args:
        z: ``(M, *S)``.
        swaps: C swaps of each row.
        gain: ``(M, C)``: by how much each lowers the loss; those that do not are left out.
        sizes: How many are made together.
        instead: One swap a size, made alone where there are too few for that size to be another grid.

    Returns:
        ``(M, len(sizes), *S)``, and ``(M, len(sizes))`` bool: where the other swap was made instead.
    """
    gain, order = torch.where(gain.isnan(), -torch.inf, gain).sort(dim=1, descending=True, stable=True)
    position, code = swaps.position.gather(1, order), swaps.code.gather(1, order)
    repeated = (position[:, :, None] == position[:, None, :]).tril(-1).any(2)
    made = (gain > 0) & ~repeated
    rank = made.cumsum(1)
    most = torch.tensor(sizes, device=z.device)
    fewer = torch.tensor((1, *sizes[:-1]), device=z.device)[: len(sizes)]
    spare = fewer >= rank[:, -1:]
    within = made[:, None] & (rank[:, None] <= most[:, None]) & ~spare[..., None]
    position = torch.cat([position[:, None].expand(-1, len(sizes), -1), instead.position[..., None]], 2)
    code = torch.cat([code[:, None].expand(-1, len(sizes), -1), instead.code[..., None]], 2)
    # What is not made goes to a column of its own, which is dropped.
    flat = z.flatten(1)
    wide = torch.cat([flat, flat[:, :1]], 1)[:, None].expand(-1, len(sizes), -1)
    target = torch.where(torch.cat([within, spare[..., None]], 2), position, flat.shape[1])
    return wide.scatter(2, target, code)[..., :-1].unflatten(2, z.shape[1:]), spare
