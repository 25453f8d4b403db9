"""A measurement of the output, made with noise: the likelihood of inverse problems."""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar

import torch
from torch import Tensor

from latentsearch._checks import check_per_problem, common_problems
from latentsearch._rows import sum_rows
from latentsearch.constraints._distances import check_floating, check_target
from latentsearch.constraints._noise_level import in_deviations, noise_level
from latentsearch.errors import InvalidArgument, describe
from latentsearch.goal import Constraint, Score


class Observed(Constraint):
    r"""A measurement y of the output was observed with Gaussian noise: $\|A(x) - y\|^2 / 2 \sigma^2$.

    That is $-\log p(y \mid x)$ in nats, up to a constant: with [LogPrior][latentsearch.LogPrior] added the loss is
    that of the posterior, with no weight to tune.

    Args:
        measurement: y, ``(B, *M)``; one row a problem.
        operator: A, outputs ``(N, *O)`` to measurements ``(N, *M)``, each row by itself: blur, a mask, a Fourier
            transform, a projection.
        noise: $\sigma$, in units of the measurement, one for all problems or ``(B,)``.

    Raises:
        InvalidArgument: If the measurement is not floating or not finite, the noise is not positive, or the
            operator does not give measurements of that shape or mixes rows; the latter before a run.

    Example:
        >>> import torch
        >>> import latentsearch as ls
        >>> goal = ls.Observed(torch.zeros(1, 3), lambda x: x.mean(-1), noise=0.1)
        >>> goal(torch.full((1, 3, 8), 0.1), torch.zeros(1, 2)).loss
        tensor([1.5000])
    """

    tensors: ClassVar[tuple[str, ...]] = ("measurement", "noise")

    def __init__(self, measurement: Tensor, operator: Callable[[Tensor], Tensor], *, noise: float | Tensor) -> None:
        self.measurement = check_per_problem("Observed.measurement", measurement, finite=True)
        check_floating("Observed.measurement", measurement)
        if not callable(operator):
            raise InvalidArgument("Observed.operator", got=type(operator).__name__, expected="a function of outputs")
        if noise is None or isinstance(noise, str):
            hint = "of residuals it is (operator(images + residuals) - operator(images)).std()" if noise else ""
            expected = "a standard deviation, or one a problem"
            raise InvalidArgument("Observed.noise", got=repr(noise), expected=expected, hint=hint)
        self.operator = operator
        self.noise = noise_level("Observed.noise", noise, measurement)
        self.problems = common_problems("Observed", measurement=self.measurement, noise=self.noise)

    def __call__(self, output: Tensor, latent: Tensor) -> Score:
        return Score(sum_rows(self.residuals(output, latent).square()))

    def residuals(self, output: Tensor, latent: Tensor) -> Tensor:
        apart = self.operator(output) - self.measurement
        return in_deviations(apart.reshape(len(apart), -1), self.noise)

    def validate(self, output: Tensor, latent: Tensor) -> None:
        try:
            measured = self.operator(output)
        except Exception as error:
            raise InvalidArgument(
                "Observed.operator",
                got=f"a function that fails on {describe(output)} with {type(error).__name__}: {error}",
                expected="one from the generator's outputs (N, *O) to measurements (N, *M)",
            ) from error
        if not isinstance(measured, Tensor) or len(measured) != len(output):
            got = describe(measured) if isinstance(measured, Tensor) else type(measured).__name__
            raise InvalidArgument(
                "Observed.operator", got=f"{got} for {len(output)} outputs", expected="one measurement a row"
            )
        check_floating("Observed.operator's result", measured)
        check_target("Observed.measurement", self.measurement, measured.shape, "as the operator's result")
        if not torch.allclose(self.operator(output), measured, rtol=1e-3, atol=1e-5, equal_nan=True):
            got, expected = "another measurement of the same outputs in a second call", "an operator without randomness"
            raise InvalidArgument("Observed.operator", got=got, expected=expected)
        alone = torch.cat([self.operator(row) for row in output.split(1)])
        if not torch.allclose(alone, measured, rtol=1e-3, atol=1e-5, equal_nan=True):
            raise InvalidArgument(
                "Observed.operator",
                got=f"measurements that differ by up to {float((alone - measured).abs().max()):.3g} from those alone",
                expected="an operator whose row n depends on row n alone",
                hint="look for means, norms or sorts over dimension 0",
            )
