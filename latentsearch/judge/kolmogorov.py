"""How far two samples of a number are apart, at the worst place."""

from __future__ import annotations

import torch
from torch import Tensor

from latentsearch._checks import in_short
from latentsearch.errors import InvalidArgument


def kolmogorov_distance(a: Tensor, b: Tensor) -> float:
    """The Kolmogorov-Smirnov distance: the greatest gap between two samples' cumulative distributions.

    Of two samples of n from one law it is below ``1.92 / sqrt(n)`` in 19 cases of 20.

    Source: Smirnov, [*Table for Estimating the Goodness of Fit*](https://doi.org/10.1214/aoms/1177730256) (1948).

    Args:
        a: ``(N,)``, such as the negative log-likelihoods of answers; infinity is allowed.
        b: ``(M,)``, such as those of data.

    Returns:
        A number in [0, 1].

    Raises:
        InvalidArgument: If a sample is empty or holds NaN.

    Example:
        >>> import torch
        >>> from latentsearch import judge
        >>> judge.kolmogorov_distance(torch.tensor([0.0, 1.0]), torch.tensor([0.5, 2.0, 3.0, 4.0]))
        0.75
    """
    first, second = _sorted("a", a), _sorted("b", b)
    # The distributions only step at the samples, and the gap right after a step is what counts.
    steps = torch.cat([first, second])
    below = [torch.searchsorted(side, steps, right=True).double() / len(side) for side in (first, second)]
    return float((below[0] - below[1]).abs().max())


def _sorted(name: str, sample: Tensor) -> Tensor:
    if not isinstance(sample, Tensor) or not sample.numel():
        expected = "a tensor of at least one number"
        raise InvalidArgument(f"kolmogorov_distance.{name}", got=in_short(sample), expected=expected)
    flat = sample.detach().double().flatten()
    if bool(flat.isnan().any()):
        raise InvalidArgument(f"kolmogorov_distance.{name}", got="NaN", expected="numbers")
    return flat.sort().values
