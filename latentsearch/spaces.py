"""Latent spaces: what a latent is. Closed, so that searchers can `match` on it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from latentsearch._checks import in_short, is_whole, require_count
from latentsearch.errors import InvalidArgument


def _check_shape(what: str, shape: tuple[int, ...]) -> tuple[int, ...]:
    if not isinstance(shape, Sequence) or not all(is_whole(side) and side > 0 for side in shape):
        raise InvalidArgument(
            f"{what}.shape", got=repr(shape), expected="a tuple of positive integers", hint="write (20,) for a vector"
        )
    return tuple(shape)


@dataclass(frozen=True)
class Continuous:
    """Latents are floating tensors ``(N, *shape)``.

    Attributes:
        shape: S, the shape of one latent.

    Example:
        >>> import torch
        >>> import latentsearch as ls
        >>> ls.Continuous((20,)).contains(torch.zeros(4, 20))
        True
    """

    shape: tuple[int, ...]

    def __post_init__(self) -> None:
        object.__setattr__(self, "shape", _check_shape("Continuous", self.shape))

    def contains(self, z: Tensor) -> bool:
        """Whether ``z`` is a batch of latents of this space."""
        return (
            isinstance(z, Tensor)
            and z.is_floating_point()
            and z.ndim == 1 + len(self.shape)
            and tuple(z.shape[1:]) == self.shape
        )

    def check(self, what: str, z: Tensor) -> None:
        """Raise InvalidArgument unless ``z`` is a batch of latents of this space, and finite."""
        if not self.contains(z):
            expected = f"floating latents of shape (N, {_list(self.shape)})"
            raise InvalidArgument(what, got=in_short(z), expected=expected, hint=_one_more(z, self.shape))
        if not z.isfinite().all():
            raise InvalidArgument(what, got="latents with NaN or infinity", expected="finite latents")


@dataclass(frozen=True)
class Discrete:
    """Latents are grids of codes: hard int64 ``(N, *shape)`` in [0, K), or soft ``(N, *shape, K)``.

    A soft latent holds a distribution over the K codes at each position.

    Attributes:
        shape: S, the shape of one grid; positions P is its product.
        codebook_size: K.

    Example:
        >>> import torch
        >>> import latentsearch as ls
        >>> space = ls.Discrete((7, 7), codebook_size=512)
        >>> space.contains(torch.zeros(2, 7, 7, dtype=torch.int64)), space.positions
        (True, 49)
    """

    shape: tuple[int, ...]
    codebook_size: int

    def __post_init__(self) -> None:
        object.__setattr__(self, "shape", _check_shape("Discrete", self.shape))
        if not self.shape:
            hint = "write (1,) for one code"
            raise InvalidArgument("Discrete.shape", got="()", expected="one axis of positions at least", hint=hint)
        require_count("Discrete.codebook_size", self.codebook_size)

    @property
    def positions(self) -> int:
        """P, the number of codes in a grid."""
        return math.prod(self.shape)

    def is_soft(self, z: Tensor) -> bool:
        """Whether ``z`` holds distributions rather than codes."""
        return z.is_floating_point()

    def contains(self, z: Tensor) -> bool:
        """Whether ``z`` is a batch of hard latents of this space."""
        if (
            not isinstance(z, Tensor)
            or z.dtype != torch.int64
            or z.ndim != 1 + len(self.shape)
            or tuple(z.shape[1:]) != self.shape
        ):
            return False
        return z.numel() == 0 or (int(z.min()) >= 0 and int(z.max()) < self.codebook_size)

    def check(self, what: str, z: Tensor) -> None:
        """Raise InvalidArgument unless ``z`` is a batch of hard latents of this space."""
        if not self.contains(z):
            got, hint = in_short(z), _one_more(z, self.shape)
            if isinstance(z, Tensor) and z.dtype == torch.int64:
                got += f" with codes {int(z.min())} to {int(z.max())}" if z.numel() else ""
            elif isinstance(z, Tensor):
                hint = hint or "soft latents become codes by .argmax(-1), other integers by .long()"
            expected = f"int64 codes of shape (N, {_list(self.shape)}) in [0, {self.codebook_size})"
            raise InvalidArgument(what, got=got, expected=expected, hint=hint)

    def one_hot(self, z: Tensor, dtype: torch.dtype) -> Tensor:
        """Hard ``(N, *S)`` to soft ``(N, *S, K)``."""
        # Not F.one_hot, which looks at the values first and makes the host wait.
        return (z[..., None] == torch.arange(self.codebook_size, device=z.device)).to(dtype)


LatentSpace = Continuous | Discrete


def _one_more(z: object, shape: tuple[int, ...]) -> str:
    """What makes one latent a batch; of what is no tensor, what makes it one."""
    if not isinstance(z, Tensor):
        return "torch.tensor(x) makes one"
    return "x[None] adds the dimension of problems" if tuple(z.shape) == shape else ""


def _list(shape: tuple[int, ...]) -> str:
    return ", ".join(map(str, shape))
