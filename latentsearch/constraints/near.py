"""The latent stays near another."""

from __future__ import annotations

from typing import ClassVar, Literal

import torch
from torch import Tensor

from latentsearch._checks import check_per_problem, require_numbers
from latentsearch._rows import mean_rows, sum_rows
from latentsearch.errors import InvalidArgument, Unsupported, describe
from latentsearch.goal import Constraint, Score

Metric = Literal["l2", "log", "hamming"]


class Near(Constraint):
    r"""The latent stays near a source.

    - ``"l2"``: $\|(z' - z) / \bar\sigma\|^2$, for continuous latents.
    - ``"log"``: the mean over dimensions of $\log(1 + (z' - z)^2) / \bar\sigma^2$, the
      distance penalty of *Latent Constraints: Learning to Generate Conditionally from Unconditional
      Generative Models* (section 3), <https://arxiv.org/abs/1711.05772>. The paper does not say whether it is a mean
      or a sum.
    - ``"hamming"``: the number of positions whose code differs; of soft codes, its expectation.

    Args:
        latent: The source, ``(B, *S)``.
        metric: As above; None picks by the latent's dtype: ``"hamming"`` for codes, else ``"l2"``.
        scale: $\bar\sigma^2$, a number, one a problem ``(B,)``, or one a dimension, ``(1, *S)`` or ``(B, *S)``. The
            paper takes the square of the encoder's mean standard deviation over the training data.

    Raises:
        InvalidArgument: If the metric does not fit the latent, the scale is not positive, or codes are given one.

    Example:
        >>> import torch
        >>> import latentsearch as ls
        >>> goal = ls.Near(torch.tensor([[1, 2, 3]]))
        >>> goal(torch.zeros(1, 1), torch.tensor([[1, 0, 0]])).loss
        tensor([2.])
    """

    reads = "latent"
    tensors: ClassVar[tuple[str, ...]] = ("latent", "scale")
    latents: ClassVar[tuple[str, ...]] = ("latent",)

    def __init__(self, latent: Tensor, *, metric: Metric | None = None, scale: float | Tensor = 1.0) -> None:
        self.latent = check_per_problem("Near.latent", latent, finite=True)
        if metric is None:
            metric = "l2" if latent.is_floating_point() else "hamming"
        if metric not in ("l2", "log", "hamming"):
            raise InvalidArgument("Near.metric", got=repr(metric), expected="'l2', 'log' or 'hamming'")
        if latent.is_floating_point() == (metric == "hamming"):
            expected = "int64 codes" if metric == "hamming" else "a continuous latent"
            raise InvalidArgument("Near.latent", got=describe(latent), expected=f"{expected} for the metric {metric!r}")
        self.metric = metric
        self.problems = latent.shape[0]
        if not isinstance(scale, Tensor):
            require_numbers("Near.scale", scale)
        self.scale = self._checked_scale(torch.as_tensor(scale, dtype=torch.promote_types(latent.dtype, torch.float32)))
        if metric == "hamming" and not bool((self.scale == 1).all()):
            hint = "codes differ or do not; a weight is for the whole term: 0.5 * Near(codes)"
            raise InvalidArgument("Near.scale", got=describe(self.scale), expected="none for 'hamming'", hint=hint)

    def _checked_scale(self, scale: Tensor) -> Tensor:
        """Variances with one row a problem, or one for all, that broadcast against latents."""
        if not bool((scale > 0).all() & scale.isfinite().all()):
            got = f"values from {float(scale.min()):g} to {float(scale.max()):g}"
            raise InvalidArgument("Near.scale", got=got, expected="positive variances, finite ones")
        if scale.ndim < 2:
            scale = scale.reshape(-1, *[1] * (self.latent.ndim - 1))
        rows, dimensions = len(scale), tuple(scale.shape[1:])
        shape = tuple(self.latent.shape[1:])
        if rows not in (1, self.problems) or dimensions not in (shape, (1,) * len(shape)):
            raise InvalidArgument(
                "Near.scale",
                got=describe(scale),
                expected=f"a number, one for each of {self.problems} problems, or one a dimension, {(1, *shape)}",
                hint="scale[None] serves all problems" if tuple(scale.shape) == shape else "",
            )
        return scale

    def __call__(self, output: Tensor, latent: Tensor) -> Score:
        if self.metric == "hamming":
            loss = self._hamming(latent)
        elif self.metric == "l2":
            loss = sum_rows((latent - self.latent).square() / self.scale)
        else:
            distance = torch.log1p((latent - self.latent).square())
            loss = mean_rows(distance / self.scale)
        return Score(loss)

    def _hamming(self, latent: Tensor) -> Tensor:
        if latent.is_floating_point():
            source = self.latent.expand(latent.shape[:-1])[..., None]
            return sum_rows(1 - latent.gather(-1, source)[..., 0])
        return sum_rows((latent != self.latent).to(self.scale.dtype))

    def loss_interval(self, low: Tensor, high: Tensor, allowed: Tensor) -> tuple[Tensor, Tensor]:
        if self.metric != "hamming":
            raise Unsupported("Near.loss_interval", got=f"the metric {self.metric!r}", expected="'hamming'")
        source = self.latent.flatten(1).expand(len(allowed), -1)[..., None]
        kept = allowed.gather(2, source)[..., 0]
        alone = kept & (allowed.sum(2) == 1)
        return sum_rows((~kept).to(self.scale.dtype)), sum_rows((~alone).to(self.scale.dtype))

    def validate(self, output: Tensor, latent: Tensor) -> None:
        if self.latent.shape[1:] != latent.shape[1:] or self.latent.is_floating_point() != latent.is_floating_point():
            raise InvalidArgument(
                "Near.latent",
                got=describe(self.latent),
                expected=f"latents of the generator, such as {describe(latent)}",
            )
