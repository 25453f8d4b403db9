"""The plain softmax relaxation: a distribution over codes in place of a code."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from latentsearch._checks import require_positive
from latentsearch.noise import Noise
from latentsearch.relaxations._codes import softened
from latentsearch.relaxations.estimator import Loss, asked, own_rows, require_per_row


@dataclass(frozen=True)
class SoftmaxRelaxation:
    r"""Decode $\mathrm{softmax}(\mathrm{logits}/\tau)$, a mixture of codes at each position.

    Deterministic. The surrogate's value is the loss of the mixture, and its gradient the exact
    gradient of that value: of the relaxed loss, not of the expected loss over codes, to which it
    is biased.

    Attributes:
        temperature: $\tau > 0$, a number or one for each row, ``(N, 1, ..., 1)``; the mixture hardens
            as it falls.

    Example:
        >>> import torch
        >>> import latentsearch as ls
        >>> from latentsearch.relaxations import SoftmaxRelaxation
        >>> logits = torch.zeros(2, 3, 4, requires_grad=True)
        >>> f = lambda z, row: (z * torch.arange(4.0)).sum((1, 2))
        >>> SoftmaxRelaxation()(logits, f, ls.Noise.from_seed(0, 2)).tolist()
        [4.5, 4.5]
    """

    temperature: float | Tensor = 1.0

    unbiased: ClassVar[bool] = False

    def __post_init__(self) -> None:
        require_positive("SoftmaxRelaxation.temperature", self.temperature)

    def evaluations(self, shape: tuple[int, ...], codes: int) -> int:
        """A loss with its gradient."""
        return 2

    def __call__(self, logits: Tensor, f: Loss, noise: Noise) -> Tensor:
        """The surrogate ``(N,)``; see [Estimator][latentsearch.relaxations.Estimator]."""
        tau = require_per_row("SoftmaxRelaxation.temperature", self.temperature, logits)
        return asked(f, softened(logits, tau, like=logits), own_rows(logits))
