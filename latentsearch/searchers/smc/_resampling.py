"""Which particles go on, and how often: systematic resampling, with one particle that is kept or with none."""

from __future__ import annotations

import torch
from torch import Tensor

from latentsearch.noise import Noise

_OFFSET = 1  # stream of noise


def effective(weights: Tensor) -> Tensor:
    r"""``(M,)``: the effective number of particles, $(\sum w)^2 / \sum w^2$, of log weights ``(M, N)``."""
    return (2 * weights.logsumexp(1) - (2 * weights).logsumexp(1)).exp()


def ancestors(weights: Tensor, keep: bool, noise: Noise) -> Tensor:
    """``(M, N)`` int64: of which particle each new one is a copy.

    N points at equal distances are laid over the weights, at a random offset: particle i has N times its share of
    copies, rounded up or down [Carpenter, Clifford and Fearnhead, *Improved particle filter for nonlinear problems*,
    1999]. Where the first particle is kept, the offset is drawn given that it has a copy, which is then the first
    [Chopin and Singh, *On particle Gibbs sampling*, Bernoulli 2015, algorithm 4](https://arxiv.org/abs/1304.1887).

    Args:
        weights: ``(M, N)`` log weights.
        keep: Whether the first particle is kept.
        noise: M rows.
    """
    steps = weights.softmax(1).cumsum(1)
    count = weights.shape[1]
    first, second = noise.fold(_OFFSET).uniform(2, dtype=weights.dtype).unbind(1)
    offset = _given_a_copy(count * steps[:, 0], first, second) if keep else first
    points = (torch.arange(count, device=weights.device) + offset[:, None]) / count * steps[:, -1:]
    found = torch.searchsorted(steps, points).clamp(max=count - 1)
    return torch.cat([torch.zeros_like(found[:, :1]), found[:, 1:]], 1) if keep else found


def _given_a_copy(expected: Tensor, first: Tensor, second: Tensor) -> Tensor:
    """``(M,)`` offsets in (0, 1), given that a particle of which so many copies are expected has one.

    With an offset below the fraction of that number it has one copy more than with one above.
    """
    whole = expected.floor()
    rest = expected - whole
    more = first * expected < rest * (whole + 1)
    tiny = torch.finfo(expected.dtype).tiny
    return torch.where(more, second * rest, rest + second * (1 - rest)).clamp(min=tiny)


def evened(weights: Tensor) -> Tensor:
    """Log weights ``(M, N)``, equal where no particle has any."""
    return torch.where(weights.isneginf().all(1, keepdim=True), 0.0, weights)
