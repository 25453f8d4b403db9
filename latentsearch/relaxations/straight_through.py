"""A hard draw on the way forth, the softmax on the way back."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from latentsearch._checks import require_positive
from latentsearch.noise import Noise
from latentsearch.relaxations._codes import softened, with_gradient_of
from latentsearch.relaxations.estimator import Loss, asked, own_rows, require_per_row


@dataclass(frozen=True)
class StraightThrough:
    r"""Draw a code and decode it, and hand its gradient on to $\mathrm{softmax}(\mathrm{logits}/\tau)$.

    As if that had been decoded. Biased: exact where $\tau = 1$ and the loss is linear in the codes.
    Source: Bengio, Léonard and Courville, *Estimating or propagating gradients through stochastic
    neurons* (2013), section 4; for categories as in Jang, Gu and Poole, *Categorical
    reparameterization with Gumbel-softmax* (2017), section 2.2.

    Attributes:
        temperature: $\tau > 0$ of the softmax whose gradient is taken, a number or one for each row,
            ``(N, 1, ..., 1)``. Draws are from the softmax at 1.

    Example:
        >>> import torch
        >>> import latentsearch as ls
        >>> from latentsearch.relaxations import StraightThrough
        >>> logits = torch.zeros(1, 2, 3, requires_grad=True)
        >>> f = lambda z, row: (z * torch.arange(3.0)).sum((1, 2))
        >>> StraightThrough()(logits, f, ls.Noise.from_seed(0, 1)).backward()
        >>> [round(grad, 2) for grad in logits.grad[0, 0].tolist()]
        [-0.33, 0.0, 0.33]
    """

    temperature: float | Tensor = 1.0

    unbiased: ClassVar[bool] = False

    def __post_init__(self) -> None:
        require_positive("StraightThrough.temperature", self.temperature)

    def evaluations(self, shape: tuple[int, ...], codes: int) -> int:
        """A loss with its gradient."""
        return 2

    def __call__(self, logits: Tensor, f: Loss, noise: Noise) -> Tensor:
        """The surrogate ``(N,)``; see [Estimator][latentsearch.relaxations.Estimator]."""
        tau = require_per_row("StraightThrough.temperature", self.temperature, logits)
        z = noise.categorical(logits.detach())
        return asked(f, with_gradient_of(z, softened(logits, tau, like=logits)), own_rows(logits))
