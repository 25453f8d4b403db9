"""Estimators that weigh the score function by losses: REINFORCE, and REINFORCE with leave-one-out baselines."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from latentsearch._checks import require_count, require_finite
from latentsearch.errors import InvalidArgument, describe
from latentsearch.noise import Noise
from latentsearch.relaxations._codes import log_prob_gradient
from latentsearch.relaxations.estimator import Loss, asked, injected, own_rows


@dataclass(frozen=True, kw_only=True)  # not a factory from temperatures, which are no baselines
class Reinforce:
    r"""$(f(z) - b)\,\nabla \log q(z)$ at a draw z.

    Unbiased for any baseline b that does not look at the draw, and of large variance without a good one.

    Source: Williams, *Simple statistical gradient-following algorithms for connectionist
    reinforcement learning* (1992), theorem 1.

    Attributes:
        baseline: b, a number or one for each row, ``(N,)``.

    Example:
        >>> import torch
        >>> import latentsearch as ls
        >>> from latentsearch.relaxations import Reinforce
        >>> logits = torch.zeros(1, 2, 3, requires_grad=True)
        >>> f = lambda z, row: z.sum(1).float()
        >>> Reinforce()(logits, f, ls.Noise.from_seed(0, 1)).item() in (0.0, 1.0, 2.0, 3.0, 4.0)
        True
    """

    baseline: float | Tensor = 0.0

    unbiased: ClassVar[bool] = True

    def __post_init__(self) -> None:
        require_finite("Reinforce.baseline", self.baseline)

    def evaluations(self, shape: tuple[int, ...], codes: int) -> int:
        """One loss."""
        return 1

    def __call__(self, logits: Tensor, f: Loss, noise: Noise) -> Tensor:
        """The surrogate ``(N,)``; see [Estimator][latentsearch.relaxations.Estimator]."""
        z = noise.categorical(logits.detach())
        value = asked(f, z, own_rows(logits))
        if isinstance(self.baseline, Tensor) and self.baseline.ndim and self.baseline.shape != value.shape:
            expected = f"a number, or a tensor of shape ({len(value)},)"
            raise InvalidArgument("Reinforce.baseline", got=describe(self.baseline), expected=expected)
        weight = (value.detach() - self.baseline).view(-1, *[1] * (logits.ndim - 1))
        return injected(value, logits, weight * log_prob_gradient(z, logits))


@dataclass(frozen=True)
class Rloo:
    r"""REINFORCE with several draws, each with the mean loss of the others as its baseline.

    $\frac{1}{m-1} \sum_i (f(z_i) - \bar f)\,\nabla \log q(z_i)$, unbiased. The value, and so the
    gradient that parameters of f receive, is that of the first draw.

    Source: Kool, van Hoof and Welling, *Buy 4 REINFORCE samples, get a baseline for free!* (2019).

    Attributes:
        samples: m, at least 2.

    Example:
        >>> import torch
        >>> import latentsearch as ls
        >>> from latentsearch.relaxations import Rloo
        >>> logits = torch.zeros(1, 2, 3, requires_grad=True)
        >>> f = lambda z, row: z.sum(1).float()
        >>> Rloo(samples=4)(logits, f, ls.Noise.from_seed(0, 1)).item() in (0.0, 1.0, 2.0, 3.0, 4.0)
        True
    """

    samples: int = 2

    unbiased: ClassVar[bool] = True

    def __post_init__(self) -> None:
        require_count("Rloo.samples", self.samples, least=2)

    def evaluations(self, shape: tuple[int, ...], codes: int) -> int:
        """A loss a draw."""
        return self.samples

    def __call__(self, logits: Tensor, f: Loss, noise: Noise) -> Tensor:
        """The surrogate ``(N,)``; see [Estimator][latentsearch.relaxations.Estimator]."""
        draws = logits.detach().repeat_interleave(self.samples, 0)
        z = noise.split(self.samples).categorical(draws)
        first = z[:: self.samples]
        value = asked(f, first, own_rows(logits))
        loss = self._others(z, f, value.detach())
        weight = (loss - loss.mean(1, keepdim=True)) / (self.samples - 1)
        scores = log_prob_gradient(z, draws).unflatten(0, (-1, self.samples))
        return injected(value, logits, (weight.view(*weight.shape, *[1] * (logits.ndim - 1)) * scores).sum(1))

    @torch.no_grad()
    def _others(self, z: Tensor, f: Loss, first: Tensor) -> Tensor:
        """``(N, m)``: the losses of all draws, of which the first is known."""
        more = z.unflatten(0, (-1, self.samples))[:, 1:]
        row = own_rows(first).repeat_interleave(self.samples - 1)
        return torch.cat([first[:, None], asked(f, more.flatten(0, 1), row).view(-1, self.samples - 1)], 1)
