"""Expectation maximisation of Gaussian mixtures with full covariances, by sufficient statistics.

The log-density of a Gaussian is linear in the products of a vector's elements, so an iteration is two matrix
products over the same features: one for the responsibilities, one for the moments that they weigh.

Sources: Dempster, Laird and Rubin, *Maximum likelihood from incomplete data via the EM algorithm* (1977),
<https://doi.org/10.1111/j.2517-6161.1977.tb01600.x>; Arthur and Vassilvitskii, *k-means++* (2007),
<https://theory.stanford.edu/~sergei/papers/kMeansPP-soda.pdf>.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from latentsearch.noise import Noise

_CHUNK = 4096  # rows of features at a time: they stay in the cache
_FIRST_ROWS = 10_000  # rows of the start and of the early iterations, which need not be exact
_LLOYD = 10  # iterations of k-means, of which the start is all that is kept
_PLUS_PLUS = 1  # the stream of noise of k-means++


@dataclass(frozen=True)
class Mixture:
    """A mixture of M Gaussians over vectors of d.

    Attributes:
        log_weights: ``(M,)``.
        means: ``(M, d)``.
        covariances: ``(M, d, d)``.
    """

    log_weights: Tensor
    means: Tensor
    covariances: Tensor


def fit_mixture(
    rows: Tensor, components: int, *, iterations: int, tolerance: float, floor: float, shrinkage: float, noise: Noise
) -> Mixture:
    """Fit to ``(T, d)`` rows whose overall covariance is near the identity.

    Args:
        rows: Float64 or float32.
        components: M.
        iterations: The most over all rows; as many over a subset come first.
        tolerance: It ends when an iteration gains less, in nats a row.
        floor: Added to the diagonal of every covariance.
        shrinkage: Rows' worth of the pooled covariance that each component's is mixed with.
        noise: One row, for the start.
    """
    if components == 1:
        return _single(rows, floor)
    early = rows[:: max(1, len(rows) // _FIRST_ROWS)][:_FIRST_ROWS]
    mixture = _start(early, components, floor, noise)
    for part in (early, rows):
        likelihood = -math.inf
        for _ in range(iterations):
            counts, sums, products, now = _moments(part, mixture)
            mixture = _maximise(counts, sums, products, floor, shrinkage)
            if now - likelihood < tolerance:
                break
            likelihood = now
    return mixture


def _single(rows: Tensor, floor: float) -> Mixture:
    """One Gaussian has no hidden components to expect: it is that of the moments."""
    wide = rows.double()
    covariance = torch.cov(wide.T, correction=0).view(wide.shape[1], -1)  # of one element it is a number
    covariance.diagonal().add_(floor)
    return Mixture(wide.new_zeros(1), wide.mean(0, keepdim=True), covariance[None])


def _moments(rows: Tensor, mixture: Mixture) -> tuple[Tensor, Tensor, Tensor, float]:
    """The expected counts ``(M,)``, sums ``(M, d)``, products ``(M, d, d)``, and the mean log-density of the rows."""
    size, first, second = rows.shape[1], *torch.triu_indices(rows.shape[1], rows.shape[1], device=rows.device)
    weights = _weights(mixture, first, second).to(rows.dtype)
    total, likelihood = torch.zeros_like(weights, dtype=torch.float64), 0.0
    for part in rows.split(_CHUNK):
        columns = part.T.contiguous()
        features = torch.cat([columns[first] * columns[second], columns, columns.new_ones(1, len(part))])
        log_joint = weights @ features  # (M, T)
        log_density = log_joint.logsumexp(0)
        total += (log_joint - log_density).exp_() @ features.T
        likelihood += float(log_density.double().sum())
    products = total.new_zeros(len(total), size, size)
    products[:, first, second] = total[:, : len(first)]
    products[:, second, first] = total[:, : len(first)]
    return total[:, -1], total[:, len(first) : -1], products, likelihood / len(rows)


def _weights(mixture: Mixture, first: Tensor, second: Tensor) -> Tensor:
    """``(M, F)``: log w + log N of a row is its inner product with the row's products, elements and 1."""
    factor = torch.linalg.cholesky(mixture.covariances)
    precision = torch.cholesky_inverse(factor)
    linear = (precision @ mixture.means[..., None])[..., 0]
    products = -precision[:, first, second] * torch.where(first == second, 0.5, 1.0)
    log_determinant = 2 * factor.diagonal(dim1=1, dim2=2).log().sum(1)
    size = mixture.means.shape[1]
    constant = mixture.log_weights - 0.5 * (
        (linear * mixture.means).sum(1) + log_determinant + size * math.log(2 * math.pi)
    )
    return torch.cat([products, linear, constant[:, None]], 1)


def _maximise(counts: Tensor, sums: Tensor, products: Tensor, floor: float, shrinkage: float) -> Mixture:
    counts = counts.clamp_min(1e-8)
    means = sums / counts[:, None]
    scatter = products - counts[:, None, None] * means[:, :, None] * means[:, None, :]
    pooled = scatter.sum(0) / counts.sum()
    covariances = (scatter + shrinkage * pooled) / (counts + shrinkage)[:, None, None]
    covariances = 0.5 * (covariances + covariances.mT)
    covariances.diagonal(dim1=1, dim2=2).add_(floor)
    return Mixture((counts / counts.sum()).log(), means, covariances)


def _start(rows: Tensor, components: int, floor: float, noise: Noise) -> Mixture:
    """The clusters of k-means, started by k-means++, as Gaussians that share one covariance."""
    centres = _plus_plus(rows, components, noise)
    for _ in range(_LLOYD):
        nearest = torch.cdist(rows, centres).argmin(1)
        counts = torch.bincount(nearest, minlength=components).to(rows.dtype)
        sums = torch.zeros_like(centres).index_add_(0, nearest, rows)
        # A cluster that has lost all its rows stays where it is.
        centres = torch.where(counts[:, None] > 0, sums / counts[:, None].clamp_min(1), centres)
    residuals = (rows - centres[nearest]).double()
    pooled = residuals.T @ residuals / len(rows)
    pooled.diagonal().add_(floor)
    share = (counts.double() + 1) / (counts.double() + 1).sum()
    return Mixture(share.log(), centres.double(), pooled.expand(components, -1, -1))


def _plus_plus(rows: Tensor, components: int, noise: Noise) -> Tensor:
    """``(M, d)``: each centre drawn in proportion to its squared distance to those before."""
    draws = noise.fold(_PLUS_PLUS).uniform(components, dtype=torch.float64)[0]
    chosen = [int(draws[0] * len(rows))]
    distance = torch.full((len(rows),), math.inf, dtype=torch.float64, device=rows.device)
    for draw in draws[1:]:
        distance = torch.minimum(distance, (rows - rows[chosen[-1]]).double().square().sum(1))
        cumulative = distance.cumsum(0)
        found = int(torch.searchsorted(cumulative, draw * cumulative[-1]))
        chosen.append(min(found, len(rows) - 1))
    return rows[chosen]
