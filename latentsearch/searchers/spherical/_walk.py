"""Walking over the unit sphere: tangent planes, great circles, and what is carried along them."""

from __future__ import annotations

import math

import torch
from torch import Tensor


def unit(v: Tensor) -> Tensor:
    """Vectors ``(..., d)`` at length 1."""
    return v / _norm(v).clamp(min=torch.finfo(v.dtype).tiny)


def tangent(at: Tensor, v: Tensor) -> Tensor:
    """What is left of vectors ``(..., d)`` in the plane that touches the unit sphere at ``at``."""
    return v - (v * at).sum(-1, keepdim=True) * at


def geodesic(at: Tensor, move: Tensor) -> Tensor:
    """Where great circles from ``at`` lead, ``(..., d)``, along tangent moves whose lengths are angles."""
    angle = _norm(move)
    # sin(angle) / angle, which is 1 at 0.
    return unit(angle.cos() * at + torch.sinc(angle / math.pi) * move)


def transported(v: Tensor, start: Tensor, end: Tensor) -> Tensor:
    """Tangent vectors at ``start``, ``(..., d)``, carried along the great circle to ``end``, not the opposite point."""
    share = (v * end).sum(-1, keepdim=True) / (1 + (start * end).sum(-1, keepdim=True)).clamp(min=1e-3)
    return v - share * (start + end)


def _norm(v: Tensor) -> Tensor:
    """``(..., 1)``."""
    return v.square().sum(-1, keepdim=True).sqrt()
