"""Settings of estimators, looked over."""

from __future__ import annotations

import math

from torch import Tensor

from latentsearch.errors import InvalidArgument


def require_positive(name: str, value: float | Tensor) -> None:
    """Raise unless a setting is a positive number; tensors come from a search, which must not wait for them."""
    if not isinstance(value, Tensor) and not 0 < value < math.inf:
        raise InvalidArgument(name, given=repr(value), wanted="a positive number")


def require_count(name: str, value: int | None, least: int = 1) -> None:
    """Raise unless a setting is None or a whole number of at least ``least``."""
    if value is not None and (not isinstance(value, int) or isinstance(value, bool) or value < least):
        raise InvalidArgument(name, given=repr(value), wanted=f"a whole number of at least {least}")
