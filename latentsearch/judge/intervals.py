"""How far a figure would move if other problems had been drawn."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

from latentsearch._checks import in_short, require_count, require_function, require_seed, require_share
from latentsearch.errors import InvalidArgument
from latentsearch.judge._samples import as_points
from latentsearch.noise import Noise


class Interval(NamedTuple):
    """From a low to a high end.

    Attributes:
        low: The low end.
        high: The high end.
    """

    low: float
    high: float


def bootstrap(
    values: Tensor,
    statistic: Callable[[Tensor], Tensor] = torch.mean,
    *,
    seed: int = 0,
    draws: int = 1000,
    level: float = 0.95,
) -> Interval:
    """The percentile interval of a statistic over problems.

    Problems are what is drawn independently, so they are what is drawn again, with all their answers: answers to
    one problem resemble each other, and an interval over answers would be too narrow.

    Source: Efron and Tibshirani, [*An Introduction to the Bootstrap*](https://doi.org/10.1201/9780429246593)
    (1993), section 13.3.

    Args:
        values: ``(B, ...)``: what was seen of each problem.
        statistic: ``(B, ...)`` float64 to a tensor of one number.
        seed: Of the draws.
        draws: How often B problems are drawn again.
        level: The share of draws that the interval holds.

    Raises:
        InvalidArgument: If there are fewer than two problems, or the values are not finite.

    Example:
        >>> import torch
        >>> from latentsearch import judge
        >>> low, high = judge.bootstrap(torch.arange(100.0))
        >>> low < 49.5 < high
        True
    """
    as_points("bootstrap.values", values)
    require_count("bootstrap.draws", draws)
    require_share("bootstrap.level", level)
    require_seed("bootstrap.seed", seed)
    require_function("bootstrap.statistic", statistic, "a function of values (B, ...), such as torch.mean")
    problems, precise = len(values), values.detach().double()
    noise = Noise.from_seed(seed, device=values.device).fold(0x424F4F54).split(draws)  # "BOOT"
    found = torch.stack([_one(statistic(precise[index])) for index in noise.integers(problems, problems)])
    ends = torch.tensor([(1 - level) / 2, (1 + level) / 2], dtype=found.dtype, device=found.device)
    low, high = found.quantile(ends).tolist()
    return Interval(low, high)


def _one(found: object) -> Tensor:
    if not isinstance(found, Tensor) or found.numel() != 1:
        raise InvalidArgument("bootstrap.statistic's result", got=in_short(found), expected="a tensor of one number")
    return found.reshape(())
