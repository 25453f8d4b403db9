"""Where real data's likelihood lies: a band with two ends."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from latentsearch._checks import is_number
from latentsearch.errors import InvalidArgument
from latentsearch.judge._samples import as_points


@dataclass(frozen=True)
class Band:
    """The negative log-likelihoods that are usual among real data, under an independent prior.

    It has two ends. The most likely latent is far more likely than any real one: in P dimensions a draw's negative
    log-likelihood lies about the entropy, and the mode far below (the typical set: Cover and Thomas,
    [*Elements of Information Theory*](https://doi.org/10.1002/047174882X), section 3.1). So an answer that
    maximises a likelihood falls out of the band below, as one that ignores it falls out above. Exact samples of a
    posterior, over many problems, are inside as often as data are.

    Attributes:
        low: The least that is inside, in nats.
        high: The most.

    Example:
        >>> import torch
        >>> from latentsearch import judge
        >>> band = judge.likelihood_band(torch.arange(101.0))
        >>> band, band.share(torch.tensor([2.0, 50.0, 60.0, 200.0]))
        (Band(low=5.0, high=95.0), 0.5)
    """

    low: float
    high: float

    def contains(self, nll: Tensor) -> Tensor:
        """``(...)`` bool: whether each negative log-likelihood ``(...)`` is inside; NaN is not."""
        return (nll >= self.low) & (nll <= self.high)

    def share(self, nll: Tensor) -> float:
        """The share of negative log-likelihoods ``(...)`` that are inside."""
        return float(self.contains(nll).double().mean())


def likelihood_band(nll_of_data: Tensor, low: float = 0.05, high: float = 0.95) -> Band:
    """The band between two quantiles of real data's negative log-likelihood.

    The prior must not be the one in the objective: take another seed, another half of the data, and
    another architecture. And the data must be none that it was trained on.

    Args:
        nll_of_data: ``(N,)`` nats, ``-prior.log_prob(latents of held-out data)``.
        low: The share of data below the band.
        high: The share of data below its upper end.

    Raises:
        InvalidArgument: If a likelihood is not finite, or the quantiles are not in order.
    """
    nll = as_points("likelihood_band.nll_of_data", nll_of_data).flatten()
    if not (is_number(low) and is_number(high) and 0 <= low < high <= 1):
        raise InvalidArgument(
            "likelihood_band", got=f"quantiles low={low!r} and high={high!r}", expected="0 <= low < high <= 1"
        )
    ends = torch.tensor([low, high], dtype=nll.dtype, device=nll.device)
    return Band(*nll.quantile(ends).tolist())
