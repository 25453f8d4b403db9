"""How promising a swap is: the improvement to be expected of it.

The change that slope and curvature predict, ``Δ = g·δ + λ|δ|²/2``, is wrong by a share of its second part,
since positions and directions bend differently. With a normal error of deviation ``σ = ERROR λ|δ|²/2`` the
improvement to be expected is ``E max(0, -Δ - error) = σ (φ(x) - x Φ(-x))`` at ``x = Δ / σ`` [Jones, Schonlau and
Welch, *Efficient global optimization of expensive black-box functions*, 1998, equation 15]. Near a good grid
every Δ is above 0, and the lowest belongs to the nearest code, which changes next to nothing: what may help is
farther away, and this finds it.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

# The typical error of the second part, as a share of it. Larger ones look too far away.
ERROR = 0.25
_FAR = 5.0  # deviations from which on the difference of two nearly equal numbers gives way to its limit


def reluctance(slope: Tensor, bend: Tensor) -> Tensor:
    """Minus the logarithm of the improvement to be expected: the lower the more promising, and never infinite.

    Args:
        slope: The change to first order.
        bend: The change to second order, at least 0.

    Returns:
        Of the shape of both, in float32 at least.
    """
    dtype = torch.promote_types(slope.dtype, torch.float32)
    slope, bend = slope.to(dtype), bend.to(dtype)
    tiny = torch.finfo(dtype).tiny
    deviation = (ERROR * bend).clamp(min=tiny)
    x = (slope + bend) / deviation
    near = x.clamp(max=_FAR)
    density = (near.square() * -0.5).exp() * (2 * math.pi) ** -0.5
    expected = (density - near * torch.special.ndtr(-near)).clamp(min=tiny)
    beyond = x.clamp(min=_FAR)
    limit = beyond.square() * -0.5 - 2 * beyond.log() + (1 - 3 / beyond.square()).log() - 0.5 * math.log(2 * math.pi)
    gain = deviation.log() + torch.where(x > _FAR, limit, expected.log())
    return -gain.clamp(torch.finfo(dtype).min, torch.finfo(dtype).max)  # a NaN stays one
