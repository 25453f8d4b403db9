"""Noise levels: what makes a sum of squares a likelihood in nats."""

from __future__ import annotations

import math
from numbers import Real

import torch
from torch import Tensor

from latentsearch._rows import per_row
from latentsearch.errors import InvalidArgument


def noise_level(what: str, noise: float | Tensor | None, target: Tensor) -> Tensor:
    """``(B,)`` or ``(1,)`` standard deviations; ``(1, 0)`` where no noise is given.

    They are on the target's device, in its dtype; at least in float32, for their squares are small.

    Raises:
        InvalidArgument: If a level is not positive and finite.
    """
    dtype = torch.promote_types(target.dtype, torch.float32)
    if noise is None:
        return torch.zeros(1, 0, dtype=dtype, device=target.device)
    if isinstance(noise, bool) or not isinstance(noise, (Real, Tensor)):
        raise InvalidArgument(what, got=repr(noise), expected="a standard deviation, or a tensor of one a problem")
    level = torch.as_tensor(noise, dtype=dtype, device=target.device).reshape(-1)
    if not len(level) or not bool((level.isfinite() & (level > 0)).all()):
        raise InvalidArgument(what, got=repr(noise), expected="positive standard deviations")
    return level


def in_deviations(apart: Tensor, level: Tensor) -> Tensor:
    """Differences ``(N, ...)`` as residuals, whose squares sum to half the squares in units of the deviation."""
    return apart / per_row(level * math.sqrt(2), apart)
