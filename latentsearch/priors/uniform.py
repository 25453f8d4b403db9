"""The uniform prior over grids of codes: what is known when nothing is known."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from latentsearch.noise import Noise
from latentsearch.spaces import Discrete


@dataclass(frozen=True)
class UniformCodes:
    """Every grid is as likely as every other.

    Attributes:
        space: The grids.
        dtype: Of log-probabilities of hard grids.

    Example:
        >>> prior = UniformCodes(Discrete((2,), codebook_size=4))
        >>> prior.log_prob(torch.zeros(1, 2, dtype=torch.int64)).exp().item()
        0.0625
    """

    space: Discrete
    dtype: torch.dtype = torch.float32

    def sample(self, noise: Noise) -> Tensor:
        """``(N, *S)`` int64."""
        return noise.integers(self.space.codebook_size, *self.space.shape)

    def log_prob(self, z: Tensor) -> Tensor:
        """``(N,)`` in nats; of a soft grid, its expectation."""
        each = -math.log(self.space.codebook_size)
        if self.space.is_soft(z):
            return each * z.flatten(1).sum(1)
        return torch.full((len(z),), each * self.space.positions, dtype=self.dtype, device=z.device)
