"""How low and how high a goal's loss can be, given how low and how high each number of the output can be."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from latentsearch.adapters import CodebookGenerator
from latentsearch.bounds._layers import Interval
from latentsearch.constraints import SquaredMatches
from latentsearch.errors import Unsupported
from latentsearch.goal import BoundedLoss, Goal
from latentsearch.noise import Noise
from latentsearch.objective import EmbeddingView


def check_goal(goal: Goal, generator: CodebookGenerator) -> None:
    """Raise Unsupported for a goal with a limit, or a term that has no bound; settings decide, so one is asked for."""
    if goal.limited:
        raise Unsupported(
            "IntervalBound",
            got=f"the hard limit {goal.limit.name}",
            expected="a goal about the whole space",
            hint="CoordinateSearch keeps within it, and proves that no swap within it is better",
        )
    for constraint in goal.constraints:
        if not isinstance(constraint, BoundedLoss):
            raise Unsupported(
                "IntervalBound",
                got=f"the term {constraint.name}",
                expected="terms with loss_interval: Matches, MatchesTokens, Downscales(mode='area'), Near, LogPrior of "
                "UniformCodes",
                hint="give BranchAndBoundSearch a bound of your own, or the constraint a loss_interval",
            )
    with torch.no_grad():
        output = generator.decode(generator.prior.sample(Noise.from_seed(0, device=generator.device)))
    space = EmbeddingView(generator).grid
    everything = torch.ones(1, space.positions, space.codebook_size, dtype=torch.bool, device=output.device)
    first = goal.to(output.device, output.dtype).select(torch.zeros(1, dtype=torch.int64))
    loss_between(first, Interval(output, output), everything)


def loss_between(
    goal: Goal, output: Interval, allowed: Tensor, tighter: Callable[[SquaredMatches], Tensor] | None = None
) -> Interval:
    """Least and highest loss: outputs ``(N, *O)``, allowed codes ``(N, P, K)``, one row of the goal a set; ``(N,)``.

    ``tighter`` gives another lower bound of a squared distance.
    """
    lows, highs = [], []
    for weight, constraint in goal.terms:
        assert isinstance(constraint, BoundedLoss)
        low, high = constraint.loss_interval(output.low, output.high, allowed)
        if tighter is not None and isinstance(constraint, SquaredMatches):
            low = torch.maximum(low, tighter(constraint))
        ends = (weight * low, weight * high) if weight >= 0 else (weight * high, weight * low)
        lows.append(ends[0])
        highs.append(ends[1])
    return Interval(_sum(lows), _sum(highs))


def _sum(parts: list[Tensor]) -> Tensor:
    """Added in the order in which a goal adds losses."""
    total = parts[0]
    for part in parts[1:]:
        total = total + part
    return total
