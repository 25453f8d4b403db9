"""What counts as equal up to rounding: the one owner of the tolerances by which decoders and losses are compared.

Rounding is small on the whole, and noise is not. A graphics card adds up in another order from call
to call, so a few outputs differ by some units in the last place, those of TF32 or bfloat16 where the
decoder works in such: pointwise that may be a hundredth, and as a root mean square it is next to
nothing. Noise or dropout moves all outputs, or some of them far. So both measures are taken.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

_UNITS = 4.0  # units in the last place that any two of the same may differ by
_POINTWISE = 1e-2  # of the largest output: the most that a single one may differ by, in a precise dtype
_OUTLINE = 2e-2  # of the largest mean: the most that one may differ by; bfloat16 was off by half a hundredth
_CANCELLED = 0.05  # share of the amplitude below which means are as good as 0


def same_again(a: Tensor, b: Tensor) -> bool:
    """Whether outputs ``(N, *O)`` of two calls with the same latents are the same: noise of 1e-3 is not."""
    return _close(a, b, root_mean_square=_tolerance(a, b, units=1024, most=1e-4))


def same_in_company(a: Tensor, b: Tensor) -> bool:
    """Whether outputs of the same latents are the same in two batches of one size, among other rows."""
    return _close(a, b, root_mean_square=_tolerance(a, b, units=1 << 22, most=1e-4))


def same_alone(a: Tensor, b: Tensor) -> bool:
    """Whether outputs of the same latents are the same in batches of other sizes, which other kernels compute."""
    return _close(a, b, root_mean_square=torch.inf)


def same_losses(a: Tensor, b: Tensor, atol: float = 1e-5) -> bool:
    """Whether losses ``(N,)`` of the same latents are the same, row by row; NaN is like NaN.

    Args:
        a: Losses.
        b: Losses, in the dtype whose tolerance applies.
        atol: What counts as nothing.
    """
    return a.shape == b.shape and torch.allclose(a.to(b.dtype), b, rtol=_share(b), atol=atol, equal_nan=True)


def same_scores(a: Tensor, b: Tensor) -> bool:
    """Whether losses ``(N,)`` of latents far from any optimum are the same: what counts as nothing goes by the largest.

    A rule may have any unit: where losses are of 1e-5, noise of as much is noise.
    """
    largest = float(b[b.isfinite()].abs().max()) if bool(b.isfinite().any()) else 0.0
    return same_losses(a, b, atol=min(1e-5, _share(b) * largest + 1e-12))


def _share(losses: Tensor) -> float:
    return max(1e-3, math.sqrt(torch.finfo(losses.dtype).eps))


def same_decoder(a: Tensor, b: Tensor) -> bool:
    """Whether outputs of the same latents, on one machine, are of decoders with the same weights."""
    return _close(a, b, root_mean_square=_tolerance(a, b, units=128, most=2e-5))


def same_in_outline(a: Tensor, b: Tensor, amplitude: float) -> bool:
    """Whether means of parts of outputs ``(n, m)`` are the same, whatever device and precision they are from.

    Args:
        a: The means.
        b: What they are compared with.
        amplitude: Of the outputs: where means cancel, rounding is as large as this makes it.
    """
    scale = max(float(b.abs().max()), _CANCELLED * amplitude)
    return a.shape == b.shape and bool((a - b).abs().max() <= _OUTLINE * scale)


def difference(a: Tensor, b: Tensor) -> float:
    """The largest difference, for messages."""
    return float((a.detach() - b.detach()).abs().max())


def _close(a: Tensor, b: Tensor, root_mean_square: float) -> bool:
    if a.shape != b.shape or a.dtype != b.dtype:
        return False
    a, b = (torch.nan_to_num(t.detach()).to(torch.promote_types(t.dtype, torch.float32)) for t in (a, b))
    if torch.equal(a, b):
        return True
    gap = (a - b).flatten(1)
    pointwise = max(min(100 * root_mean_square, _POINTWISE), _tolerance(a, b, units=1 << 22, most=_POINTWISE))
    largest = gap.abs().max() <= pointwise * b.abs().max()
    typical = gap.square().mean(1).max().sqrt() <= root_mean_square * b.square().mean().sqrt()
    return bool(largest & typical)


def _tolerance(a: Tensor, b: Tensor, units: float, most: float) -> float:
    """So many units in the last place, but no more than ``most`` unless a few units are more."""
    eps = min(_precision(a), _precision(b)) if a.is_floating_point() else 0.0
    return max(min(units * eps, most), _UNITS * eps)


def _precision(values: Tensor) -> float:
    """The distance of 1 from the next number in the coarsest dtype that holds the values: what they were made in."""
    for dtype in (torch.bfloat16, torch.float16, torch.float32):
        if torch.equal(values.to(dtype).to(values.dtype), values):
            return torch.finfo(dtype).eps
    return torch.finfo(values.dtype).eps
