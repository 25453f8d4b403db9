"""The contract of a relaxation or gradient estimator, the same in search and in training."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol, runtime_checkable

from torch import Tensor

from latentsearch.noise import Noise

Loss = Callable[[Tensor, Tensor], Tensor]
"""``f(z, row) -> (M,)``: the loss of latents ``(M, *S)`` or ``(M, *S, K)``; ``row`` says whose each is."""


@runtime_checkable
class Estimator(Protocol):
    """A surrogate loss whose gradient with respect to logits can be followed.

    Attributes:
        unbiased: Whether the estimate averages to the gradient of the expected loss over codes.
    """

    @property
    def unbiased(self) -> bool: ...

    def __call__(self, logits: Tensor, f: Loss, noise: Noise) -> Tensor:
        """The surrogate of each row.

        Args:
            logits: ``(N, *S, K)``, unnormalised log-probabilities of the codes.
            f: The loss of latents, hard or soft.
            noise: N rows of noise.

        Returns:
            ``(N,)``: the value of f at the estimator's sample. Its gradient with respect to the
            logits is the estimate; parameters of f receive the gradient of that value alone.
        """
