"""From a grid to the best of its neighbours, by single swaps and combinations of those that help."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from latentsearch.goal import Score
from latentsearch.loop import best_or_held, score_each
from latentsearch.searchers.swaps._quadratic import QuadraticModel
from latentsearch.searchers.swaps._swaps import Swaps, alone, combination_sizes, combined


class Outcome(NamedTuple):
    """The result of evaluating some swaps, alone and combined.

    Attributes:
        z: ``(M, *S)``, the best grid of all, the one held before included, with its score ``(M,)``.
        score: See z.
        better: ``(M,)`` bool, whether it is better than the one held before.
        swaps: ``(M, C)``, those evaluated alone.
        change: ``(M, C)``, of the loss by each of them.
        measured: ``(M, C)``, the same; NaN where the hard limit changed another code with it.
        tried: ``(M, C + U)`` bool: swaps not tried before, of those given and of those that stand in for combinations.
    """

    z: Tensor
    score: Score
    better: Tensor
    swaps: Swaps
    change: Tensor
    measured: Tensor
    tried: Tensor


def evaluate(model: QuadraticModel, swaps: Swaps, combinations: int) -> Outcome:
    """Decode swaps one by one, then combinations of those that help, and pick the best.

    At the border of the feasible set, each swap moves another code back to the centre.

    Args:
        model: The objective near the grids held.
        swaps: ``(M, C + U)``; the last U are tried only where there is no combination in their stead.
        combinations: U, as many as combination_sizes of C has from 2 on.
    """
    objective, z, held = model.objective, model.z, model.linear.score
    first, more = swaps.split(swaps.code.shape[1] - combinations)
    singles = model.project(alone(first).applied(z))
    # Projected grids may differ in more than one code, which patches cannot decode.
    patched = not objective.limit.couples
    scored = objective.swaps(z, first.position, first.code) if patched else score_each(objective, singles)
    change = scored.loss - held.loss[:, None]
    sets, replaced = combined(first, -change, combination_sizes(1 << 62, 2)[:combinations], more)
    grids = model.project(sets.applied(z), first, -change)
    score = Score.cat([scored, score_each(objective, grids)], 1)
    best, best_score, better = best_or_held(z, held, torch.cat([singles, grids], 1), score)
    # A swap that moved another code back as well does not measure the curvature.
    lone = (singles != z[:, None]).flatten(2).sum(2) <= 1
    measured = torch.where(lone, change, torch.nan)
    return Outcome(best, best_score, better, first, change, measured, torch.cat([first.new, more.new & replaced], 1))
