"""The uniform prior over grids of codes: what is known when nothing is known."""

from __future__ import annotations

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
        sizes: How many codes each position has, in order, where some have fewer than K; the first
            of the K then.

    Example:
        >>> prior = UniformCodes(Discrete((2,), codebook_size=4))
        >>> prior.log_prob(torch.zeros(1, 2, dtype=torch.int64)).exp().item()
        0.0625
    """

    space: Discrete
    dtype: torch.dtype = torch.float32
    sizes: tuple[int, ...] | None = None

    def sample(self, noise: Noise) -> Tensor:
        """``(N, *S)`` int64."""
        high = self._sizes.to(noise.keys.device).view(self.space.shape)
        return noise.integers(high, *self.space.shape)

    def log_prob(self, z: Tensor) -> Tensor:
        """``(N,)`` in nats; of a soft grid, its expectation."""
        each = -self._sizes.to(z.device, torch.float64).log()
        if self.space.is_soft(z):
            return (z.flatten(1, -2).sum(-1) * each.to(z.dtype)).sum(1)
        return each.sum().to(self.dtype).expand(len(z)).clone()

    @property
    def _sizes(self) -> Tensor:
        return torch.tensor(self.sizes or (self.space.codebook_size,) * self.space.positions)
