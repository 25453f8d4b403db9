"""How low and how high a loss can be, given how low and how high each number of the output can be."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from latentsearch._rows import mean_rows, sum_rows
from latentsearch.algebra import Below, Constraint, Limit, Sum, Weighted
from latentsearch.bounds._layers import Interval
from latentsearch.constraints import Downscales, LogPrior, Matches, Near
from latentsearch.errors import Unsupported
from latentsearch.priors import UniformCodes


def check_wish(constraint: Constraint) -> None:
    """Raise Unsupported for a wish that has no rule here."""
    match constraint:
        case Sum():
            for part in constraint.parts:
                check_wish(part)
        case Weighted() | Below():
            check_wish(constraint.inner)
        case Matches() | Near():
            pass
        case Downscales(mode="area"):
            pass
        case LogPrior() if isinstance(constraint.prior, UniformCodes):
            pass
        case Limit():
            raise Unsupported(
                "IntervalBound",
                got=f"the hard limit {constraint.name}",
                expected="a wish about the whole space",
                hint="CoordinateSearch keeps within it, and proves that no swap within it is better",
            )
        case _:
            raise Unsupported(
                "IntervalBound",
                got=f"the wish {constraint.name}",
                expected="Matches, Downscales(mode='area'), Near, LogPrior of UniformCodes, their sums and weights",
                hint="give BranchAndBoundSearch a bound of your own",
            )


def loss_between(
    constraint: Constraint, output: Interval, allowed: Tensor, tighter: Callable[[Matches], Tensor] | None = None
) -> Interval:
    """Least and highest loss: outputs ``(N, *O)``, allowed codes ``(N, P, K)``, one row of the wish a set; ``(N,)``.

    ``tighter`` gives another lower bound of a squared distance.
    """
    match constraint:
        case Sum():
            parts = [loss_between(part, output, allowed, tighter) for part in constraint.parts]
            return Interval(sum_of([p.low for p in parts]), sum_of([p.high for p in parts]))
        case Weighted():
            inner = loss_between(constraint.inner, output, allowed, tighter)
            ends = constraint.weight * inner.low, constraint.weight * inner.high
            return Interval(*(ends if constraint.weight >= 0 else ends[::-1]))
        case Below():
            return loss_between(constraint.inner, output, allowed, tighter)
        case Matches():
            # All distances rise with |x - t|: they are least at the nearest point of the interval.
            nearest, farthest = _ends(output, constraint.target)
            low, high = constraint(nearest, nearest).loss, constraint(farthest, farthest).loss
            if tighter is not None and constraint.distance == "l2":
                low = torch.maximum(low, tighter(constraint))
            return Interval(low, high)
        case Downscales():
            small = constraint.small
            shrunk = Interval(constraint.shrink(output.low), constraint.shrink(output.high))
            nearest, farthest = _ends(shrunk, small)
            return Interval(mean_rows((nearest - small).square()), mean_rows((farthest - small).square()))
        case Near():
            source = constraint.latent.flatten(1).expand(len(allowed), -1)[..., None]
            held = allowed.gather(2, source)[..., 0]
            alone = held & (allowed.sum(2) == 1)
            dtype = constraint.scale.dtype
            return Interval(sum_rows((~held).to(dtype)), sum_rows((~alone).to(dtype)))
        case _:
            # Of a uniform prior all grids are as likely as the first.
            grid = torch.zeros_like(allowed[..., 0], dtype=torch.int64)
            loss = constraint(grid, grid).loss
            return Interval(loss, loss)


def sum_of(parts: list[Tensor]) -> Tensor:
    """Added in the order in which ``Sum`` adds losses."""
    total = parts[0]
    for part in parts[1:]:
        total = total + part
    return total


def _ends(x: Interval, target: Tensor) -> tuple[Tensor, Tensor]:
    """The points of an interval nearest to a target and farthest from it."""
    nearest = torch.minimum(torch.maximum(target, x.low), x.high)
    farthest = torch.where((x.low - target).abs() > (x.high - target).abs(), x.low, x.high)
    return nearest, farthest
