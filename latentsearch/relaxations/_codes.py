"""Hard codes as one-hot vectors, with what is differentiated in their place."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor


def one_hot(z: Tensor, like: Tensor) -> Tensor:
    """``(N, *S)`` codes to ``(N, *S, K)`` vectors of the shape and dtype of ``like``."""
    return F.one_hot(z, like.shape[-1]).to(like.dtype)


def with_gradient_of(z: Tensor, soft: Tensor) -> Tensor:
    """``(N, *S, K)``: hard codes, exactly 0 or 1, whose gradient goes to ``soft``."""
    # Hard minus zero, and not hard + soft - soft, which is a rounding away from hard.
    return one_hot(z, soft) + (soft - soft.detach())


def log_prob_gradient(z: Tensor, logits: Tensor) -> Tensor:
    """``(N, *S, K)``: the gradient of log q(z) with respect to the logits."""
    return one_hot(z, logits) - logits.softmax(-1)
