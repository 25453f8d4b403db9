"""The wish to look like a target, everywhere or where a mask says."""

from __future__ import annotations

import math
from typing import ClassVar

import torch
from torch import Tensor

from latentsearch._rows import mean_rows, sum_rows
from latentsearch.algebra import (
    Constraint,
    Score,
    check_per_problem,
    common_problems,
    not_separable,
    nothing_satisfied,
)
from latentsearch.constraints._distances import DISTANCES, Distance, check_floating, check_target, over_pixels
from latentsearch.errors import InvalidArgument, describe


class Matches(Constraint):
    r"""The output matches a target: the mean distance over all elements, or those of a mask.

    For a mask m and squared distance the loss is
    $\sum_i m_i (x_i - t_i)^2 / \sum_i m_i$, so masks of different sizes compare.

    Args:
        target: ``(B, *O)``, in the output's range; one row a problem.
        mask: Weights in [0, 1], ``(B, ...)`` or ``(1, ...)``, broadcast to the target; 1 where the
            target counts. Give ``(B, 1, H, W)`` for one mask over all channels.
        distance: ``"l2"`` (squared), ``"l1"``, or ``"huber"`` (quadratic up to 0.1).

    Raises:
        InvalidArgument: If the target is not floating or holds NaN or infinity, or the mask does not fit it,
            leaves [0, 1], or hides everything.

    Example:
        >>> import torch
        >>> import latentsearch as ls
        >>> goal = ls.Matches(torch.zeros(1, 1, 2, 2))
        >>> goal(torch.ones(3, 1, 2, 2), torch.zeros(3, 8)).loss
        tensor([1., 1., 1.])
    """

    tensors: ClassVar[tuple[str, ...]] = ("target", "mask")

    def __init__(self, target: Tensor, *, mask: Tensor | None = None, distance: Distance = "l2") -> None:
        self.target = check_per_problem("Matches.target", target, finite=True, hint="put 0 there and mask it")
        check_floating("Matches.target", target)
        if distance not in DISTANCES:
            raise InvalidArgument("Matches.distance", got=repr(distance), expected=" or ".join(map(repr, DISTANCES)))
        self.distance = distance
        # One row, of no elements, stands for "no mask": it is selected and moved like any other.
        self.mask = target.new_zeros(1, 0) if mask is None else _checked_mask(mask, target)
        self.problems = common_problems("Matches", (target.shape[0], self.mask.shape[0]))

    def __call__(self, output: Tensor, latent: Tensor) -> Score:
        distance = DISTANCES[self.distance](output, self.target)
        if self.mask.numel():
            mask = self.mask.expand_as(distance)
            loss = sum_rows(distance * mask) / sum_rows(mask)
        else:
            loss = mean_rows(distance)
        return Score(loss, nothing_satisfied(loss))

    @property
    def least_squares(self) -> bool:
        return self.distance == "l2"

    def residuals(self, output: Tensor, latent: Tensor) -> Tensor:
        if not self.least_squares:
            return super().residuals(output, latent)
        apart = output - self.target
        if not self.mask.numel():
            return apart.flatten(1) / math.sqrt(apart[0].numel())
        mask = self.mask.expand_as(apart)
        return (apart * mask.sqrt()).flatten(1) / sum_rows(mask).sqrt()[:, None]

    @property
    def pixel_separable(self) -> bool:
        """For outputs with at least two axes, of which the last two are those of the picture."""
        return self.target.ndim > 2

    def loss_map(self, output: Tensor) -> Tensor:
        if not self.pixel_separable:
            raise not_separable("loss_map", self)
        distance = DISTANCES[self.distance](output, self.target)
        if not self.mask.numel():
            return over_pixels(distance) / distance[0].numel()
        mask = self.mask.expand_as(distance)
        return over_pixels(distance * mask) / sum_rows(mask)[:, None, None]

    def validate(self, output: Tensor, latent: Tensor) -> None:
        check_target("Matches.target", self.target, output.shape, "as the generator's output")


def _checked_mask(mask: Tensor, target: Tensor) -> Tensor:
    mask = check_per_problem("Matches.mask", mask).to(target.dtype)
    if mask.ndim != target.ndim or not _broadcasts(mask.shape[1:], target.shape[1:]):
        raise InvalidArgument(
            "Matches.mask",
            got=describe(mask),
            expected=f"a mask that broadcasts to {tuple(target.shape)}, with as many dimensions",
            hint="add dimensions in front: mask[None, None]",
        )
    low, high = float(mask.min()), float(mask.max())
    if low < 0 or high > 1:
        raise InvalidArgument("Matches.mask", got=f"values from {low:.3g} to {high:.3g}", expected="weights in [0, 1]")
    if not bool(mask.flatten(1).any(1).all()):
        raise InvalidArgument("Matches.mask", got="a mask that hides everything", expected="some weight in every row")
    return mask


def _broadcasts(shape: torch.Size, target: torch.Size) -> bool:
    return all(a in (1, b) for a, b in zip(shape, target, strict=True))
