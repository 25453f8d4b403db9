"""Positions are filled in one part after another, those that the outputs show best first."""

from __future__ import annotations

import torch
from torch import Tensor

from latentsearch._codes import code_draws
from latentsearch.noise import Noise
from latentsearch.objective import ChargedPrior


def reveal(
    prior: ChargedPrior, z: Tensor, known: Tensor, rise: Tensor, shown: Tensor, count: int, noise: Noise
) -> tuple[Tensor, Tensor]:
    """Draw so many of the positions that are not known, given those that are; one pass of the prior.

    Args:
        prior: What is asked, at a charge.
        z: ``(M, *S)`` grids.
        known: ``(M, *S)`` bool.
        rise: ``(M, *S, K)``, of the loss by each code.
        shown: ``(M, *S)``, how much the outputs tell of each position.
        count: How many, the same in every row.
        noise: M rows.

    Returns:
        The grids, and what is known of them.
    """
    logits = prior.conditionals(z, known) - rise
    drawn = code_draws(logits.log_softmax(-1), 1, noise)[:, 0]
    order = shown.masked_fill(known, -torch.inf).flatten(1)
    now = torch.zeros_like(order, dtype=torch.bool).scatter(1, order.topk(count, 1).indices, True).view_as(z)
    return torch.where(now, drawn, z), known | now


def part_of(positions: int, stage: int, stages: int) -> int:
    """How many of the positions are revealed in a stage."""
    return positions * (stage + 1) // stages - positions * stage // stages
