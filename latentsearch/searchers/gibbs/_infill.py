"""Draws of the masked positions of grids given the others, with their probabilities."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from latentsearch._codes import code_draws
from latentsearch.noise import Noise
from latentsearch.objective import ChargedPrior
from latentsearch.searchers.gibbs._choice import guided

_ORDER = 1  # stream of noise; the passes have others


class Infill(NamedTuple):
    """What the masked positions may hold, U a row; the first is what they hold now.

    Attributes:
        z: ``(M, U, *S)``.
        prior: ``(M, U)`` float64, log p of the masked codes given the others.
        proposal: ``(M, U)`` float64, log q of them.
    """

    z: Tensor
    prior: Tensor
    proposal: Tensor


def infill(
    prior: ChargedPrior, z: Tensor, masked: Tensor, rise: Tensor | None, count: int, passes: int, noise: Noise
) -> Infill:
    """Draw the masked positions in a random order, a part of them in each pass of the prior.

    Those of one pass are taken to be independent given those before. The first pass serves all draws of a row.

    Args:
        prior: What is asked, at a charge.
        z: ``(M, *S)`` grids.
        masked: ``(M, *S)`` bool; nothing of the draws depends on what is there now.
        rise: ``(M, *S, K)``, of the loss by each code, by which draws are guided; None for the prior alone.
        count: How many draws a row.
        passes: How many parts.
        noise: M rows.
    """
    part = _parts(masked, passes, noise.fold(_ORDER))
    grids = z[:, None].expand(-1, count + 1, *z.shape[1:])
    total = [torch.zeros(grids.shape[:2], dtype=torch.float64, device=z.device) for _ in range(2)]
    for step in range(passes):
        logs, mass = _conditionals(prior, grids if step else grids[:, :1], part < step)
        drawn = logs if rise is None else guided(logs, rise[:, None])
        own = noise.fold(_ORDER + 1 + step)
        if step:
            new = code_draws(drawn[:, 1:].flatten(0, 1), 1, own.split(count)).view(len(z), count, *z.shape[1:])
        else:
            new = code_draws(drawn[:, 0], count, own)
        now = (part == step)[:, None]
        grids = torch.where(now, torch.cat([grids[:, :1], new], 1), grids)
        for sums, table, allowed in zip(total, (logs, drawn), (mass, torch.zeros_like(mass)), strict=True):
            each = table.expand(*grids.shape, -1).gather(-1, grids[..., None])[..., 0].double()
            sums += torch.where(now, each + allowed, 0).flatten(2).sum(2)
    return Infill(grids, *total)


def _parts(masked: Tensor, passes: int, noise: Noise) -> Tensor:
    """``(M, *S)`` int64: in which pass each masked position is drawn, at random; -1 for the others."""
    flat = masked.flatten(1)
    rank = torch.where(flat, noise.uniform(flat.shape[1]), torch.inf).argsort(1).argsort(1)
    count = flat.sum(1, keepdim=True).clamp(min=1)
    return torch.where(flat, rank * passes // count, -1).view_as(masked)


def _conditionals(prior: ChargedPrior, grids: Tensor, known: Tensor) -> tuple[Tensor, Tensor]:
    """``(M, U, *S, K)`` of grids ``(M, U, *S)``, given the positions known in each row, ``(M, *S)``; and their mass."""
    rows, count = grids.shape[:2]
    row = torch.arange(rows, device=grids.device).repeat_interleave(count)
    found, mass = prior.conditionals_and_mass(grids.flatten(0, 1), known[row], row)
    return found.view(*grids.shape, -1), mass.reshape(grids.shape)
