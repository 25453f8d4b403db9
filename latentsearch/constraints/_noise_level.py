"""Noise levels: what makes a sum of squares a likelihood in nats."""

from __future__ import annotations

import math
from numbers import Real

import torch
from torch import Tensor

from latentsearch._rows import per_row
from latentsearch.errors import InvalidArgument, describe

DECODER = "decoder"  # the noise level that stands for the decoder's own error, until that is known

# Errors of neighbouring elements are alike, so that n of them tell about as much as half as many that are independent.
_INDEPENDENT = 0.5


def noise_level(what: str, noise: float | Tensor | str | None, target: Tensor) -> Tensor:
    """``(B,)`` or ``(1,)`` standard deviations; ``(1, 0)`` where no noise is given.

    The decoder's own error is NaN, ``(1, 1)``: its shape tells it from others without asking the device for a value.

    They are on the target's device, in its dtype; at least in float32, for their squares are small.

    Raises:
        InvalidArgument: If a level is not positive and finite.
    """
    dtype = torch.promote_types(target.dtype, torch.float32)
    if noise is None:
        return torch.zeros(1, 0, dtype=dtype, device=target.device)
    if isinstance(noise, str) and noise == DECODER:
        return torch.full((1, 1), math.nan, dtype=dtype, device=target.device)
    if isinstance(noise, bool) or not isinstance(noise, (Real, Tensor)):
        raise InvalidArgument(
            what, got=repr(noise), expected="a standard deviation, a tensor of one a problem, or 'decoder'"
        )
    level = torch.as_tensor(noise, dtype=dtype, device=target.device).reshape(-1)
    if isinstance(noise, Tensor) and noise.ndim > 1:
        hint = "errors of their own for pixels are a mask, or Observed(target / sigma, lambda x: x / sigma, noise=1)"
        raise InvalidArgument(what, got=describe(noise), expected="a number, or one a problem, (B,)", hint=hint)
    if not len(level) or not bool((level.isfinite() & (level > 0)).all()):
        raise InvalidArgument(what, got=repr(noise), expected="positive standard deviations")
    return level


def is_open(level: Tensor) -> bool:
    """Whether a level stands for the decoder's own error, which is not known yet."""
    return level.ndim == 2 and bool(level.numel())


def require_known(what: str, level: Tensor) -> None:
    """Raise if a level is not known yet."""
    if is_open(level):
        raise InvalidArgument(
            what,
            got="'decoder', of which nothing is known",
            expected="a number, or a prior of ls.fit_prior beside it, which knows how far the decoder is off",
            hint="in a search write ... + ls.LogPrior(prior); by hand goal.calibrated(prior.residuals)",
        )


def level_of(what: str, mean_square: Tensor) -> Tensor:
    """The standard deviations at which errors of some mean squares ``(B,)`` count as much as they tell."""
    if not bool((mean_square > 0).all()):
        expected = "a decoder that is off by something, where the target counts"
        raise InvalidArgument(what, got="an error of 0", expected=expected, hint="give a standard deviation")
    return (mean_square / _INDEPENDENT).sqrt()


def in_deviations(apart: Tensor, level: Tensor) -> Tensor:
    """Differences ``(N, ...)`` as residuals, whose squares sum to half the squares in units of the deviation."""
    return apart / per_row(level * math.sqrt(2), apart)
