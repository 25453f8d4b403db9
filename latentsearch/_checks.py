"""Settings, looked over."""

from __future__ import annotations

import math
from numbers import Real

from torch import Tensor

from latentsearch.errors import InvalidArgument
from latentsearch.noise import Noise


def require_positive(name: str, value: float | Tensor) -> None:
    """Raise unless a setting is a positive number; tensors come from a search, which must not wait for them."""
    if not isinstance(value, Tensor) and not (_finite(value) and value > 0):
        raise InvalidArgument(name, got=repr(value), expected="a positive number")


def require_nonzero(name: str, value: float | Tensor) -> None:
    """Raise unless a setting is a finite number other than 0, or a tensor."""
    if not isinstance(value, Tensor) and not (_finite(value) and value != 0):
        raise InvalidArgument(name, got=repr(value), expected="a number other than 0")


def require_finite(name: str, value: float | Tensor) -> None:
    """Raise unless a setting is a finite number, or a tensor."""
    if not isinstance(value, Tensor) and not _finite(value):
        raise InvalidArgument(name, got=repr(value), expected="a finite number")


def require_one_row(name: str, noise: Noise) -> None:
    """Raise unless noise has one row, of which as many are split as are needed."""
    if len(noise) != 1:
        hint = "say Noise.from_seed(seed), without a number of problems"
        raise InvalidArgument(name, got=f"noise of {len(noise)} rows", expected="one row", hint=hint)


def require_count(name: str, value: int, least: int = 1) -> None:
    """Raise unless a setting is a whole number of at least ``least``."""
    if not isinstance(value, int) or isinstance(value, bool) or value < least:
        raise InvalidArgument(name, got=repr(value), expected=f"a whole number of at least {least}")


def _finite(value: object) -> bool:
    return isinstance(value, Real) and math.isfinite(value)
