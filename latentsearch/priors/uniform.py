"""The uniform prior over grids of codes: what is known when nothing is known."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar

import torch
from torch import Tensor

from latentsearch.noise import Noise
from latentsearch.spaces import Discrete


@dataclass(frozen=True, eq=False)
class UniformCodes:
    """Every grid is as likely as every other: a [ConditionalPrior][latentsearch.ConditionalPrior] that costs nothing.

    Attributes:
        space: The grids.
        dtype: Of log-probabilities of hard grids.
        used: ``(K,)`` or ``(*S, K)`` bool, the codes that are drawn; None for all. A code that is not
            drawn counts as one that is, the one that it stands for: minus infinity would be true
            of it too, but no gradient could pass it, and soft grids would have no expectation.

    Example:
        >>> import torch
        >>> import latentsearch as ls
        >>> from latentsearch.priors import UniformCodes
        >>> prior = UniformCodes(ls.Discrete((2,), codebook_size=4))
        >>> prior.log_prob(torch.zeros(1, 2, dtype=torch.int64)).exp().item()
        0.0625
        >>> UniformCodes(prior.space, used=torch.tensor([False, True, False, False])).sample(ls.Noise.from_seed(0))
        tensor([[1, 1]])
    """

    space: Discrete
    dtype: torch.dtype = torch.float32
    used: Tensor | None = None
    cost: ClassVar[float] = 0.0
    _codes: Tensor | None = field(init=False, default=None, repr=False)

    def __post_init__(self) -> None:
        if self.used is not None:
            # The codes that are drawn come first, in their order.
            codes = self.used.byte().argsort(dim=-1, descending=True, stable=True)
            object.__setattr__(self, "_codes", codes)

    def sample(self, noise: Noise) -> Tensor:
        """``(N, *S)`` int64."""
        device = noise.keys.device
        rank = noise.integers(self._counts.to(device), *self.space.shape)
        if self._codes is None:
            return rank
        codes = self._codes.to(device)
        return codes[rank] if codes.ndim == 1 else codes.expand(*rank.shape, -1).gather(-1, rank[..., None])[..., 0]

    def log_prob(self, z: Tensor) -> Tensor:
        """``(N,)`` in nats; of a soft grid, its expectation."""
        each = -self._counts.to(z.device, torch.float64).log().flatten()
        if self.space.is_soft(z):
            return (z.flatten(1, -2).sum(-1) * each.to(z.dtype)).sum(1)
        return each.sum().to(self.dtype).expand(len(z)).clone()

    def conditionals(self, z: Tensor, known: Tensor | None = None) -> Tensor:
        """``(N, *S, K)``: the same for each code that is drawn, minus infinity for the others."""
        size = self.space.codebook_size
        logits = torch.zeros(*self.space.shape, size, dtype=self.dtype, device=z.device)
        if self.used is not None:
            logits = logits.masked_fill(~self.used.to(z.device), -torch.inf)
        return logits.log_softmax(-1).expand(len(z), *self.space.shape, size)

    def causal_logits(self, z: Tensor) -> Tensor:
        """``(N, *S, K)``: the same for each code that is drawn, whatever comes before."""
        return self.conditionals(z)

    def resample(self, z: Tensor, mask: Tensor, noise: Noise) -> Tensor:
        """``(N, *S)``, with new codes where ``mask`` says."""
        return torch.where(mask, self.sample(noise), z)

    @property
    def _counts(self) -> Tensor:
        """``S``: how many codes each position has to draw from."""
        if self.used is None:
            return torch.full(self.space.shape, self.space.codebook_size)
        return self.used.sum(-1).expand(self.space.shape)
