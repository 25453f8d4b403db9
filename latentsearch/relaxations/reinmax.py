"""ReinMax: straight-through to second order."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from latentsearch._checks import require_positive
from latentsearch.noise import Noise
from latentsearch.relaxations._codes import one_hot, softened, with_gradient_of
from latentsearch.relaxations.estimator import Loss, as_zero, asked, own_rows, require_per_row


@dataclass(frozen=True)
class ReinMax:
    r"""Draw a code, decode it, and weigh its gradient by Heun's method in place of Euler's.

    With $\pi_0 = \mathrm{softmax}(l)$, the draw D as a one-hot vector, $\pi_1 = \tfrac12(\mathrm{softmax}(l/\tau) + D)$
    and $J(\pi) g = \pi \odot (g - \langle\pi, g\rangle)$, the estimate is $2 J(\pi_1) g - \tfrac12 J(\pi_0) g$,
    which is exact for losses that are quadratic in one draw where $\tau = 1$; straight-through is exact
    for linear ones.

    Source: Liu, Dong, Liu, Yu and Gao, *Bridging discrete and backpropagation: straight-through and
    beyond* (2023), the estimator called ReinMax.

    Attributes:
        temperature: $\tau$, at best 1 or above; a number or one for each row, ``(N, 1, ..., 1)``.

    Example:
        >>> import torch
        >>> import latentsearch as ls
        >>> from latentsearch.relaxations import ReinMax
        >>> logits = torch.zeros(1, 2, 3, requires_grad=True)
        >>> f = lambda z, row: (z * torch.arange(3.0)).sum((1, 2))
        >>> ReinMax()(logits, f, ls.Noise.from_seed(0, 1)).item() in (0.0, 1.0, 2.0, 3.0, 4.0)
        True
    """

    temperature: float | Tensor = 1.0

    unbiased: ClassVar[bool] = False

    def __post_init__(self) -> None:
        require_positive("ReinMax.temperature", self.temperature)

    def evaluations(self, shape: tuple[int, ...], codes: int) -> int:
        """A loss with its gradient."""
        return 2

    def __call__(self, logits: Tensor, f: Loss, noise: Noise) -> Tensor:
        """The surrogate ``(N,)``; see [Estimator][latentsearch.relaxations.Estimator]."""
        tau = require_per_row("ReinMax.temperature", self.temperature, logits)
        fixed = logits.detach()
        z = noise.categorical(fixed)
        halfway = (softened(fixed, tau, like=logits) + one_hot(z, logits)) / 2
        # A softmax that lies at the halfway point, so that its Jacobian is taken there.
        there = (halfway.log() + as_zero(logits)).softmax(-1)
        return asked(f, with_gradient_of(z, 2 * there - 0.5 * logits.softmax(-1)), own_rows(logits))
