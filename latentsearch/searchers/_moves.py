"""From a grid to the best of its rivals, single swaps and grids with several; and the end, where none is better."""

from __future__ import annotations

import torch
from torch import Tensor

from latentsearch._rows import per_row
from latentsearch.algebra import Score
from latentsearch.result import Status
from latentsearch.searchers._board import improves
from latentsearch.searchers._population import ranking
from latentsearch.searchers._swaps import Swaps
from latentsearch.spaces import Discrete, LatentSpace


def best_move(
    z: Tensor, held: Score, swaps: Swaps, tried: Score, grids: Tensor, together: Score
) -> tuple[Tensor, Score, Tensor]:
    """The best of the grid held, of its single swaps and of the grids with several, and whether it is better.

    Args:
        z: ``(M, *S)``, the grid held.
        held: ``(M,)``, its score.
        swaps: C swaps of each row.
        tried: ``(M, C)``, the scores of these.
        grids: ``(M, U, *S)``, with several swaps made.
        together: ``(M, U)``, the scores of these.
    """
    loss = torch.cat([held.loss[:, None], tried.loss, together.loss], 1)
    satisfied = torch.cat([held.satisfied[:, None], tried.satisfied, together.satisfied], 1)
    choice = ranking(Score(loss, satisfied))[:, :1]
    best = Score(loss.gather(1, choice)[:, 0], satisfied.gather(1, choice)[:, 0])
    better = improves(best.loss, held.loss) | (best.satisfied & ~held.satisfied)

    count = swaps.code.shape[1]
    column = (choice - 1).clamp(0, count - 1)
    single = z.flatten(1).scatter(1, swaps.position.gather(1, column), swaps.code.gather(1, column)).view_as(z)
    several = single
    if grids.shape[1]:
        several = grids[torch.arange(len(z), device=z.device), (choice[:, 0] - 1 - count).clamp(min=0)]
    new = torch.where(per_row(choice[:, 0] > count, z), several, single)
    score = Score(*(torch.where(better, a, b) for a, b in zip(best, held, strict=True)))
    return torch.where(per_row(better, z), new, z), score, better


def ends(space: LatentSpace, count: Tensor, used: Tensor, patience: int | None) -> Tensor:
    """``(M,)`` status: OPTIMAL where all swaps were tried in vain, STALLED where the most promising ones were.

    Args:
        space: That of the grids.
        count: ``(M,)`` int64, swaps tried at the grid held.
        used: ``(M, C)`` bool, swaps of this step that were not tried before.
        patience: Swaps tried in vain before a row ends; None for all there are.
    """
    assert isinstance(space, Discrete)
    total = space.positions * (space.codebook_size - 1)
    limit = total if patience is None else min(patience, total)
    # Swaps whose score is not a number are never promising, and may be all that are left.
    stalled = (count >= limit) | ((count > 0) & ~used.any(1))
    status = torch.where(stalled, Status.STALLED, Status.RUNNING)
    return torch.where(count >= total, Status.OPTIMAL, status)
