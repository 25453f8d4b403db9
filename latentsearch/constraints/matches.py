"""The output looks like a target, everywhere or where a mask says."""

from __future__ import annotations

import copy
import math
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor
from typing_extensions import Self

from latentsearch._checks import check_per_problem, common_problems
from latentsearch._rows import mean_rows, per_row, sum_rows
from latentsearch.constraints._distances import DISTANCES, Distance, check_floating, check_target
from latentsearch.constraints._masks import checked_mask
from latentsearch.constraints._noise_level import in_deviations, is_open, level_of, noise_level, require_known
from latentsearch.errors import InvalidArgument
from latentsearch.goal import Constraint, Score


class Matches(Constraint):
    r"""The output matches a target: the mean distance over all elements, or those of a mask.

    For a mask m and squared distance the loss is
    $\sum_i m_i (x_i - t_i)^2 / \sum_i m_i$, so masks of different sizes compare. With a noise level $\sigma$ it is
    the negative log-likelihood, in nats and up to a constant, of a target that was observed with Gaussian noise:
    $\sum_i m_i (x_i - t_i)^2 / 2 \sigma^2$. Beside [LogPrior][latentsearch.LogPrior] that is a posterior, with no
    weight to tune.

    Args:
        target: ``(B, *O)``, in the output's range; one row a problem.
        mask: Weights in [0, 1], ``(B, ...)`` or ``(1, ...)``, broadcast to the target; 1 where the
            target counts. Give ``(B, 1, H, W)`` for one mask over all channels of images, ``(B, 1, T)`` of signals.
        distance: ``"l2"`` (squared), ``"l1"``, or ``"huber"`` (quadratic up to 0.1).
        noise: The standard deviation of the noise, in units of the output, one for all problems or ``(B,)``;
            ``"decoder"`` for the error of the decoder itself where the mask is, which a prior of
            [fit_prior][latentsearch.fit_prior] knows; None for the mean distance. Squared distances only.

    Raises:
        InvalidArgument: If the target is not floating or holds NaN or infinity, the mask does not fit it,
            leaves [0, 1], or hides everything, or the noise is not positive.

    Example:
        >>> import torch
        >>> import latentsearch as ls
        >>> goal = ls.Matches(torch.zeros(1, 1, 2, 2))
        >>> goal(torch.ones(3, 1, 2, 2), torch.zeros(3, 8)).loss
        tensor([1., 1., 1.])
        >>> ls.Matches(torch.zeros(1, 1, 2, 2), noise=0.5)(torch.ones(1, 1, 2, 2), torch.zeros(1, 8)).loss
        tensor([8.])
    """

    tensors: ClassVar[tuple[str, ...]] = ("target", "mask", "noise")
    pictured: ClassVar[tuple[str, ...]] = ("target",)
    name = "Matches"

    def __new__(cls, *args: Any, distance: Distance = "l2", **kwargs: Any) -> Matches:
        # Only squared distances have residuals: a class of their own says so, as pathlib.Path says PosixPath.
        made_by_copy = not (args or kwargs)
        return super().__new__(SquaredMatches if cls is Matches and distance == "l2" and not made_by_copy else cls)

    def __init__(
        self,
        target: Tensor,
        *,
        mask: Tensor | None = None,
        distance: Distance = "l2",
        noise: float | Tensor | Literal["decoder"] | None = None,
    ) -> None:
        self.target = check_per_problem("Matches.target", target, finite=True, hint="put 0 there and mask it")
        check_floating("Matches.target", target)
        if distance not in DISTANCES:
            raise InvalidArgument("Matches.distance", got=repr(distance), expected=" or ".join(map(repr, DISTANCES)))
        if noise is not None and distance != "l2":
            raise InvalidArgument(
                "Matches.noise", got=f"a noise level with the distance {distance!r}", expected="distance='l2'"
            )
        self.distance = distance
        # One row, of no elements, stands for "no mask": it is selected and moved like any other.
        self.mask = target.new_zeros(1, 0) if mask is None else checked_mask("Matches.mask", mask, target)
        self.noise = noise_level("Matches.noise", noise, target)
        self.problems = common_problems("Matches", target=self.target, mask=self.mask, noise=self.noise)

    def __call__(self, output: Tensor, latent: Tensor) -> Score:
        require_known("Matches.noise", self.noise)
        distance = DISTANCES[self.distance](output, self.target)
        if self.noise.numel():
            return Score(sum_rows(self._masked(distance)) / (2 * self.noise.square()))
        if self.mask.numel():
            return Score(sum_rows(self._masked(distance)) / sum_rows(self.mask.expand_as(distance)))
        return Score(mean_rows(distance))

    @property
    def in_nats(self) -> bool:
        return bool(self.noise.numel())

    @property
    def needs_residuals(self) -> bool:
        return is_open(self.noise)

    def calibrated(self, residuals: Tensor) -> Self:
        if not is_open(self.noise):
            return self
        check_target("Matches.target", self.target, residuals.shape, "as the outputs of the prior's residuals")
        square = residuals.to(self.noise).square().mean(0, keepdim=True)
        weight = self.mask.to(square).expand(-1, *square.shape[1:]) if self.mask.numel() else torch.ones_like(square)
        known = copy.copy(self)
        known.noise = level_of("Matches.noise", sum_rows(weight * square) / sum_rows(weight))
        known.problems = common_problems("Matches", target=self.target, mask=self.mask, noise=known.noise)
        return known

    @property
    def cell_axes(self) -> int:
        return self.target.ndim - 1

    def loss_map(self, output: Tensor) -> Tensor:
        """``(N, *O)``, over all elements."""
        distance = DISTANCES[self.distance](output, self.target)
        return self._masked(distance) / per_row(self._divisor(distance), distance)

    def loss_interval(self, low: Tensor, high: Tensor, allowed: Tensor) -> tuple[Tensor, Tensor]:
        # All distances rise with |x - t|: they are least at the nearest point of the interval.
        nearest = torch.minimum(torch.maximum(self.target, low), high)
        farthest = torch.where((low - self.target).abs() > (high - self.target).abs(), low, high)
        return self(nearest, nearest).loss, self(farthest, farthest).loss

    def validate(self, output: Tensor, latent: Tensor) -> None:
        check_target("Matches.target", self.target, output.shape, "as the generator's output")

    def counted(self, name: str) -> Tensor:
        """The elements of the target that the mask shows."""
        if not self.mask.numel() or len(self.mask) not in (1, len(self.target)):
            return self.target.flatten()
        return self.target[self.mask.expand_as(self.target) > 0]

    def weights_like(self, x: Tensor) -> Tensor:
        """``(N, *O)``: how much each element's distance counts; the loss is their weighted sum."""
        weight = self.mask.expand_as(x) if self.mask.numel() else torch.ones_like(x)
        return weight / per_row(self._divisor(x), x)

    def _masked(self, distance: Tensor) -> Tensor:
        return distance * self.mask.expand_as(distance) if self.mask.numel() else distance

    def _divisor(self, like: Tensor) -> Tensor:
        """``(N,)`` or ``(1,)``: what the sum of masked distances is divided by."""
        if self.noise.numel():
            return 2 * self.noise.square()
        if self.mask.numel():
            return sum_rows(self.mask.expand_as(like))
        return like.new_full((1,), like[0].numel())


class SquaredMatches(Matches):
    """Matches in squared distance: a sum of squares."""

    def __init__(self, target: Tensor, *, distance: Distance = "l2", **settings: Any) -> None:
        if distance != "l2":
            hint = f"Matches(target, distance={distance!r})"
            raise InvalidArgument("SquaredMatches.distance", got=repr(distance), expected="'l2'", hint=hint)
        super().__init__(target, **settings)

    def residuals(self, output: Tensor, latent: Tensor) -> Tensor:
        apart = output - self.target
        if self.mask.numel():
            apart = apart * self.mask.expand_as(apart).sqrt()
        if self.noise.numel():
            return in_deviations(apart.flatten(1), self.noise)
        if self.mask.numel():
            return apart.flatten(1) / sum_rows(self.mask.expand_as(apart)).sqrt()[:, None]
        return apart.flatten(1) / math.sqrt(apart[0].numel())
