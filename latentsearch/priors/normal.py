"""The standard normal prior of VAEs and GANs."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from latentsearch._checks import require_noise
from latentsearch._rows import sum_rows
from latentsearch.noise import Noise
from latentsearch.priors._latents import require_floating_dtype, require_vectors
from latentsearch.spaces import Continuous


@dataclass(frozen=True)
class StandardNormal:
    """Independent standard normals: ``(N, *shape)``.

    Attributes:
        shape: S.
        dtype: Of the samples.

    Raises:
        InvalidArgument: If there is no such shape, or the dtype is not floating.

    Example:
        >>> import latentsearch as ls
        >>> from latentsearch.priors import StandardNormal
        >>> StandardNormal((20,)).sample(ls.Noise.from_seed(0, 3)).shape
        torch.Size([3, 20])
    """

    shape: tuple[int, ...]
    dtype: torch.dtype = torch.float32

    def __post_init__(self) -> None:
        object.__setattr__(self, "shape", Continuous(self.shape).shape)
        require_floating_dtype("StandardNormal.dtype", self.dtype)

    @property
    def space(self) -> Continuous:
        """Continuous latents of this shape."""
        return Continuous(self.shape)

    def sample(self, noise: Noise) -> Tensor:
        """``(N, *S)``."""
        require_noise("StandardNormal.noise", noise)
        return noise.normal(*self.shape, dtype=self.dtype)

    def log_prob(self, z: Tensor) -> Tensor:
        """``(N,)`` in nats."""
        require_vectors("StandardNormal.log_prob", z, self.shape)
        return -0.5 * (sum_rows(z.square()) + math.prod(self.shape) * math.log(2 * math.pi))
