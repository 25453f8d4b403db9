"""A tighter bound of squared distances: the outputs projected on the direction in which the target lies."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from latentsearch._rows import per_row, sum_rows
from latentsearch.bounds._backward import backward_through, sizes, transposed
from latentsearch.bounds._first import FirstLayer, extremes
from latentsearch.bounds._layers import Interval, rounding
from latentsearch.bounds._losses import loss_between
from latentsearch.bounds.bound import Bounded
from latentsearch.bounds.interval import IntervalBound, bounded_by_intervals, first_layer_of
from latentsearch.constraints import SquaredMatches
from latentsearch.errors import InvalidArgument
from latentsearch.goal._addend import Addend
from latentsearch.objective import Objective
from latentsearch.protocols import Generator


@dataclass(frozen=True)
class LinearBound:
    r"""The bound of [IntervalBound][latentsearch.bounds.IntervalBound], and a tighter one of squared distances.

    For weights $a_i$ and any direction d, all outputs x of a set obey

    $$\sum_i a_i (x_i - t_i)^2 \ge q^2 / 4A, \qquad q = \min_x \sum_i 2 a_i d_i (x_i - t_i) > 0,
    \quad A = \sum_i a_i d_i^2,$$

    by Cauchy and Schwarz. q is bounded from below by a backward pass of the linear function through the decoder
    [Zhang et al., *Efficient Neural Network Robustness Certification with General Activation Functions*, 2018,
    section 3: CROWN]. The pass ends with one value for each code at each position. Its least sum over a set
    is the sum of the least allowed values. No order of the codes is needed, and nothing is interpolated.

    The first direction points from the target to the middle of the interval of the outputs. The next
    ones follow Frank and Wolfe: the grid that attains the minimum is decoded, and the direction moves
    towards it as far as it gets shorter.

    A set costs ``3 + 3 * directions`` evaluations: 4 for the intervals, 2 for each direction, and a decode between two.

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

    def check(self, generator: Generator, goal: Addend) -> None:
        """Raise Unsupported, naming the layer or the term, if these cannot be bounded."""
        IntervalBound().check(generator, goal)

    def __call__(self, objective: Objective, allowed: Tensor, row: Tensor) -> Bounded:
        """Lower bounds of N sets of grids, ``allowed`` ``(N, P, K)``, with the spread of their positions."""
        first_layer = first_layer_of(objective)
        with torch.no_grad():
            table = first_layer.table()

        def part(rows: slice) -> Sequence[Tensor]:
            goal, mine = objective.goal.select(row[rows]), allowed[rows]
            first, seen = bounded_by_intervals(first_layer, extremes(table, mine), goal, mine)
            sets = _Sets(objective.generator, first_layer, table, mine, seen)
            with torch.no_grad():
                loss = loss_between(goal, seen[-1], mine, lambda term: self._projected(sets, term))
            return first._replace(lower=torch.maximum(first.lower, loss.low))

        return Bounded(*objective.chunks.run(part, len(allowed)))

    def _projected(self, sets: _Sets, term: SquaredMatches) -> Tensor:
        """The best bound of several directions, ``(N,)``."""
        output = sets.seen[-1]
        d = (output.low + output.high) / 2 - term.target
        weight = term.weights_like(d)
        best = torch.zeros_like(sum_rows(d))
        for left in reversed(range(self.directions)):
            least, grid = sets.least(2 * weight * d, term.target)
            size = sum_rows(weight * d.square()).clamp(min=torch.finfo(d.dtype).tiny)
            best = torch.maximum(best, least.clamp(min=0).square() / (4 * size))
            if left:
                step = sets.generator.decode(grid) - term.target - d
                length = sum_rows(weight * step.square()).clamp(min=torch.finfo(d.dtype).tiny)
                d = d + per_row((-sum_rows(weight * d * step) / length).clamp(0, 1), d) * step
        return best


@dataclass(frozen=True)
class _Sets:
    """Sets of grids, with the bounds of every layer.

    Attributes:
        table: ``(P, K, F)``, what each code gives to the first layer.
        allowed: ``(N, P, K)``.
        seen: What comes into each layer after the first, and out of the last.
    """

    generator: Generator
    first_layer: FirstLayer
    table: Tensor
    allowed: Tensor
    seen: list[Interval]

    def least(self, v: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
        """A lower bound of ``v . (x - target)`` over outputs x, ``(N,)``, and the grid that it is attained at."""
        zeros = v.new_zeros(len(v), *self.table.shape[::2])
        _, layers = self.first_layer.enter(Interval(zeros, zeros))
        total = backward_through(layers, self.seen, v)
        entered = transposed(lambda given: self.first_layer.enter(Interval(given, given))[0].low, zeros, total.v)
        each = torch.einsum("npf,pkf->npk", entered.v, self.table)
        least, codes = torch.where(self.allowed, each, torch.inf).min(2)
        constant, size = sizes(v * target)
        size = size + total.size + entered.size + sum_rows(least.abs())
        value = total.constant + entered.constant + least.sum(1) - constant
        return value - size * rounding(size), codes.unflatten(1, self.first_layer.shape)
