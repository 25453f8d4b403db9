"""Settings of image models and images that these can be trained on, looked over."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch import Tensor

from latentsearch._checks import in_short, is_whole, require_count
from latentsearch._shapes import remedy
from latentsearch.errors import InvalidArgument, describe


def require_image_shape(name: str, shape: Any) -> None:
    """Raise unless it is (C, H, W)."""
    whole = isinstance(shape, Sequence) and len(shape) == 3 and all(is_whole(size) and size > 0 for size in shape)
    if not whole:
        raise InvalidArgument(name, got=repr(shape), expected="(C, H, W), three whole numbers above 0")


def require_sides(name: str, shape: Any, divisor: int) -> None:
    """Raise unless it is (C, H, W), of sides that can be divided."""
    require_image_shape(name, shape)
    if shape[1] % divisor or shape[2] % divisor:
        raise InvalidArgument(name, got=str(shape), expected=f"sides divisible by {divisor}")


def require_stacks(
    caller: str, image_shape: Any, width: int, channels: int, residual_blocks: int, halvings: int = 2
) -> None:
    """Raise unless convolutional stacks that halve sides so often can be made of these settings of a model."""
    require_count(f"{caller}.halvings", halvings)
    require_sides(f"{caller}.image_shape", image_shape, 2**halvings)
    require_count(f"{caller}.width", width)
    # The first halving has the fewest channels, half of those after it.
    require_count(f"{caller}.channels", channels, 2 ** (halvings - 1))
    require_count(f"{caller}.residual_blocks", residual_blocks, 0)


def require_rows(name: str, rows: object, shape: tuple[int, ...]) -> None:
    """Raise unless these are ``(N, *shape)``; no number is looked at."""
    if isinstance(rows, Tensor) and rows.ndim and rows.shape[1:] == shape:
        return
    expected = f"(N, {', '.join(map(str, shape))})"
    if not isinstance(rows, Tensor):
        raise InvalidArgument(name, got=in_short(rows), expected=f"a tensor {expected}")
    hint = remedy(name.rpartition(".")[2], tuple(rows.shape), lambda other: other[1:] == shape)
    raise InvalidArgument(name, got=describe(rows), expected=expected, hint=hint)


def require_pixels(name: str, images: Tensor, shape: tuple[int, ...], least: float = 0.0) -> None:
    """Raise unless images have the shape of the model's, and pixels in [least, 1]."""
    if images.shape[1:] != shape or not images.is_floating_point():
        raise InvalidArgument(name, got=describe(images), expected=f"floats of shape (N, {', '.join(map(str, shape))})")
    # Written so that a NaN is refused too.
    if not bool(((images >= least) & (images <= 1)).all()):
        got = f"pixels from {float(images.min()):.4g} to {float(images.max()):.4g}"
        raise InvalidArgument(name, got=got, expected=f"[{least:g}, 1]", hint="divide bytes by 255")
