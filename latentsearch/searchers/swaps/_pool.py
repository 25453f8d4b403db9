"""Swaps whose effect on the residual is known, and sets of them that cancel it together.

The loss is ``|r|²``. To first order in the outputs the effects of swaps at different positions add up, so a
set S of them makes it ``|r + Σ_S d|² = |r|² + Σ_S (2 r·d + |d|²) + 2 Σ_{i<j} d_i·d_j``: a quadratic form in
which sets are grown without decoding anything.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from latentsearch.searchers.swaps._swaps import Swaps, SwapSets

_LARGEST = 16  # swaps in a set
_PREFIXES = (1, 2, 3, 4, 6, 8, 12, 16)  # of the best set: the larger a set, the less its effects add up
_PRODUCTS = 1 << 27  # multiply-adds that a step may spend on the products of a row's effects
_FEWEST, _MOST = 128, 512


@dataclass
class Pool:
    """Swaps of the grids held, the newest last; unused places put the code held at position 0, which is no swap.

    Attributes:
        position, code: ``(M, T)`` int64.
        effect: ``(M, T, n)``, what each adds to the residual.
    """

    position: Tensor
    code: Tensor
    effect: Tensor

    def ids(self, codebook_size: int) -> Tensor:
        """``(M, T)``: one number a swap."""
        return self.position * codebook_size + self.code

    def extend(self, swaps: Swaps, effect: Tensor) -> Pool:
        """With more swaps ``(M, C)`` and their effects ``(M, C, n)``; of a full pool the oldest go."""
        effect = torch.where(effect.isfinite().all(2, keepdim=True), effect, 0)
        if not self.position.shape[1]:  # how many entries a residual has is known from the first ones only
            return Pool(swaps.position, swaps.code, effect)
        most = capacity(effect.shape[2])
        parts = ((self.position, swaps.position), (self.code, swaps.code), (self.effect, effect))
        return Pool(*(torch.cat(part, 1)[:, -most:] for part in parts))

    def clear(self, rows: Tensor, z: Tensor) -> Pool:
        """Without all swaps of the rows in ``(M,)`` bool, which hold the grids ``(M, P)``."""
        gone = rows[:, None]
        return Pool(
            torch.where(gone, 0, self.position),
            torch.where(gone, z[:, :1], self.code),
            torch.where(gone[..., None], 0, self.effect),
        )

    def rebase(self, z: Tensor, new: Tensor) -> Pool:
        """The same swaps from the grids ``new``, ``(M, P)``, in place of ``z``.

        What made a change becomes the swap that undoes it; other swaps at its position count from the new code.
        """
        before, after = (grid.gather(1, self.position) for grid in (z, new))
        changed = before != after
        chosen = changed & (self.code == after)
        # Most grids that are moved to are few swaps away.
        picked = chosen.byte().topk(min(2 * _LARGEST, chosen.shape[1]), 1).indices
        there = chosen.gather(1, picked)
        effects = self.effect.gather(1, picked[..., None].expand(-1, -1, self.effect.shape[2]))
        same = (self.position[..., None] == self.position.gather(1, picked)[:, None]) & there[:, None]
        # One of the two is 0, and as a sum over few it does not depend on the other rows.
        effect = self.effect - torch.einsum("mtc,mcn->mtn", same.to(effects.dtype), effects)
        effect = torch.where(chosen[..., None], -self.effect, effect)
        known = same.any(2) | ~changed
        return Pool(
            torch.where(known, self.position, 0),
            torch.where(known, torch.where(chosen, before, self.code), new[:, :1]),
            torch.where(known[..., None], effect, 0),
        )

    def sets(self, members: Tensor) -> SwapSets:
        """Sets given as places in the pool, ``(M, U, V)`` int64, -1 for none."""
        place = members.clamp(min=0).flatten(1)
        position, code = (part.gather(1, place).view(members.shape) for part in (self.position, self.code))
        return SwapSets(position, code, members >= 0)


def capacity(entries: int) -> int:
    """T for residuals of so many entries: as many swaps as have affordable products of effects."""
    return min(max(int((_PRODUCTS / max(entries, 1)) ** 0.5), _FEWEST), _MOST)


def matching_pursuit(pool: Pool, residual: Tensor, seeds: int) -> Tensor:
    """Sets of swaps at different positions that are predicted to lower the loss most, grown greedily from pairs.

    Args:
        pool: T swaps of each row.
        residual: ``(M, n)``, at the grids held.
        seeds: U, how many pairs are grown into sets.

    Returns:
        ``(M, U + 8, 16)`` int64 places in the pool, -1 for none: the sets, and prefixes of the best of them.
    """
    rows = max((1 << 24) // pool.position.shape[1] ** 2, 1)
    parts = []
    for start in range(0, len(residual), rows):
        part = slice(start, start + rows)
        parts.append(_grown(pool.position[part], pool.effect[part], residual[part], seeds))
    return torch.cat(parts)


def _grown(position: Tensor, effect: Tensor, residual: Tensor, seeds: int) -> Tensor:
    """The sets of a few rows, from what each swap and each pair of them changes the loss by."""
    products = torch.bmm(effect, effect.mT)
    alone = 2 * torch.bmm(effect, residual[..., None])[..., 0] + products.diagonal(dim1=1, dim2=2)
    same = position[..., None] == position[:, None]
    change, members = _seeds(alone, products, same, seeds)
    more = alone[:, None] + 2 * _of(products, members[..., 0]) + 2 * _of(products, members[..., 1])
    taken = _of(same, members[..., 0]) | _of(same, members[..., 1])
    more = more.masked_fill(taken, torch.inf)
    for _ in range(_LARGEST - 2):
        best, place = more.min(2)
        helps = best < 0
        members = torch.cat([members, torch.where(helps, place, -1)[..., None]], 2)
        change = change + torch.where(helps, best, 0)
        place = torch.where(helps, place, members[..., 0])
        more = torch.where(helps[..., None], more + 2 * _of(products, place), more)
        more = more.masked_fill(_of(same, place), torch.inf)
    # Where there are too few pairs at different positions, others fill their places: no sets at all.
    members = torch.where((change < torch.inf)[..., None], members, -1)
    best = change.argmin(1)[:, None, None].expand(-1, 1, _LARGEST)
    longest = members.gather(1, best).expand(-1, len(_PREFIXES), -1)
    sizes = torch.tensor(_PREFIXES, device=position.device)[:, None]
    prefixes = torch.where(torch.arange(_LARGEST, device=position.device) < sizes, longest, -1)
    return torch.cat([members, prefixes], 1)


def _seeds(alone: Tensor, products: Tensor, same: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """By how much the best pairs change the loss, ``(M, U)``, and these pairs, ``(M, U, 2)``."""
    pairs = alone[:, :, None] + alone[:, None] + 2 * products
    pairs = torch.where(same, torch.inf, pairs).nan_to_num(torch.inf, torch.inf, torch.inf)
    size = pairs.shape[1]
    upper = torch.ones(size, size, dtype=torch.bool, device=pairs.device).triu(1)
    best, index = torch.where(upper, pairs, torch.inf).flatten(1).topk(min(count, size * size), 1, largest=False)
    return best, torch.stack([index // size, index % size], 2)


def _of(table: Tensor, place: Tensor) -> Tensor:
    """Rows of a ``(M, T, T)`` table at places ``(M, U)``: ``(M, U, T)``."""
    return table.gather(1, place[..., None].expand(-1, -1, table.shape[2]))
