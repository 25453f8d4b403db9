"""Whether answers are spread as widely as what is not known."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from latentsearch.errors import InvalidArgument, describe
from latentsearch.judge._samples import as_points, require_tensors
from latentsearch.judge.intervals import bootstrap


class Spread(NamedTuple):
    """A ratio and how well it is known.

    Attributes:
        ratio: 2 for exact samples of the posterior; near 1 where all answers to a problem are the same, above 2
            where they differ by more than is unknown.
        low: The low end of its 95 % interval over problems.
        high: The high end.
    """

    ratio: float
    low: float
    high: float


def posterior_spread(samples: Tensor, truth: Tensor, seed: int = 0) -> Spread:
    r"""The mean squared error of one answer, over that of the posterior mean.

    The truth is itself a draw from the posterior. So for exact samples
    $E\|x - x^*\|^2 = 2 \, E\|\bar x - x^*\|^2$, whatever the posterior. The mean of R samples has an error
    $1 + 1/R$ times as large as the posterior mean's, for which this corrects. The ratio goes down to $1 + 1/R$
    where all R answers are the same.

    It is exact where the truth follows the model: drawn from the prior, decoded, and measured with the likelihood's
    noise. The truth of real images lies off the decoder's range, which adds the same error to both.

    Source: Blau and Michaeli, [*The Perception-Distortion Tradeoff*](https://arxiv.org/abs/1711.06077) (2018),
    theorem 2: a draw from the posterior has twice the least mean squared error.

    Args:
        samples: ``(B, R, ...)``, R >= 2 decoded answers to each problem.
        truth: ``(B, ...)``, what was measured.
        seed: Of the interval.

    Raises:
        InvalidArgument: If there are fewer than two answers or problems, the shapes differ, or a number is not
            finite.

    Example:
        >>> import latentsearch as ls
        >>> noise = ls.Noise.from_seed(0, 500)
        >>> ratio, low, high = ls.judge.posterior_spread(noise.normal(8, 3), noise.fold(1).normal(3))
        >>> low < 2 < high
        True
    """
    _check(samples, truth)
    points, target = samples.detach().double().flatten(2), as_points("posterior_spread.truth", truth)
    answers = points.shape[1]
    each = (points - target[:, None]).square().sum(2).mean(1)
    mean = (points.mean(1) - target).square().sum(1) / (1 + 1 / answers)
    if not bool(mean.any()):
        raise InvalidArgument("posterior_spread", got="answers that all are the truth", expected="something not known")
    errors = torch.stack([each, mean], 1)
    return Spread(float(_ratio(errors)), *bootstrap(errors, _ratio, seed=seed))


def _ratio(errors: Tensor) -> Tensor:
    """The ratio of means, not the mean of ratios: easy problems would weigh as much as hard ones."""
    each, mean = errors.sum(0).unbind()
    return each / mean


def _check(samples: Tensor, truth: Tensor) -> None:
    require_tensors("posterior_spread", truth=truth)
    as_points("posterior_spread.samples", samples)
    if samples.ndim < 3 or samples.shape[1] < 2 or samples.shape[:1] + samples.shape[2:] != truth.shape:
        raise InvalidArgument(
            "posterior_spread",
            got=f"{describe(samples)} for a truth of shape {tuple(truth.shape)}",
            expected="samples (B, R, ...) with R >= 2 and truth (B, ...)",
            hint="restarts= of the searcher is R",
        )
