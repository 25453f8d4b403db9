"""Sets of grids that wait to be split: ranges of ranks at each position.

Codes are ranked so that halves of a range are near to each other in embedding space, halves of
halves too. So a set is two bounds a position.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from latentsearch._codebook import Codebook
from latentsearch.loop import take
from latentsearch.spaces import Discrete


@dataclass
class Frontier:
    """F places for sets of grids, for each row.

    Attributes:
        low, high: ``(M, F, P)`` int32: the ranks allowed at each position are those in [low, high).
        lower: ``(M, F)``: no grid of the set has a lower loss; ``inf`` where the place is empty.
        depth: ``(M, F)`` int64: how often the set was split.
        position: ``(M, F)`` int64: where it will be split next.
    """

    low: Tensor
    high: Tensor
    lower: Tensor
    depth: Tensor
    position: Tensor

    def at(self, index: Tensor) -> Frontier:
        """The sets at places ``(M, V)``."""
        return Frontier(*(take(t, index) for t in (self.low, self.high, self.lower, self.depth, self.position)))

    def first(self, count: int) -> Frontier:
        return Frontier(*(t[:, :count] for t in (self.low, self.high, self.lower, self.depth, self.position)))


def root(rows: int, space: Discrete, counts: Tensor, batch: int, like: Tensor) -> Frontier:
    """The set of all grids, of ``counts`` codes a position, and memory for all that can ever wait.

    See ``sorted_for_diving``.
    """
    depths = space.positions * math.ceil(math.log2(space.codebook_size)) + 1
    places = 2 * batch * (depths + 1)
    low = torch.zeros(rows, places, space.positions, dtype=torch.int32, device=like.device)
    lower = torch.full((rows, places), torch.inf, dtype=like.dtype, device=like.device)
    lower[:, 0] = torch.finfo(like.dtype).min
    zeros = torch.zeros(rows, places, dtype=torch.int64, device=like.device)
    # A position that holds one code cannot be split.
    widest = counts.argmax().expand_as(zeros).clone()
    return Frontier(low, counts.expand_as(low).contiguous(), lower, zeros, widest)


def sorted_for_diving(sets: Frontier) -> Frontier:
    """The deepest first, of these the lowest bound, empty places last.

    Then no more than 2W sets ever wait at one depth, W being how many are split a step: new ones come to a
    depth only when fewer than W wait there or deeper, which are all taken away in that step.
    """
    by_bound = sets.lower.argsort(dim=1, stable=True)
    depth = torch.where(sets.lower.isinf(), -1, sets.depth).gather(1, by_bound)
    return sets.at(by_bound.gather(1, depth.argsort(dim=1, descending=True, stable=True)))


def halved(sets: Frontier) -> Frontier:
    """Two halves of each set at its position, ``(M, 2W)``, with the bound of the whole; none of a single grid."""
    at = sets.position[..., None]
    low, high = sets.low.gather(2, at), sets.high.gather(2, at)
    middle = (low + high) // 2
    single = (high - low)[..., 0] < 2
    lower = torch.where(single, torch.inf, sets.lower)
    # Empty places and single grids keep their ranges, so that all that is bounded holds a grid.
    upper_low = torch.where(single[..., None], sets.low, sets.low.scatter(2, at, middle))
    lower_high = torch.where(single[..., None], sets.high, sets.high.scatter(2, at, middle))

    def twice(a: Tensor, b: Tensor) -> Tensor:
        return torch.cat([a, b], 1)

    depth = sets.depth + 1
    return Frontier(
        twice(sets.low, upper_low),
        twice(lower_high, sets.high),
        twice(lower, lower),
        twice(depth, depth),
        twice(sets.position, sets.position),
    )


def pushed(waiting: Frontier, halves: Frontier, taken: int) -> Frontier:
    """The halves in place of the sets they were made of, which are the first ``taken``."""
    places = waiting.lower.shape[1]

    def joined(new: Tensor, old: Tensor) -> Tensor:
        return torch.cat([new, old[:, taken:]], 1)[:, :places]

    return Frontier(
        joined(halves.low, waiting.low),
        joined(halves.high, waiting.high),
        joined(halves.lower, waiting.lower),
        joined(halves.depth, waiting.depth),
        joined(halves.position, waiting.position),
    )


def ranks_of(codebook: Codebook, space: Discrete) -> Tensor:
    """``(P, K)`` int32 ranks: a k-d tree of the codes, made by halving along the direction of the widest range."""
    vectors = codebook.vectors
    books = vectors[None] if vectors.ndim == 2 and codebook.alias is None else codebook.each(space.shape)
    codes = torch.arange(space.codebook_size, device=vectors.device).expand(len(books), -1)
    order = _halved_order(books, codes)
    if codebook.own is not None:
        # Those that stand for others come last, where no set has them.
        own = codebook.own.expand(*space.shape, -1).flatten(0, -2)
        order = order.expand(len(own), -1)
        order = order.gather(1, own.gather(1, order).byte().argsort(dim=1, descending=True, stable=True))
    return order.argsort(1).to(torch.int32).expand(space.positions, -1)


def counts_of(codebook: Codebook, space: Discrete) -> Tensor:
    """``(P,)`` int32: how many codes each position may hold, those of the lowest ranks."""
    own, device = codebook.own, codebook.vectors.device
    every = torch.ones(space.codebook_size, dtype=torch.bool, device=device) if own is None else own
    return every.expand(*space.shape, -1).flatten(0, -2).sum(1, dtype=torch.int32)


def _halved_order(books: Tensor, codes: Tensor) -> Tensor:
    count = codes.shape[1]
    if count < 3:
        return codes
    mine = take(books, codes)
    widest = (mine.amax(1) - mine.amin(1)).argmax(1)
    along = mine.gather(2, widest[:, None, None].expand(-1, count, 1))[..., 0]
    codes = codes.gather(1, along.argsort(dim=1, stable=True))
    half = count // 2
    return torch.cat([_halved_order(books, codes[:, :half]), _halved_order(books, codes[:, half:])], 1)
