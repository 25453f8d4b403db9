"""The losses of a critic and an actor that learn against each other."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from latentsearch._rows import per_row
from latentsearch.noise import Noise

Divergence = Literal["cross-entropy", "wasserstein"]
_EPS = 1e-12  # under the root of a norm, whose gradient at 0 is none


def as_data(logits: Tensor, divergence: Divergence) -> Tensor:
    """The loss of taking rows for data, a mean: of real ones for a critic, of its own for an actor."""
    return F.softplus(-logits).mean() if divergence == "cross-entropy" else -logits.mean()


def as_made(logits: Tensor, divergence: Divergence) -> Tensor:
    """The loss of taking rows for what an actor made, a mean."""
    return F.softplus(logits).mean() if divergence == "cross-entropy" else logits.mean()


def gradient_penalty(critic: Callable[[Tensor], Tensor], real: Tensor, made: Tensor, noise: Noise) -> Tensor:
    """How far the norm of the critic's gradient is from 1 between pairs of rows, squared; a mean.

    Source: Gulrajani et al., *Improved training of Wasserstein GANs* (2017), equation 3,
    <https://arxiv.org/abs/1704.00028>.
    """
    with torch.enable_grad():
        share = per_row(noise.uniform(len(real), dtype=real.dtype)[0], real)
        between = (share * real + (1 - share) * made).detach().requires_grad_()
        (gradient,) = torch.autograd.grad(critic(between).sum(), between, create_graph=True)
        norm: Tensor = (gradient.flatten(1).square().sum(1) + _EPS).sqrt()
        return (norm - 1).square().mean()
