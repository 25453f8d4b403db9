"""How likely it is to see what was seen, if a law about chance holds."""

from __future__ import annotations

import torch
from torch import Tensor

FALSE_ALARM = 1e-6
"""The chance with which a law that holds is said to be broken."""

_ROUNDING = 1e-12


def chance_of_counts(counts: Tensor, shares: Tensor) -> float:
    """The chance that some count is as far off as one of these, at most.

    Exact binomial tails, times the number of counts: with few draws expected no normal law would do.

    Args:
        counts: ``(K,)``, how often each of K things was drawn.
        shares: ``(K,)``, the chance of each.
    """
    import numpy as np
    from scipy.stats import binom

    seen, draws, p = counts.numpy(), int(counts.sum()), shares.double().numpy()
    tails = np.minimum(binom.cdf(seen, draws, p), binom.sf(seen - 1, draws, p))
    return min(1.0, 2 * float(tails.min()) * len(counts))


def chance_of_means(samples: Tensor, expected: Tensor) -> float:
    """The chance that some mean of many samples is as far off as one of these, at most.

    Args:
        samples: ``(N, ...)``, float64.
        expected: ``(...)``, what they should be on average.
    """
    from scipy.stats import norm

    error = (samples.mean(0) - expected).abs().sub(_ROUNDING).clamp(min=0)
    spread = samples.std(0) / len(samples) ** 0.5
    # Estimates without any spread are right, or wrong for sure.
    tails = norm.sf((error / spread.clamp(min=torch.finfo(spread.dtype).tiny)).numpy())
    return float(min(1.0, 2 * tails.min() * tails.size))
