"""Masks, which say how much each part of a target counts."""

from __future__ import annotations

import torch
from torch import Tensor

from latentsearch._checks import check_per_problem
from latentsearch._shapes import Shape, remedy
from latentsearch.errors import InvalidArgument, describe


def checked_mask(what: str, mask: Tensor, target: Tensor) -> Tensor:
    """Weights in [0, 1] that broadcast to a target ``(B, ...)``, as floating numbers: in its dtype if that is floating.

    Raises:
        InvalidArgument: If the mask does not fit, leaves [0, 1], or hides everything of a row.
    """
    dtype = target.dtype if target.is_floating_point() else torch.float32
    mask = check_per_problem(what, mask)
    if mask.is_complex():
        raise InvalidArgument(what, got=describe(mask), expected="weights in [0, 1]")
    mask = mask.to(dtype)
    if mask.ndim != target.ndim or not _broadcasts(mask.shape[1:], target.shape[1:]):
        raise InvalidArgument(
            what,
            got=describe(mask),
            expected=f"a mask that broadcasts to {tuple(target.shape)}, with as many dimensions",
            hint=remedy("mask", tuple(mask.shape), lambda shape: _masks(shape, target)),
        )
    low, high = float(mask.min()), float(mask.max())
    if low < 0 or high > 1:
        raise InvalidArgument(what, got=f"values from {low:.3g} to {high:.3g}", expected="weights in [0, 1]")
    if not bool(mask.flatten(1).any(1).all()):
        raise InvalidArgument(what, got="a mask that hides everything", expected="some weight in every row")
    return mask


def _masks(shape: Shape, target: Tensor) -> bool:
    """Whether a mask of this shape fits a target, and serves all of its problems or each."""
    rows = len(target) == 1 or shape[0] in (1, len(target))
    return rows and len(shape) == target.ndim and _broadcasts(shape[1:], target.shape[1:])


def _broadcasts(shape: Shape, target: Shape) -> bool:
    return all(a in (1, b) for a, b in zip(shape, target, strict=True))
