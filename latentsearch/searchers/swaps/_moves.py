"""From a grid to the best of its rivals, single swaps and grids with several; and the end, where none is better."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from latentsearch.goal import Score
from latentsearch.goal.limit import Priority
from latentsearch.loop import best_or_held, project_each, score_each
from latentsearch.objective import Linear, Objective
from latentsearch.result import Status
from latentsearch.searchers.swaps._swaps import Swaps, alone, merge_sizes, merged, worth_keeping
from latentsearch.spaces import Discrete, LatentSpace


class Move(NamedTuple):
    """What came of trying some swaps, alone and together.

    Attributes:
        z: ``(M, *S)``, the best grid of all, the one held before included, with its score ``(M,)``.
        score: See z.
        better: ``(M,)`` bool, whether it is better than the one held before.
        change: ``(M, C)``, of the loss by each swap alone.
        beyond_slope: ``(M, C)``, what of it the slope does not explain; NaN where it teaches nothing.
        used: ``(M, C + U)`` bool: swaps not tried before, of those given and of those made for want of a merge.
    """

    z: Tensor
    score: Score
    better: Tensor
    change: Tensor
    beyond_slope: Tensor
    used: Tensor


def made(objective: Objective, z: Tensor, linear: Linear, curvature: Tensor, swaps: Swaps, merges: int) -> Move:
    """Try swaps one by one, then those that help together, and pick the best.

    Within a hard limit that has no room left another code goes back to the centre for each swap.

    Args:
        objective: What scores.
        z: ``(M, *S)``, the grids held.
        linear: The objective near them.
        curvature: ``(M,)``.
        swaps: ``(M, C + U)``; the last U are tried only where there is no merge in their stead.
        merges: U, as many as merge_sizes of C has from 2 on.
    """
    first, more = swaps.split(swaps.code.shape[1] - merges)

    def worth(center: Tensor) -> Tensor:
        return worth_keeping(objective, z, linear, curvature, center)

    singles, tried = _tried(objective, z, first, worth)
    change = tried.loss - linear.score.loss[:, None]
    sizes = merge_sizes(1 << 62, 2)[:merges]
    grids, spare = merged(z, first, -change, sizes, more)

    def with_gains(center: Tensor) -> Tensor:
        return worth(center).flatten(1).scatter_add(1, first.position, (-change).clamp(min=0)).view_as(z)

    grids = project_each(objective, grids, with_gains)
    score = Score.cat([tried, score_each(objective, grids)], 1)
    best, best_score, better = best_or_held(z, linear.score, torch.cat([singles, grids], 1), score)
    # A swap for which another code went back says nothing of the curvature alone.
    lone = (singles != z[:, None]).flatten(2).sum(2) <= 1
    beyond = torch.where(lone, change - first.slope, torch.nan)
    return Move(best, best_score, better, change, beyond, torch.cat([first.new, more.new & spare], 1))


def _tried(objective: Objective, z: Tensor, swaps: Swaps, worth: Priority) -> tuple[Tensor, Score]:
    """Grids with one swap each, and their scores."""
    grids = alone(z, swaps)
    if not objective.limit.couples:
        return grids, objective.swaps(z, swaps.position, swaps.code)

    def swapped_first(center: Tensor) -> Tensor:
        wide = worth(center).flatten(1)[:, None].expand(-1, grids.shape[1], -1)
        return wide.scatter(2, swaps.position[..., None], torch.inf).view_as(grids)

    grids = project_each(objective, grids, swapped_first)
    return grids, score_each(objective, grids)


def remembered(z: Tensor, tried: Tensor, swaps: Swaps, move: Move, codebook_size: int) -> Tensor:
    """``(M, T + C + U)`` int64: the ids of swaps tried at the grid held; where it changed, none."""
    # The code that position 0 holds is no swap: its id fills up.
    held = move.z.flatten(1)[:, :1]
    seen = torch.cat([tried, torch.where(move.used, swaps.ids(codebook_size), held)], 1)
    return torch.where(move.better[:, None], held, seen)


def ends(space: LatentSpace, count: Tensor, move: Move, patience: int | None) -> Tensor:
    """``(M,)`` status: OPTIMAL where all swaps were tried in vain, STALLED where the most promising ones were.

    Args:
        space: That of the grids.
        count: ``(M,)`` int64, swaps tried at the grid held.
        move: What came of this step.
        patience: Swaps tried in vain before a row ends; None for all there are.
    """
    assert isinstance(space, Discrete)
    total = space.positions * (space.codebook_size - 1)
    limit = total if patience is None else min(patience, total)
    # Swaps whose score is not a number are never promising, and may be all that are left.
    stalled = (count >= limit) | ~(move.better | move.used.any(1))
    status = torch.where(stalled, Status.STALLED, Status.RUNNING)
    return torch.where(count >= total, Status.OPTIMAL, status)
