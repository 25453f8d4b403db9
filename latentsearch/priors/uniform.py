"""The uniform prior over grids of codes: what is known when nothing is known."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar

import torch
from torch import Tensor

from latentsearch._checks import in_short, require_noise
from latentsearch.errors import InvalidArgument
from latentsearch.noise import Noise
from latentsearch.priors._known import where_known
from latentsearch.priors._latents import require_floating_dtype, require_grids
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

    Raises:
        InvalidArgument: If the space is not one of codes, or a position has none that is drawn.

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
        if not isinstance(self.space, Discrete):
            shown = in_short(self.space) if isinstance(self.space, type) else repr(self.space)
            raise InvalidArgument("UniformCodes.space", got=shown, expected="a Discrete space")
        require_floating_dtype("UniformCodes.dtype", self.dtype)
        if self.used is not None:
            _check_used(self.used, self.space)
            # The codes that are drawn come first, in their order.
            codes = self.used.byte().argsort(dim=-1, descending=True, stable=True)
            object.__setattr__(self, "_codes", codes)

    def sample(self, noise: Noise) -> Tensor:
        """``(N, *S)`` int64."""
        require_noise("UniformCodes.noise", noise)
        device = noise.keys.device
        rank = noise.integers(self._counts.to(device), *self.space.shape)
        if self._codes is None:
            return rank
        codes = self._codes.to(device)
        return codes[rank] if codes.ndim == 1 else codes.expand(*rank.shape, -1).gather(-1, rank[..., None])[..., 0]

    def log_prob(self, z: Tensor) -> Tensor:
        """``(N,)`` in nats; of a soft grid, its expectation."""
        require_grids("UniformCodes.log_prob", z, self.space)
        each = -self._counts.to(z.device, torch.float64).log().flatten()
        if self.space.is_soft(z):
            return (z.flatten(1, -2).sum(-1) * each.to(z.dtype)).sum(1)
        return each.sum().to(self.dtype).expand(len(z)).clone()

    def conditionals(self, z: Tensor, known: Tensor) -> Tensor:
        """``(N, *S, K)``: the same for each code that is drawn, minus infinity for the others."""
        return where_known(z, known, self._logits(z.device))

    def causal_logits(self, z: Tensor) -> Tensor:
        """``(N, *S, K)``: the same for each code that is drawn, minus infinity for the others."""
        logits = self._logits(z.device)
        return logits.expand(len(z), *logits.shape)

    def passes(self, mask: Tensor) -> Tensor:
        """``(N,)`` zeros: there is no network."""
        return torch.zeros(len(mask), dtype=torch.int64, device=mask.device)

    def resample(self, z: Tensor, mask: Tensor, noise: Noise) -> Tensor:
        """``(N, *S)``, with new codes where ``mask`` says."""
        return torch.where(mask, self.sample(noise), z)

    def _logits(self, device: torch.device) -> Tensor:
        """``(*S, K)``."""
        logits = torch.zeros(*self.space.shape, self.space.codebook_size, dtype=self.dtype, device=device)
        if self.used is not None:
            logits = logits.masked_fill(~self.used.to(device), -torch.inf)
        return logits.log_softmax(-1)

    @property
    def _counts(self) -> Tensor:
        """``S``: how many codes each position has to draw from."""
        if self.used is None:
            return torch.full(self.space.shape, self.space.codebook_size)
        return self.used.sum(-1).expand(self.space.shape)


def _check_used(used: Tensor, space: Discrete) -> None:
    size = space.codebook_size
    fits = isinstance(used, Tensor) and used.dtype == torch.bool and used.shape in ((size,), (*space.shape, size))
    if not fits:
        expected = f"bool ({size},), or one for each position {(*space.shape, size)}"
        raise InvalidArgument("UniformCodes.used", got=in_short(used), expected=expected)
    if not bool(used.any(-1).all()):
        raise InvalidArgument("UniformCodes.used", got="a position with no code", expected="at least one at each")
