"""The kernel distance between samples: unbiased, so few samples do."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from latentsearch._checks import require_count
from latentsearch._context import in_own_context
from latentsearch.errors import InvalidArgument
from latentsearch.judge._samples import as_points, same_width, shuffled


class KernelDistance(NamedTuple):
    """A mean over subsets.

    Attributes:
        mean: The distance; about 0, on either side, for samples of one law.
        error: Its standard error.
    """

    mean: float
    error: float


@in_own_context
def kernel_distance(a: Tensor, b: Tensor, seed: int = 0, *, subsets: int = 10) -> KernelDistance:
    r"""The squared maximum mean discrepancy with the kernel $(x \cdot y / d + 1)^3$, which is KID.

    Its U-statistic has no bias, so it tells samples of some hundreds apart where the Fréchet distance shows its own
    bias. Subsets are disjoint: each is independent of the others, and so the standard error is one.

    Source: Bińkowski et al., [*Demystifying MMD GANs*](https://arxiv.org/abs/1801.01401) (2018), section 4.

    Args:
        a: ``(N, d)`` features.
        b: ``(M, d)`` features.
        seed: Of the split into subsets.
        subsets: How many; each takes ``N // subsets`` rows of one sample and ``M // subsets`` of the other.

    Raises:
        InvalidArgument: If a subset would have fewer than two rows, the widths differ, or a feature is not finite.

    Example:
        >>> import latentsearch as ls
        >>> a, b = ls.Noise.from_seed(0, 600).normal(4).split(300)
        >>> mean, error = ls.judge.kernel_distance(a, b)
        >>> abs(mean) < 3 * error, ls.judge.kernel_distance(a, b + 1).mean > 1
        (True, True)
    """
    require_count("kernel_distance.subsets", subsets, least=2)
    first, second = as_points("kernel_distance.a", a), as_points("kernel_distance.b", b)
    same_width("kernel_distance", first, second)
    if min(len(first), len(second)) < 2 * subsets:
        got = f"{len(first)} and {len(second)} rows"
        raise InvalidArgument("kernel_distance", got=got, expected=f"2 rows for each of {subsets} subsets")
    found = torch.stack(
        [
            _discrepancy(x, y)
            for x, y in zip(_subsets(first, subsets, seed, 1), _subsets(second, subsets, seed, 2), strict=True)
        ]
    )
    return KernelDistance(float(found.mean()), float(found.std() / subsets**0.5))


def _subsets(points: Tensor, count: int, seed: int, stream: int) -> list[Tensor]:
    size = len(points) // count
    order = shuffled(len(points), seed, stream, points.device)
    return list(points[order[: size * count]].split(size))


def _discrepancy(x: Tensor, y: Tensor) -> Tensor:
    """The U-statistic of points ``(N, d)`` and ``(M, d)``: no point is compared with itself."""
    within = [(k.sum() - k.diagonal().sum()) / (len(k) * (len(k) - 1)) for k in (_kernel(x, x), _kernel(y, y))]
    return within[0] + within[1] - 2 * _kernel(x, y).mean()


def _kernel(x: Tensor, y: Tensor) -> Tensor:
    return (x @ y.T / x.shape[1] + 1) ** 3
