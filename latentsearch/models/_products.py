"""Sums of softplus without an exponential each: what makes all single swaps of a linear Bernoulli decoder cheap."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

_MOST = 85.0  # sum of logarithms up to which a product of float32 is sure not to overflow


def softplus_sums(base: Tensor, z: Tensor, weight: Tensor, *, compiled: bool = False) -> Tensor:
    r"""$\sum_i \log(1 + \exp(b_{ni} - w_{p z_p i} + w_{pji}))$ for every row n, position p and code j.

    The exponential of a sum is a product of exponentials of its N P I and P K I parts, so that none is
    taken of the N P K I sums, and one logarithm serves the product of up to eight pixels. Exact but
    for rounding.

    Args:
        base: b, ``(N, I)``, what a linear decoder gives at the grids as they are.
        z: ``(N, P)`` int64, the grids.
        weight: w, ``(P, K, I)``, the parts in it of all codes.
        compiled: Whether ``torch.compile`` makes one kernel of it.

    Returns:
        ``(N, P, K)``.
    """
    most, least = weight.amax(1), weight.amin(1)
    spread = (most - least).amax(0)
    # The sums of all but one position, and what is multiplied to them: half of its spread, either way.
    count = _group(torch.maximum(base.amax(0) + spread, spread / 2))
    if count == 0:
        return _each(lambda p: F.softplus(_others(base, z, weight, p)[:, None] + weight[p]).sum(-1), len(weight))
    # What all codes of a position have in common stays with the rest, so that exponentials are moderate.
    weight = weight - ((most + least) / 2)[:, None]
    factor = _padded(weight.exp(), count)
    base, weight = _padded(base, count), _padded(weight, count)
    if compiled:
        return _compiled()(base, z, weight, factor, count)  # type: ignore[no-any-return]
    # Position by position, so that the products stay in the cache.
    return _each(lambda p: _log_products(_others(base, z, weight, p).exp()[:, None], factor[p], count), len(weight))


def softplus_total(values: Tensor) -> Tensor:
    """The sum of softplus over the last dimension, without a gradient; several times as fast as torch's.

    It is the sum of what is positive and of log(1 + exp(-|x|)), whose products are at most 2 to the number of factors.
    """
    # In half precision the products would overflow.
    factors = values.abs().neg_().to(torch.promote_types(values.dtype, torch.float32)).exp_().add_(1)
    for _ in range(6):  # 64 factors in (1, 2]
        if factors.shape[-1] % 2:
            break
        first, second = factors.chunk(2, -1)
        factors = first * second
    return values.clamp(min=0).sum(-1) + factors.log_().sum(-1).to(values.dtype)


def _group(most: Tensor) -> int:
    """How many pixels can be multiplied without overflow: 8, 4, 2, 1, or 0 where even one may overflow."""
    terms = F.softplus(most)
    for count in (8, 4, 2, 1):
        if float(_padded(terms, count).unflatten(-1, (count, -1)).sum(-2).amax()) < _MOST:
            return count
    return 0


def _padded(values: Tensor, count: int) -> Tensor:
    """With zeros at the end, so that there are ``count`` equal parts; as factors they count for nothing."""
    return F.pad(values, (0, -values.shape[-1] % count))


def _each(losses: Callable[[int], Tensor], positions: int) -> Tensor:
    return torch.stack([losses(p) for p in range(positions)], 1)


def _others(base: Tensor, z: Tensor, weight: Tensor, p: int) -> Tensor:
    """``(N, I)``: what all positions but one give."""
    return base - weight[p, z[:, p]]


def _log_products(start: Tensor, factor: Tensor, count: int) -> Tensor:
    """The sum over pixels of log(1 + start * factor), ``count`` pixels a logarithm."""
    product: Any = 1
    for a, b in zip(start.chunk(count, -1), factor.chunk(count, -1), strict=True):
        product = product * (1 + a * b)
    return product.log().sum(-1)  # type: ignore[no-any-return]


def _at_once(base: Tensor, z: Tensor, weight: Tensor, factor: Tensor, count: int) -> Tensor:
    own = weight[torch.arange(len(weight), device=z.device), z]
    return _log_products((base[:, None] - own).exp()[:, :, None], factor, count)


@cache
def _compiled() -> Any:
    return torch.compile(_at_once, dynamic=False)
