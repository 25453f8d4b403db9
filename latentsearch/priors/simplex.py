r"""Relaxed codes in additive log-ratio coordinates.

A relaxed code is a point y of the simplex, K positive numbers that sum to 1. Near a corner they leave
floating point, and a density with respect to K numbers of which K - 1 are free is none at all. So
relaxed codes are given by $u_k = \log(y_k / y_K)$, k < K: all of $R^{K-1}$, exact at any temperature,
with densities with respect to du.
"""

from __future__ import annotations

import torch
from torch import Tensor

from latentsearch.priors._latents import require_floating


def to_alr(log_y: Tensor) -> Tensor:
    """Logarithms of relaxed codes ``(..., K)``, up to a constant, to coordinates ``(..., K - 1)``.

    Example:
        >>> import torch
        >>> from latentsearch.priors import to_alr
        >>> to_alr(torch.tensor([0.5, 0.25, 0.25]).log())
        tensor([0.6931, 0.0000])
    """
    require_floating("to_alr.log_y", log_y)
    return log_y[..., :-1] - log_y[..., -1:]


def from_alr(u: Tensor) -> Tensor:
    """Coordinates ``(..., K - 1)`` to logarithms of relaxed codes ``(..., K)``; their ``exp`` is what is decoded.

    Example:
        >>> import torch
        >>> from latentsearch.priors import from_alr
        >>> from_alr(torch.zeros(3)).exp()
        tensor([0.2500, 0.2500, 0.2500, 0.2500])
    """
    require_floating("from_alr.u", u)
    return with_last(u).log_softmax(-1)


def with_last(u: Tensor) -> Tensor:
    """Coordinates ``(..., K - 1)`` and the 0 of the last code: ``(..., K)``."""
    return torch.cat([u, torch.zeros_like(u[..., :1])], -1)


def to_sticks(u: Tensor) -> Tensor:
    """Coordinates to the log-odds of each break, when a stick of length 1 is broken K - 1 times.

    The map is unit triangular: its determinant is 1.
    """
    # What is left after break k, in units of the last piece: 1 + sum_{j > k} e^{u_j}
    left = with_last(u).flip(-1).logcumsumexp(-1).flip(-1)[..., 1:]
    return u - left


def from_sticks(odds: Tensor) -> Tensor:
    """The inverse of `to_sticks`: log-odds ``(..., K - 1)`` to coordinates."""
    grown = torch.logaddexp(odds, torch.zeros_like(odds))
    later = grown.flip(-1).cumsum(-1).flip(-1) - grown
    return odds + later
