"""What a prior says of single codes, as a term for mixtures of them."""

from __future__ import annotations

from torch import Tensor

from latentsearch.goal import Constraint, Score

_LEAST = -30.0  # nats; codes that never occur count as this likely, so that mixtures have a loss and a gradient


class SingleCodes(Constraint):
    """Minus the expected log-probability of each code by itself: unlike a model of grids, it is made for mixtures.

    Args:
        logs: ``(*S, K)``, log-probabilities where nothing else is known.
    """

    reads = "latent"

    def __init__(self, logs: Tensor) -> None:
        self._logs = logs.clamp(min=_LEAST).flatten(0, -2)

    def __call__(self, output: Tensor, latent: Tensor) -> Score:
        if latent.is_floating_point():
            return Score(-(latent.flatten(1, -2) * self._logs.to(latent.dtype)).flatten(1).sum(1))
        each = self._logs.expand(len(latent), *self._logs.shape).gather(-1, latent.flatten(1)[..., None])
        return Score(-each.flatten(1).sum(1))
