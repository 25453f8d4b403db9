"""Fidelity and diversity of a sample, by the nearest neighbours of real data."""

from __future__ import annotations

from typing import NamedTuple

from torch import Tensor

from latentsearch._checks import require_count
from latentsearch._context import in_own_context
from latentsearch.errors import InvalidArgument
from latentsearch.judge._neighbours import kth_distance, within
from latentsearch.judge._samples import as_points, same_width


class DensityCoverage(NamedTuple):
    """Two figures.

    Attributes:
        density: How crowded with real points the places of the others are; 1 on average for samples of one law,
            above 1 where they keep to the crowded places.
        coverage: The share of real points that have another sample's point nearby.
    """

    density: float
    coverage: float


@in_own_context
def density_coverage(real: Tensor, fake: Tensor, k: int = 5) -> DensityCoverage:
    r"""Density and coverage: what precision and recall would tell if outliers did not spoil them.

    Around each real point lies the ball that reaches its k-th nearest real neighbour. Density is
    $\frac{1}{kM} \sum_j \sum_i [f_j \in \mathrm{ball}_i]$, and coverage the share of balls with some $f_j$ inside.
    For N real and M other points of one law coverage is
    $1 - \prod_{i < k} (N - 1 - i) / (N + M - 1 - i)$ on average: 0.97 for k = 5 and N = M.

    Source: Naeem et al., [*Reliable Fidelity and Diversity Metrics for Generative
    Models*](https://arxiv.org/abs/2002.09797) (2020), equations 3 and 4.

    Args:
        real: ``(N, d)`` features of data.
        fake: ``(M, d)`` features of answers.
        k: Neighbours, fewer than N.

    Raises:
        InvalidArgument: If there are too few rows, the widths differ, or a feature is not finite.

    Example:
        >>> import torch
        >>> from latentsearch import judge
        >>> real = torch.tensor([[0.0], [1.0], [2.0], [10.0]])
        >>> judge.density_coverage(real, torch.tensor([[0.5], [1.5]]), k=1)
        DensityCoverage(density=2.0, coverage=0.75)
    """
    require_count("density_coverage.k", k)
    points, others = as_points("density_coverage.real", real), as_points("density_coverage.fake", fake, least=1)
    same_width("density_coverage", points, others)
    if k >= len(points):
        raise InvalidArgument("density_coverage.k", got=str(k), expected=f"fewer than the {len(points)} real points")
    # Far from the origin the distances would lose digits.
    points, others = points - points.mean(0), others - points.mean(0)
    inside = within(points, kth_distance(points, k), others)
    return DensityCoverage(float(inside.sum()) / (k * len(others)), float((inside > 0).double().mean()))
