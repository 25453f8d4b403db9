"""Softmaxes of perturbed logits in place of their arg-max."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from latentsearch._checks import require_count, require_flag, require_positive
from latentsearch.noise import Noise
from latentsearch.relaxations._codes import softened, with_gradient_of
from latentsearch.relaxations._gumbel import perturbed_given
from latentsearch.relaxations.estimator import Loss, as_zero, asked, own_rows, require_per_row


@dataclass(frozen=True)
class GumbelSoftmax:
    r"""Decode $\mathrm{softmax}((\mathrm{logits} + \gamma)/\tau)$ with Gumbel noise $\gamma$: a soft draw of codes.

    Unbiased for the loss of soft draws, biased for that of codes: the less, and the more widely
    scattered, the lower the temperature.

    Source: Jang, Gu and Poole, *Categorical reparameterization with Gumbel-softmax* (2017), sections
    2.1 and 2.2; Maddison, Mnih and Teh, *The concrete distribution* (2017).

    Attributes:
        temperature: $\tau > 0$, a number or one for each row, ``(N, 1, ..., 1)``.
        hard: Decode the arg-max, and take only the gradient of the softmax: the straight-through
            Gumbel-softmax estimator.

    Example:
        >>> import torch
        >>> import latentsearch as ls
        >>> from latentsearch.relaxations import GumbelSoftmax
        >>> logits = torch.zeros(1, 2, 3, requires_grad=True)
        >>> f = lambda z, row: (z * torch.arange(3.0)).sum((1, 2))
        >>> GumbelSoftmax(hard=True)(logits, f, ls.Noise.from_seed(0, 1)).item() in (0.0, 1.0, 2.0, 3.0, 4.0)
        True
    """

    temperature: float | Tensor = 1.0
    hard: bool = False

    unbiased: ClassVar[bool] = False

    def __post_init__(self) -> None:
        require_positive("GumbelSoftmax.temperature", self.temperature)
        require_flag("GumbelSoftmax.hard", self.hard)

    def evaluations(self, shape: tuple[int, ...], codes: int) -> int:
        """A loss with its gradient."""
        return 2

    def __call__(self, logits: Tensor, f: Loss, noise: Noise) -> Tensor:
        """The surrogate ``(N,)``; see [Estimator][latentsearch.relaxations.Estimator]."""
        tau = require_per_row("GumbelSoftmax.temperature", self.temperature, logits)
        moved = noise.perturbed(logits)
        soft = softened(moved, tau, like=logits)
        return asked(f, with_gradient_of(moved.argmax(-1), soft) if self.hard else soft, own_rows(logits))


@dataclass(frozen=True)
class GumbelRao:
    r"""The straight-through Gumbel-softmax estimator, averaged over all noise that would have drawn the same codes.

    Of the same bias as ``GumbelSoftmax(hard=True)``, and of no larger variance; one decode all the same:
    with the draw D given, $\mathrm{softmax}((\mathrm{logits} + \gamma)/\tau)$ is averaged over draws of
    $\gamma$ given D.

    Source: Paulus, Maddison and Krause, *Rao-Blackwellizing the straight-through Gumbel-softmax gradient
    estimator* (2021), the Gumbel-Rao Monte Carlo estimator.

    Attributes:
        temperature: $\tau > 0$, a number or one for each row, ``(N, 1, ..., 1)``.
        samples: Draws of noise in the average.

    Example:
        >>> import torch
        >>> import latentsearch as ls
        >>> from latentsearch.relaxations import GumbelRao
        >>> logits = torch.zeros(1, 2, 3, requires_grad=True)
        >>> f = lambda z, row: (z * torch.arange(3.0)).sum((1, 2))
        >>> GumbelRao(samples=4)(logits, f, ls.Noise.from_seed(0, 1)).item() in (0.0, 1.0, 2.0, 3.0, 4.0)
        True
    """

    temperature: float | Tensor = 1.0
    samples: int = 16

    unbiased: ClassVar[bool] = False

    def __post_init__(self) -> None:
        require_positive("GumbelRao.temperature", self.temperature)
        require_count("GumbelRao.samples", self.samples)

    def evaluations(self, shape: tuple[int, ...], codes: int) -> int:
        """A loss with its gradient."""
        return 2

    def __call__(self, logits: Tensor, f: Loss, noise: Noise) -> Tensor:
        """The surrogate ``(N,)``; see [Estimator][latentsearch.relaxations.Estimator]."""
        require_per_row("GumbelRao.temperature", self.temperature, logits)
        z = noise.categorical(logits.detach())
        soft = sum(self._softened(logits, z, noise.fold(1 + number)) for number in range(self.samples))
        assert isinstance(soft, Tensor)
        return asked(f, with_gradient_of(z, soft / self.samples), own_rows(logits))

    def _softened(self, logits: Tensor, z: Tensor, noise: Noise) -> Tensor:
        # The noise that is given the draw moves with the logits; the estimator differentiates past that.
        moved = perturbed_given(logits.detach(), z, noise) + as_zero(logits)
        return softened(moved, self.temperature, like=logits)
