"""A tighter bound of squared distances: the outputs projected on the direction in which the target lies."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from latentsearch._rows import per_row, sum_rows
from latentsearch.algebra import Constraint
from latentsearch.bounds._first import Entrance, extremes
from latentsearch.bounds._layers import Interval, rounding
from latentsearch.bounds._pull import chain, sizes, transposed
from latentsearch.bounds._wishes import loss_between
from latentsearch.bounds.bound import Bounded
from latentsearch.bounds.interval import IntervalBound, bounded_by_intervals, entrance_of
from latentsearch.constraints import Matches
from latentsearch.errors import InvalidArgument
from latentsearch.objective import Objective
from latentsearch.protocols import Generator


@dataclass(frozen=True)
class LinearBound:
    r"""The bound of [IntervalBound][latentsearch.bounds.IntervalBound], and a tighter one of squared distances.

    For weights $a_i$ and any direction d, all outputs x of a set obey

    $$\sum_i a_i (x_i - t_i)^2 \ge q^2 / 4A, \qquad q = \min_x \sum_i 2 a_i d_i (x_i - t_i) > 0,
    \quad A = \sum_i a_i d_i^2,$$

    by Cauchy and Schwarz. q is bounded from below by pulling the linear function back through the decoder
    [Zhang et al., *Efficient Neural Network Robustness Certification with General Activation Functions*, 2018,
    section 3: CROWN]. What reaches the codes is a number for each code at each position, and its least sum over a set
    is the sum of the least allowed numbers. No order of the codes is needed, and nothing is interpolated.

    The first direction points from the target to the middle of the interval of the outputs. The next
    ones go by Frank and Wolfe: the grid that attains the minimum is decoded, and the direction moves
    towards it as far as it gets shorter.

    A set counts ``3 + 3 * directions`` rows: 4 for the intervals, 2 for each direction, and a decode between two.

    Attributes:
        directions: How many are tried; the best counts.

    Example:
        >>> import latentsearch as ls
        >>> from latentsearch.bounds import LinearBound
        >>> searcher = ls.BranchAndBoundSearch(bound=LinearBound(directions=4))
    """

    directions: int = 1

    def __post_init__(self) -> None:
        if not isinstance(self.directions, int) or self.directions < 1:
            raise InvalidArgument(
                "LinearBound.directions", got=repr(self.directions), expected="a whole number of at least 1"
            )

    @property
    def evaluations(self) -> int:
        return 3 + 3 * self.directions

    def check(self, generator: Generator, constraint: Constraint) -> None:
        """Raise Unsupported, naming the layer or the wish, if these cannot be bounded."""
        IntervalBound().check(generator, constraint)

    def __call__(self, objective: Objective, allowed: Tensor, row: Tensor) -> Bounded:
        """Lower bounds of N sets of grids, ``allowed`` ``(N, P, K)``, with the spread of their positions."""
        entrance = entrance_of(objective.generator)
        with torch.no_grad():
            table = entrance.table()

        def part(rows: slice) -> Sequence[Tensor]:
            constraint, mine = objective.constraint.select(row[rows]), allowed[rows]
            first, seen = bounded_by_intervals(entrance, extremes(table, mine), constraint, mine)
            sets = _Sets(objective.generator, entrance, table, mine, seen)
            with torch.no_grad():
                loss = loss_between(constraint, seen[-1], mine, lambda wish: self._projected(sets, wish))
            return first._replace(lower=torch.maximum(first.lower, loss.low))

        return Bounded(*objective.chunks.run(part, len(allowed)))

    def _projected(self, sets: _Sets, wish: Matches) -> Tensor:
        """The best bound of several directions, ``(N,)``."""
        output = sets.seen[-1]
        d = (output.low + output.high) / 2 - wish.target
        weight = wish.mask.expand_as(d) if wish.mask.numel() else torch.ones_like(d)
        weight = weight / per_row(sum_rows(weight), weight)
        best = torch.zeros_like(sum_rows(d))
        for left in reversed(range(self.directions)):
            least, grid = sets.least(2 * weight * d, wish.target)
            size = sum_rows(weight * d.square()).clamp(min=torch.finfo(d.dtype).tiny)
            best = torch.maximum(best, least.clamp(min=0).square() / (4 * size))
            if left:
                way = sets.generator.decode(grid) - wish.target - d
                length = sum_rows(weight * way.square()).clamp(min=torch.finfo(d.dtype).tiny)
                d = d + per_row((-sum_rows(weight * d * way) / length).clamp(0, 1), d) * way
        return best


@dataclass(frozen=True)
class _Sets:
    """Sets of grids on their way through a decoder.

    Attributes:
        table: ``(P, K, F)``, what each code gives to the first layer.
        allowed: ``(N, P, K)``.
        seen: What comes into each layer after the first, and out of the last.
    """

    generator: Generator
    entrance: Entrance
    table: Tensor
    allowed: Tensor
    seen: list[Interval]

    def least(self, v: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
        """A lower bound of ``v . (x - target)`` over outputs x, ``(N,)``, and the grid that it is attained at."""
        zeros = v.new_zeros(len(v), *self.table.shape[::2])
        _, layers = self.entrance.enter(Interval(zeros, zeros))
        total = chain(layers, self.seen, v)
        entered = transposed(lambda given: self.entrance.enter(Interval(given, given))[0].low, zeros, total.v)
        each = torch.einsum("npf,pkf->npk", entered.v, self.table)
        least, codes = torch.where(self.allowed, each, torch.inf).min(2)
        constant, size = sizes(v * target)
        size = size + total.size + entered.size + sum_rows(least.abs())
        value = total.constant + entered.constant + least.sum(1) - constant
        return value - size * rounding(size), codes.unflatten(1, self.entrance.shape)
