"""Images that a model can be trained on, looked over."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from latentsearch._checks import require_count
from latentsearch.errors import InvalidArgument, describe


def require_image_shape(name: str, shape: Any) -> None:
    """Raise unless it is (C, H, W)."""
    if len(tuple(shape)) != 3 or not all(isinstance(size, int) and size > 0 for size in shape):
        raise InvalidArgument(name, got=repr(shape), expected="(C, H, W), three whole numbers above 0")


def require_stacks(caller: str, image_shape: Any, width: int, channels: int, residual_blocks: int) -> None:
    """Raise unless convolutional stacks by quarter sides can be made of these settings of a model."""
    require_image_shape(f"{caller}.image_shape", image_shape)
    if image_shape[1] % 4 or image_shape[2] % 4:
        raise InvalidArgument(f"{caller}.image_shape", got=str(image_shape), expected="sides divisible by 4")
    require_count(f"{caller}.width", width)
    require_count(f"{caller}.channels", channels, 2)
    require_count(f"{caller}.residual_blocks", residual_blocks, 0)


def require_pixels(name: str, images: Tensor, shape: tuple[int, ...], least: float = 0.0) -> None:
    """Raise unless images have the shape of the model's, and pixels in [least, 1]."""
    if images.shape[1:] != shape or not images.is_floating_point():
        raise InvalidArgument(name, got=describe(images), expected=f"floats of shape (N, {', '.join(map(str, shape))})")
    # Written so that a NaN is refused too.
    if not bool(((images >= least) & (images <= 1)).all()):
        got = f"pixels from {float(images.min()):.4g} to {float(images.max()):.4g}"
        raise InvalidArgument(name, got=got, expected=f"[{least:g}, 1]", hint="divide bytes by 255")
