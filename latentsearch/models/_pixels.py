"""Pictures that a model can be trained on, looked over."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from latentsearch.errors import InvalidArgument, describe


def require_image_shape(name: str, shape: Any) -> None:
    """Raise unless it is (C, H, W)."""
    if len(tuple(shape)) != 3 or not all(isinstance(size, int) and size > 0 for size in shape):
        raise InvalidArgument(name, given=repr(shape), wanted="(C, H, W), three whole numbers above 0")


def require_pixels(name: str, images: Tensor, shape: tuple[int, ...], least: float = 0.0) -> None:
    """Raise unless pictures have the shape of the model's, and pixels in [least, 1]."""
    if images.shape[1:] != shape or not images.is_floating_point():
        raise InvalidArgument(name, given=describe(images), wanted=f"floats of shape (N, {', '.join(map(str, shape))})")
    # Written so that a NaN is refused too.
    if not bool(((images >= least) & (images <= 1)).all()):
        given = f"pixels from {float(images.min()):.4g} to {float(images.max()):.4g}"
        raise InvalidArgument(name, given=given, wanted=f"[{least:g}, 1]", mend="divide bytes by 255")
