"""One number for the curvature of the loss in embedding space, a row, fitted to losses already paid for.

A move of the embeddings by δ changes the loss by about ``slope + λ * way``, with ``way = |δ|² / 2``. The fit is
least squares over all moves seen, old ones fading: ``λ = Σ (rise - slope) way / Σ way²``.
"""

from __future__ import annotations

import torch
from torch import Tensor

from latentsearch.objective import Objective


def empty_fit(objective: Objective, rows: int) -> Tensor:
    """``(M, 2)``: numerator and denominator; wide enough for squared distances, which overflow half precision."""
    dtype = torch.promote_types(objective.generator.dtype, torch.float32)
    return torch.zeros(rows, 2, dtype=dtype, device=objective.generator.device)


def learn(fit: Tensor, beyond_slope: Tensor, way: Tensor, fade: float) -> Tensor:
    """The fit with more moves, ``(M,)`` or ``(M, C)`` of them; those with a loss that is not finite teach nothing."""
    beyond_slope, way = beyond_slope.to(fit.dtype), way.to(fit.dtype)
    equations = torch.stack([beyond_slope * way, way * way], -1)
    equations = torch.where(equations.isfinite().all(-1, keepdim=True), equations, 0)
    return fade * fit + (equations if equations.ndim == 2 else equations.sum(1))


def curvature(fit: Tensor) -> Tensor:
    """``(M,)``: λ, at least 0; 0 where nothing was learnt yet."""
    return (fit[:, 0] / fit[:, 1].clamp(min=torch.finfo(fit.dtype).tiny)).clamp(min=0)


def first_guess(codebook: Tensor, gradient: Tensor) -> Tensor:
    """``(M,)``: the λ at which a step down the gradient is as long as codes are far from each other.

    Args:
        codebook: ``(K, D)`` or ``(*S, K, D)``.
        gradient: ``(M, *S, D)``.
    """
    # Squares and their quotient leave the range of half precision.
    wide = torch.promote_types(codebook.dtype, torch.float32)
    apart = 2 * codebook.to(wide).var(-2, correction=0).sum(-1).mean()
    steepness = gradient.to(wide).square().sum(-1).flatten(1).mean(1)
    return (steepness / apart.clamp(min=torch.finfo(apart.dtype).tiny)).sqrt()
