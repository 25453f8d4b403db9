"""What the methods share that score many candidates a row."""

from __future__ import annotations

import torch
from torch import Tensor

from latentsearch._rows import per_row
from latentsearch.algebra import Score
from latentsearch.loop.incumbents import improves
from latentsearch.objective import Objective


def score_each(objective: Objective, z: Tensor) -> Score:
    """Score ``(M, U, *S)`` latents, U a held row: loss and satisfied are ``(M, U)``."""
    rows, count = z.shape[:2]
    row = torch.arange(rows, device=z.device).repeat_interleave(count)
    score = objective(z.flatten(0, 1), row)
    return Score(score.loss.view(rows, count), score.satisfied.view(rows, count))


def gradients_each(objective: Objective, z: Tensor) -> tuple[Score, Tensor]:
    """Score continuous ``(M, U, *S)`` latents, U a held row, ``(M, U)``, with their gradients, ``(M, U, *S)``."""
    rows, count = z.shape[:2]
    row = torch.arange(rows, device=z.device).repeat_interleave(count)
    score, gradient = objective.value_and_gradient(z.flatten(0, 1), row)
    return Score(*(part.view(rows, count) for part in score)), gradient.view_as(z)


def maps_each(objective: Objective, z: Tensor) -> tuple[Score, Tensor]:
    """Score ``(M, U, *S)`` latents, U a held row, ``(M, U)``, with their loss maps, ``(M, U, h, w)``."""
    rows, count = z.shape[:2]
    row = torch.arange(rows, device=z.device).repeat_interleave(count)
    score, maps = objective.maps(z.flatten(0, 1), row)
    return Score(*(part.view(rows, count) for part in score)), maps.unflatten(0, (rows, count))


def project_each(objective: Objective, z: Tensor, favour: Tensor | None = None) -> Tensor:
    """``(M, U, *S)`` latents, U a held row, put back within the hard limit; ``favour``, alike, says what is kept."""
    if objective.limit is None:
        return z
    rows, count = z.shape[:2]
    row = torch.arange(rows, device=z.device).repeat_interleave(count)
    return objective.project(z.flatten(0, 1), row, None if favour is None else favour.flatten(0, 1)).view(z.shape)


def ranking(score: Score) -> Tensor:
    """``(M, U)`` int64: the candidates of each row from best to worst.

    Satisfied ones come first and NaN last, so that one broken candidate does not hide the others.
    Of equals the earlier comes first.
    """
    broken = score.loss.isnan()
    by_loss = torch.where(broken, torch.inf, score.loss).argsort(dim=1, stable=True)
    unsatisfied = ~(score.satisfied & ~broken)
    return by_loss.gather(1, unsatisfied.gather(1, by_loss).byte().argsort(dim=1, stable=True))


def take(values: Tensor, index: Tensor) -> Tensor:
    """``(M, U, ...)`` at ``(M, V)`` places of the second dimension: ``(M, V, ...)``."""
    rows = torch.arange(len(values), device=values.device)[:, None]
    return values[rows, index]


def best_of(z: Tensor, score: Score) -> tuple[Tensor, Score]:
    """The best of each row's candidates, ``(M, U, *S)`` with their scores ``(M, U)``: ``(M, *S)`` and ``(M,)``."""
    best = ranking(score)[:, :1]
    return take(z, best)[:, 0], Score(take(score.loss, best)[:, 0], take(score.satisfied, best)[:, 0])


def best_or_held(z: Tensor, held: Score, grids: Tensor, score: Score) -> tuple[Tensor, Score, Tensor]:
    """The best of each row's candidates if it is better than what the row holds; and whether it is.

    Args:
        z: ``(M, *S)``, what is held, with its score ``(M,)``.
        held: See z.
        grids: ``(M, U, *S)``, the candidates, with their scores ``(M, U)``.
        score: See grids.
    """
    found, best = best_of(grids, score)
    better = improves(best.loss, held.loss) | (best.satisfied & ~held.satisfied)
    best = Score(*(torch.where(better, a, b) for a, b in zip(best, held, strict=True)))
    return torch.where(per_row(better, z), found, z), best, better
