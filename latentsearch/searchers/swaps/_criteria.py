"""Criteria by which swaps are ranked: the predicted change of the loss, or the expected improvement.

The change that a quadratic model predicts, ``Δ = g·δ + λ|δ|²/2``, is wrong by a share of its second part, since the
curvature differs between positions and directions. With a normal error of deviation ``σ = ERROR λ|δ|²/2`` the
expected improvement is ``E max(0, -Δ - error) = σ (φ(x) - x Φ(-x))`` at ``x = Δ / σ`` [Jones, Schonlau and
Welch, *Efficient global optimization of expensive black-box functions*, 1998, equation 15]. Near a good grid
every Δ is above 0, and the lowest belongs to the nearest code, which changes next to nothing: what may help is
farther away, and this finds it.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor

# From first-order changes and quadratic terms to scores of the same shape; the lowest is the best.
Criterion = Callable[[Tensor, Tensor], Tensor]

# The typical error of the quadratic term, as a share of it. Larger ones look too far away.
ERROR = 0.25
_FAR = 5.0  # deviations; beyond it the difference of two nearly equal values is replaced by its limit


def predicted_change(first_order: Tensor, quadratic: Tensor) -> Tensor:
    """The sum of the first-order change and the quadratic term."""
    return first_order + quadratic


def negative_log_expected_improvement(first_order: Tensor, quadratic: Tensor) -> Tensor:
    """Minus the logarithm of the expected improvement, never infinite.

    Args:
        first_order: The change to first order.
        quadratic: The quadratic term, at least 0.

    Returns:
        Of the shape of both, in float32 at least.
    """
    dtype = torch.promote_types(first_order.dtype, torch.float32)
    first_order, quadratic = first_order.to(dtype), quadratic.to(dtype)
    tiny = torch.finfo(dtype).tiny
    deviation = (ERROR * quadratic).clamp(min=tiny)
    x = (first_order + quadratic) / deviation
    near = x.clamp(max=_FAR)
    density = (near.square() * -0.5).exp() * (2 * math.pi) ** -0.5
    expected = (density - near * torch.special.ndtr(-near)).clamp(min=tiny)
    beyond = x.clamp(min=_FAR)
    limit = beyond.square() * -0.5 - 2 * beyond.log() + (1 - 3 / beyond.square()).log() - 0.5 * math.log(2 * math.pi)
    log_improvement = deviation.log() + torch.where(x > _FAR, limit, expected.log())
    return -log_improvement.clamp(torch.finfo(dtype).min, torch.finfo(dtype).max)  # a NaN stays one
