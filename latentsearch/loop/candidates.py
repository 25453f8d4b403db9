"""What the methods share that score many candidates a row."""

from __future__ import annotations

import torch
from torch import Tensor

from latentsearch._rows import per_row
from latentsearch.goal import Score
from latentsearch.goal.limit import Priority
from latentsearch.loop.incumbents import improves
from latentsearch.noise import Noise
from latentsearch.objective import Objective
from latentsearch.spaces import Discrete


def score_each(objective: Objective, z: Tensor) -> Score:
    """Score ``(M, U, *S)`` latents, U a held row: loss and satisfied are ``(M, U)``."""
    rows, count = z.shape[:2]
    row = torch.arange(rows, device=z.device).repeat_interleave(count)
    score = objective(z.flatten(0, 1), row)
    return score.map(lambda t: t.view(rows, count))


def gradients_each(objective: Objective, z: Tensor) -> tuple[Score, Tensor]:
    """Score continuous ``(M, U, *S)`` latents, U a held row, ``(M, U)``, with their gradients, ``(M, U, *S)``."""
    rows, count = z.shape[:2]
    row = torch.arange(rows, device=z.device).repeat_interleave(count)
    score, gradient = objective.value_and_gradient(z.flatten(0, 1), row)
    return score.map(lambda t: t.view(rows, count)), gradient.view_as(z)


def maps_each(objective: Objective, z: Tensor) -> tuple[Score, Tensor]:
    """Score ``(M, U, *S)`` latents, U a held row, ``(M, U)``, with their loss maps, ``(M, U, *cells)``."""
    rows, count = z.shape[:2]
    row = torch.arange(rows, device=z.device).repeat_interleave(count)
    score, maps = objective.maps(z.flatten(0, 1), row)
    return score.map(lambda t: t.view(rows, count)), maps.unflatten(0, (rows, count))


def project_each(objective: Objective, z: Tensor, priority: Priority | None = None) -> Tensor:
    """``(M, U, *S)`` latents, U a held row, projected onto those that are feasible.

    ``priority`` maps the limit's centres of the held rows, ``(M, *S)``, to how much each element of the candidates is
    worth keeping, ``(M, *S)`` or ``(M, U, *S)``.
    """
    rows, count = z.shape[:2]
    row = torch.arange(rows, device=z.device).repeat_interleave(count)

    def of_candidates(center: Tensor) -> Tensor:
        assert priority is not None
        worth = priority(center.unflatten(0, (rows, count))[:, 0])
        worth = worth if worth.ndim == z.ndim else worth[:, None]
        return worth.expand(z.shape).flatten(0, 1)

    return objective.project(z.flatten(0, 1), row, None if priority is None else of_candidates).view(z.shape)


def prior_draws(objective: Objective, first: int, last: int, noise: Noise) -> Tensor:
    """``(M, last - first, *S)`` draws of the generator's prior: those from ``first`` to ``last`` among each row's."""
    rows, count, space = len(noise), last - first, objective.generator.space
    if not count:
        dtype = torch.int64 if isinstance(space, Discrete) else objective.generator.dtype
        return torch.empty(rows, 0, *space.shape, dtype=dtype, device=noise.keys.device)
    keys = noise.split(last).keys.view(rows, last)[:, first:]
    row = torch.arange(rows, device=keys.device).repeat_interleave(count)
    draws = objective.prior.sample(Noise(keys.flatten()), row)
    return draws.view(rows, count, *draws.shape[1:])


def ranking(score: Score) -> Tensor:
    """``(M, U)`` int64: the candidates of each row from best to worst.

    Satisfied ones come first and NaN last, so that one broken candidate does not hide the others.
    Of equals the earlier comes first.
    """
    broken = score.loss.isnan()
    by_loss = torch.where(broken, torch.inf, score.loss).argsort(dim=1, stable=True)
    unsatisfied = ~(score.passed & ~broken)
    return by_loss.gather(1, unsatisfied.gather(1, by_loss).byte().argsort(dim=1, stable=True))


def take(values: Tensor, index: Tensor) -> Tensor:
    """``(M, U, ...)`` at ``(M, V)`` places of the second dimension: ``(M, V, ...)``."""
    rows = torch.arange(len(values), device=values.device)[:, None]
    return values[rows, index]


def best_of(z: Tensor, score: Score) -> tuple[Tensor, Score]:
    """The best of each row's candidates, ``(M, U, *S)`` with their scores ``(M, U)``: ``(M, *S)`` and ``(M,)``."""
    best = ranking(score)[:, :1]
    return take(z, best)[:, 0], score.map(lambda t: take(t, best)[:, 0])


def best_or_held(z: Tensor, held: Score, grids: Tensor, score: Score) -> tuple[Tensor, Score, Tensor]:
    """The best of each row's candidates if it is better than what the row holds; and whether it is.

    Args:
        z: ``(M, *S)``, what is held, with its score ``(M,)``.
        held: See z.
        grids: ``(M, U, *S)``, the candidates, with their scores ``(M, U)``.
        score: See grids.
    """
    found, best = best_of(grids, score)
    better = improves(best.loss, held.loss) | (best.passed & ~held.passed)
    return torch.where(per_row(better, z), found, z), Score.where(better, best, held), better
