"""The standard normal distribution far out in its tails, in float64."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor

EDGE = 37.0  # standard deviations; beyond, the smaller tail leaves float64
_TINY = torch.finfo(torch.float64).tiny  # the mass beyond 37.5 standard deviations
_LOG_ROOT = 0.5 * math.log(2 * math.pi)


def within_edge(eps: Tensor) -> Tensor:
    """Normals in float64, cut off where nothing can be told apart any more."""
    return eps.double().clamp(-EDGE, EDGE)


def log_density(eps: Tensor) -> Tensor:
    """Of each element, under the standard normal."""
    return -0.5 * eps.square() - _LOG_ROOT


def gumbel_of_normal(eps: Tensor) -> Tensor:
    """Normals to Gumbel variables of the same rank, in float64: ``-log(-log Phi(eps))``."""
    log_mass: Tensor = torch.special.log_ndtr(within_edge(eps))
    return -(-log_mass).log()


def normal_between(lower: Tensor, upper: Tensor) -> Tensor:
    """Where the standard normal splits into masses that add up to 1; the smaller of the two is the exact one."""
    quantile: Tensor = torch.special.ndtri(torch.minimum(lower, upper).clamp(min=_TINY))
    return torch.where(lower < upper, quantile, -quantile)


def log_ndtri(log_mass: Tensor) -> Tensor:
    """The eps with ``log Phi(eps) = log_mass``, in float64, however close to 0 or far from it that is."""
    eps: Tensor = _LogQuantile.apply(log_mass.double())
    return eps


class _LogQuantile(torch.autograd.Function):
    """The inverse of ``log_ndtr``; through ``exp`` the gradient of the side not taken would be NaN."""

    @staticmethod
    def forward(ctx: Any, log_mass: Tensor) -> Tensor:
        middle = log_mass.clamp(min=-700)
        eps = normal_between(middle.exp(), -middle.expm1())
        # Below the smallest float64: the first terms of the tail's expansion, then Newton's method.
        square = -2 * log_mass - 2 * _LOG_ROOT
        far = -(square - square.clamp(min=1).log()).clamp(min=1).sqrt()
        for _ in range(3):
            slope = (log_density(far) - torch.special.log_ndtr(far)).exp()
            far = far - (torch.special.log_ndtr(far) - log_mass) / slope
        eps = torch.where(log_mass < -700, far, eps)
        ctx.save_for_backward(log_mass, eps)
        return eps

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Tensor:
        log_mass, eps = ctx.saved_tensors
        # d eps / d log Phi = Phi / phi
        slope: Tensor = (log_mass - log_density(eps)).exp()
        return grad * slope
