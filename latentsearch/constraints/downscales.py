"""The output looks like a small image, or signal, when shrunk: super-resolution."""

from __future__ import annotations

import copy
import math
from typing import ClassVar, Literal

import torch
import torch.nn.functional as F
from torch import Tensor
from typing_extensions import Self

from latentsearch._checks import check_per_problem, common_problems
from latentsearch._rows import mean_rows, per_row, sum_rows
from latentsearch.constraints._distances import check_floating, check_target
from latentsearch.constraints._noise_level import in_deviations, is_open, level_of, noise_level, require_known
from latentsearch.errors import InvalidArgument, Unsupported, describe
from latentsearch.goal import Constraint, Score

_MEANS = {1: F.avg_pool1d, 2: F.avg_pool2d, 3: F.avg_pool3d}  # over blocks, by axes of cells
_PLANE = 2  # the axes that F.interpolate takes for "bicubic", no more and no fewer


class Downscales(Constraint):
    r"""The output, shrunk by a factor, equals a small image; or a signal, a slow one.

    The downscaling loss of PULSE [Menon et al., *PULSE: Self-Supervised Photo Upsampling via
    Latent Space Exploration of Generative Models*, CVPR 2020, section 3.2]: the mean square of
    $DS(G(z)) - I_{LR}$.

    With a noise level $\sigma$ it is the negative log-likelihood, in nats and up to a constant, of an image that was
    shrunk and then observed with Gaussian noise: $\|DS(G(z)) - I_{LR}\|^2 / 2 \sigma^2$.

    Args:
        small: ``(B, C, h, w)``, signals ``(B, C, t)`` or volumes ``(B, C, d, h, w)``, in the output's range; one row a
            problem.
        factor: How many times smaller it is; the output is ``(N, C, factor * h, factor * w)``.
        mode: ``"bicubic"`` (with antialiasing; not of volumes) or ``"area"`` (block means).
        noise: The standard deviation of the noise, one for all problems or ``(B,)``; ``"decoder"`` for the error of
            the decoder itself, shrunk, which a prior of [fit_prior][latentsearch.fit_prior] knows; None for the mean
            square.

    Raises:
        InvalidArgument: If ``small`` is no floating image or holds NaN or infinity, ``factor`` is below 2, or the
            noise is not positive.

    Example:
        >>> import torch
        >>> import latentsearch as ls
        >>> goal = ls.Downscales(torch.zeros(1, 1, 2, 2), factor=4, mode="area").below(0.01)
        >>> goal(torch.zeros(1, 1, 8, 8), torch.zeros(1, 8)).satisfied
        tensor([True])
    """

    tensors: ClassVar[tuple[str, ...]] = ("small", "noise")
    pictured: ClassVar[tuple[str, ...]] = ("small",)

    def __init__(
        self,
        small: Tensor,
        factor: int,
        *,
        mode: Literal["bicubic", "area"] = "bicubic",
        noise: float | Tensor | Literal["decoder"] | None = None,
    ) -> None:
        self.small = check_per_problem("Downscales.small", small, finite=True)
        check_floating("Downscales.small", small)
        if small.ndim - 2 not in _MEANS:
            expected = "images (B, C, h, w), signals (B, C, t) or volumes (B, C, d, h, w)"
            raise InvalidArgument("Downscales.small", got=describe(small), expected=expected)
        if not isinstance(factor, int) or factor < 2:
            raise InvalidArgument("Downscales.factor", got=repr(factor), expected="a whole number of at least 2")
        if mode not in ("bicubic", "area"):
            raise InvalidArgument("Downscales.mode", got=repr(mode), expected="'bicubic' or 'area'")
        if mode == "bicubic" and small.ndim - 2 > _PLANE:
            raise InvalidArgument("Downscales.mode", got=f"'bicubic' for {describe(small)}", expected="'area'")
        self.factor, self.mode = factor, mode
        self.noise = noise_level("Downscales.noise", noise, small)
        self.problems = common_problems("Downscales", small=self.small, noise=self.noise)

    def shrink(self, images: Tensor) -> Tensor:
        """``(N, C, H, W)`` to ``(N, C, H / factor, W / factor)``, and so with any axes, as the loss sees them."""
        cells = images.shape[2:]
        if self.mode == "area":
            return _MEANS[len(cells)](images, self.factor)
        size = tuple(side // self.factor for side in cells)
        # Signals are images one pixel high.
        flat = (1,) * (_PLANE - len(cells))
        planes = images.reshape(*images.shape[:2], *flat, *cells)
        shrunk = F.interpolate(planes, size=flat + size, mode="bicubic", antialias=True)
        return shrunk.reshape(*images.shape[:2], *size)

    def __call__(self, output: Tensor, latent: Tensor) -> Score:
        require_known("Downscales.noise", self.noise)
        return Score(self._loss(self.shrink(output) - self.small))

    @property
    def in_nats(self) -> bool:
        return bool(self.noise.numel())

    @property
    def needs_residuals(self) -> bool:
        return is_open(self.noise)

    def calibrated(self, residuals: Tensor) -> Self:
        if not is_open(self.noise):
            return self
        self.validate(residuals, residuals)
        known = copy.copy(self)
        known.noise = level_of("Downscales.noise", self.shrink(residuals.to(self.noise)).square().mean()[None])
        return known

    def _loss(self, apart: Tensor) -> Tensor:
        if self.noise.numel():
            return sum_rows(apart.square()) / (2 * self.noise.square())
        return mean_rows(apart.square())

    def residuals(self, output: Tensor, latent: Tensor) -> Tensor:
        apart = (self.shrink(output) - self.small).flatten(1)
        return in_deviations(apart, self.noise) if self.noise.numel() else apart / math.sqrt(apart.shape[1])

    @property
    def cell_axes(self) -> int:
        return self.small.ndim - 1

    def loss_map(self, output: Tensor) -> Tensor:
        """``(N, C, h, w)``, over the small image."""
        cells = (self.shrink(output) - self.small).square()
        if self.noise.numel():
            return cells / per_row(2 * self.noise.square(), cells)
        return cells / self.small[0].numel()

    def loss_interval(self, low: Tensor, high: Tensor, allowed: Tensor) -> tuple[Tensor, Tensor]:
        if self.mode != "area":
            raise Unsupported("Downscales.loss_interval", got=f"mode {self.mode!r}", expected="mode='area'")
        low, high = self.shrink(low) - self.small, self.shrink(high) - self.small
        nearest = torch.minimum(torch.maximum(torch.zeros_like(low), low), high)
        return self._loss(nearest), self._loss(torch.maximum(low.abs(), high.abs()))

    def validate(self, output: Tensor, latent: Tensor) -> None:
        if output.ndim == self.small.ndim + 1:
            hint = "small[:, None] has one channel" if output.shape[1] == 1 else "small[None] adds the row"
            expected = f"one as the outputs, {tuple(output.shape)[1:]}, in axes: (B, C, h, w), (B, C, t) ..."
            raise InvalidArgument("Downscales.small", got=describe(self.small), expected=expected, hint=hint)
        if output.ndim != self.small.ndim or any(side % self.factor for side in output.shape[2:]):
            raise InvalidArgument(
                "Downscales",
                got=f"outputs that are {describe(output)}",
                expected=f"outputs of {self.small.ndim} dimensions, as the small one has, with sides divisible by "
                f"{self.factor} from the third on",
            )
        check_target(
            "Downscales.small", self.small, self.shrink(output).shape, f"the output shrunk {self.factor} times"
        )
