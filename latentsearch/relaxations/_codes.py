"""Hard codes as one-hot vectors, with what is differentiated in their place."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

_COLDEST = 1e-28  # a temperature of 0 stands for this one, at which only the largest is left


def one_hot(z: Tensor, like: Tensor) -> Tensor:
    """``(N, *S)`` codes to ``(N, *S, K)`` vectors of the shape and dtype of ``like``."""
    return F.one_hot(z, like.shape[-1]).to(like.dtype)


def with_gradient_of(z: Tensor, soft: Tensor) -> Tensor:
    """``(N, *S, K)``: hard codes, exactly 0 or 1, whose gradient goes to ``soft``."""
    # Hard minus zero, and not hard + soft - soft, which is a rounding away from hard.
    return one_hot(z, soft) + (soft - soft.detach())


def softened(logits: Tensor, temperature: float | Tensor, like: Tensor) -> Tensor:
    """``softmax(logits / temperature)`` in the dtype of ``like``; float32 at least in between: quotients are large."""
    exact = logits.to(torch.promote_types(logits.dtype, torch.float32))
    if isinstance(temperature, Tensor):
        temperature = temperature.to(exact.dtype).clamp(min=_COLDEST)
    return (exact / temperature).softmax(-1).to(like.dtype)


def log_prob_gradient(z: Tensor, logits: Tensor) -> Tensor:
    """``(N, *S, K)``: the gradient of log q(z) with respect to the logits."""
    return one_hot(z, logits) - logits.softmax(-1)
