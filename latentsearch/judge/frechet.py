"""The Fréchet distance between samples, in given features, and the floor that chance sets it."""

from __future__ import annotations

import torch
from torch import Tensor

from latentsearch._checks import require_count
from latentsearch._context import in_own_context
from latentsearch.errors import InvalidArgument
from latentsearch.judge._samples import as_points, halves, same_width


@in_own_context
def frechet_distance(a: Tensor, b: Tensor) -> float:
    r"""The squared Fréchet distance between the Gaussians that have two samples' means and covariances.

    $\|\mu - \nu\|^2 + \mathrm{tr}(A + B - 2 (A B)^{1/2})$. With the features of the Inception network this is FID.
    Take features of a classifier that no search has seen. The distance is biased upwards, by about 1 / N: print
    [frechet_floor][latentsearch.judge.frechet_floor] beside it, and compare at equal N only.

    Source: Heusel et al., [*GANs Trained by a Two Time-Scale Update Rule*](https://arxiv.org/abs/1706.08500)
    (2017), equation 6; Dowson and Landau (1982) for the formula.

    Args:
        a: ``(N, d)`` features.
        b: ``(M, d)`` features.

    Raises:
        InvalidArgument: If there are fewer than two rows, the widths differ, or a feature is not finite.

    Example:
        >>> import torch
        >>> from latentsearch import judge
        >>> square = torch.tensor([[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]])
        >>> round(judge.frechet_distance(square, square + 3), 9)
        18.0
    """
    first, second = as_points("frechet_distance.a", a), as_points("frechet_distance.b", b)
    same_width("frechet_distance", first, second)
    apart = (first.mean(0) - second.mean(0)).square().sum()
    root, other = _root(first), _root(second)
    # tr (AB)^(1/2) is the sum of the singular values of the product of the covariances' square roots; any roots do,
    # and no covariance is formed, whose small eigenvalues would be lost to rounding.
    cross = torch.linalg.svdvals(root @ other.T).sum()
    distance = apart + root.square().sum() + other.square().sum() - 2 * cross
    return max(float(distance), 0.0)


def frechet_floor(features: Tensor, seed: int = 0, *, size: int | None = None) -> float:
    """The distance between two random halves of one sample: what a perfect answer would score.

    Args:
        features: ``(N, d)`` of real data.
        seed: Of the split.
        size: Rows of each half, at most N / 2; as many as the answers that it stands beside.

    Raises:
        InvalidArgument: If there are fewer than four rows, or twice the size is more than there are.

    Example:
        >>> import torch
        >>> import latentsearch as ls
        >>> features = ls.Noise.from_seed(0, 400).normal(4)
        >>> 0 < ls.judge.frechet_floor(features) < ls.judge.frechet_floor(features, size=50)
        True
    """
    points = as_points("frechet_floor.features", features, least=4)
    most = len(points) // 2
    if size is not None:
        require_count("frechet_floor.size", size, 2)
        if size > most:
            got, expected = str(size), f"at most {most}, half of the {len(points)} rows"
            raise InvalidArgument("frechet_floor.size", got=got, expected=expected)
    one, other = halves(len(points), size or most, seed, points.device)
    return frechet_distance(points[one], points[other])


def _root(points: Tensor) -> Tensor:
    """``(min(N, d), d)``: R with RᵀR the covariance of points ``(N, d)``."""
    centred = points - points.mean(0)
    root: Tensor = torch.linalg.qr(centred / (len(points) - 1) ** 0.5, mode="r").R
    return root
