"""Latents that a prior is asked about, looked over by shape and dtype: no number is looked at, so no device waits."""

from __future__ import annotations

import torch
from torch import Tensor

from latentsearch._checks import in_short
from latentsearch._shapes import remedy
from latentsearch.errors import InvalidArgument, describe
from latentsearch.spaces import Discrete


def require_floating(what: str, tensor: object, expected: str = "a floating tensor") -> None:
    """Raise unless it is a tensor of a floating dtype."""
    if not isinstance(tensor, Tensor) or not tensor.is_floating_point():
        raise InvalidArgument(what, got=in_short(tensor), expected=expected)


def require_floating_dtype(what: str, dtype: object) -> None:
    """Raise unless it is a floating dtype of torch's."""
    if not isinstance(dtype, torch.dtype) or not dtype.is_floating_point:
        raise InvalidArgument(what, got=repr(dtype), expected="a floating dtype, such as torch.float32")


def require_vectors(what: str, z: object, shape: tuple[int, ...]) -> None:
    """Raise unless these are floating latents ``(N, *shape)``."""
    fits = isinstance(z, Tensor) and z.ndim > 0 and z.shape[1:] == shape and z.is_floating_point()
    if not fits:
        raise _refused(what, z, f"a floating tensor {_rows_of(shape)}", shape)


def require_grids(what: str, z: object, space: Discrete) -> None:
    """Raise unless these are hard int64 ``(N, *S)`` or soft floating ``(N, *S, K)`` grids."""
    soft = (*space.shape, space.codebook_size)
    if isinstance(z, Tensor) and z.ndim:
        if z.is_floating_point() and z.shape[1:] == soft:
            return
        if z.dtype == torch.int64 and z.shape[1:] == space.shape:
            return
    expected = f"int64 codes {_rows_of(space.shape)}, or floating soft ones {_rows_of(soft)}"
    raise _refused(what, z, expected, soft if isinstance(z, Tensor) and z.is_floating_point() else space.shape)


def _rows_of(shape: tuple[int, ...]) -> str:
    return f"(N, {', '.join(map(str, shape))})" if shape else "(N,)"


def _refused(what: str, z: object, expected: str, shape: tuple[int, ...]) -> InvalidArgument:
    if not isinstance(z, Tensor):
        return InvalidArgument(what, got=in_short(z), expected=expected)
    hint = remedy("z", tuple(z.shape), lambda other: other[1:] == shape)
    return InvalidArgument(what, got=describe(z), expected=expected, hint=hint)
