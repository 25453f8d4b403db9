"""The wish to look like a small picture when shrunk: super-resolution."""

from __future__ import annotations

import math
from typing import ClassVar, Literal

import torch.nn.functional as F
from torch import Tensor

from latentsearch._rows import mean_rows
from latentsearch.algebra import Constraint, Score, check_per_problem, nothing_satisfied
from latentsearch.constraints._distances import check_floating, check_target, over_pixels
from latentsearch.errors import InvalidArgument, describe


class Downscales(Constraint):
    r"""The output, shrunk by a factor, equals a small picture.

    The downscaling loss of PULSE [Menon et al., *PULSE: Self-Supervised Photo Upsampling via
    Latent Space Exploration of Generative Models*, CVPR 2020, section 3.2]: the mean square of
    $DS(G(z)) - I_{LR}$.

    Args:
        small: ``(B, C, h, w)``, in the output's range; one row a problem.
        factor: How many times smaller it is; the output is ``(N, C, factor * h, factor * w)``.
        mode: ``"bicubic"`` (with antialiasing) or ``"area"`` (block means).
        tolerance: Satisfied where the loss is at most this; None does not judge.

    Raises:
        InvalidArgument: If ``small`` is no floating picture or holds NaN or infinity, or ``factor`` is below 2.

    Example:
        >>> import torch
        >>> import latentsearch as ls
        >>> goal = ls.Downscales(torch.zeros(1, 1, 2, 2), factor=4, mode="area", tolerance=0.01)
        >>> goal(torch.zeros(1, 1, 8, 8), torch.zeros(1, 8)).satisfied
        tensor([True])
    """

    tensors: ClassVar[tuple[str, ...]] = ("small",)

    def __init__(
        self,
        small: Tensor,
        factor: int,
        *,
        mode: Literal["bicubic", "area"] = "bicubic",
        tolerance: float | None = None,
    ) -> None:
        self.small = check_per_problem("Downscales.small", small, finite=True)
        check_floating("Downscales.small", small)
        if small.ndim != 4:
            raise InvalidArgument("Downscales.small", got=describe(small), expected="pictures (B, C, h, w)")
        if not isinstance(factor, int) or factor < 2:
            raise InvalidArgument("Downscales.factor", got=repr(factor), expected="a whole number of at least 2")
        if mode not in ("bicubic", "area"):
            raise InvalidArgument("Downscales.mode", got=repr(mode), expected="'bicubic' or 'area'")
        if tolerance is not None and not tolerance >= 0:
            raise InvalidArgument("Downscales.tolerance", got=repr(tolerance), expected="None, or a number >= 0")
        self.factor, self.mode, self.tolerance = factor, mode, tolerance
        self.judges = tolerance is not None
        self.problems = small.shape[0]

    def shrink(self, pictures: Tensor) -> Tensor:
        """``(N, C, H, W)`` to ``(N, C, H / factor, W / factor)``, as the loss sees them."""
        if self.mode == "area":
            return F.avg_pool2d(pictures, self.factor)
        size = tuple(side // self.factor for side in pictures.shape[2:])
        return F.interpolate(pictures, size=size, mode="bicubic", antialias=True)

    def __call__(self, output: Tensor, latent: Tensor) -> Score:
        loss = mean_rows((self.shrink(output) - self.small).square())
        return Score(loss, nothing_satisfied(loss) if self.tolerance is None else loss <= self.tolerance)

    @property
    def least_squares(self) -> bool:
        return True

    def residuals(self, output: Tensor, latent: Tensor) -> Tensor:
        apart = (self.shrink(output) - self.small).flatten(1)
        return apart / math.sqrt(apart.shape[1])

    @property
    def pixel_separable(self) -> bool:
        return True

    def loss_map(self, output: Tensor) -> Tensor:
        """``(N, h, w)``, over the small picture."""
        square = (self.shrink(output) - self.small).square()
        return over_pixels(square) / square[0].numel()

    def validate(self, output: Tensor, latent: Tensor) -> None:
        if output.ndim != 4 or any(side % self.factor for side in output.shape[2:]):
            raise InvalidArgument(
                "Downscales",
                got=f"outputs that are {describe(output)}",
                expected=f"pictures (N, C, H, W) with sides divisible by {self.factor}",
            )
        check_target(
            "Downscales.small", self.small, self.shrink(output).shape, f"the output shrunk {self.factor} times"
        )
