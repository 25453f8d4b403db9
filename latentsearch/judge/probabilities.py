"""Distances between distributions over things that can be listed."""

from __future__ import annotations

import torch
from torch import Tensor

from latentsearch._checks import require_count
from latentsearch.errors import InvalidArgument, describe
from latentsearch.judge._samples import require_tensors


def total_variation(p: Tensor, q: Tensor) -> float:
    r"""The total variation distance, $\frac12 \sum |p - q|$: the most by which a probability is wrong.

    Counts of draws are off by chance alone: [total_variation_floor][latentsearch.judge.total_variation_floor] says
    how far.

    Source: Levin, Peres and Wilmer, [*Markov Chains and Mixing
    Times*](https://pages.uoregon.edu/dlevin/MARKOV/markovmixing.pdf) (2009), proposition 4.2.

    Args:
        p: Probabilities ``(*X)``, floating; or counts, integers.
        q: The same over the same X.

    Returns:
        A number in [0, 1].

    Raises:
        InvalidArgument: If the shapes differ, or either is no distribution.

    Example:
        >>> import torch
        >>> from latentsearch import judge
        >>> judge.total_variation(torch.tensor([0.5, 0.5, 0.0]), torch.tensor([1, 2, 1]))
        0.25
    """
    first, second = _distributions("total_variation", p, q)
    return float((first - second).abs().sum() / 2)


def hellinger(p: Tensor, q: Tensor) -> float:
    r"""The Hellinger distance, $\sqrt{1 - \sum \sqrt{p q}}$.

    Source: Nikulin, [*Hellinger distance*](https://encyclopediaofmath.org/wiki/Hellinger_distance), Encyclopedia
    of Mathematics.

    Args:
        p: Probabilities ``(*X)``, floating; or counts, integers.
        q: The same over the same X.

    Returns:
        A number in [0, 1].

    Raises:
        InvalidArgument: If the shapes differ, or either is no distribution.

    Example:
        >>> import torch
        >>> from latentsearch import judge
        >>> judge.hellinger(torch.tensor([0.5, 0.5]), torch.tensor([1.0, 0.0])) ** 2
        0.29289...
    """
    first, second = _distributions("hellinger", p, q)
    # By differences of roots, which are 0 for equal ones: 1 - sum sqrt(pq) would leave the root of a rounding error.
    return float(((first.sqrt() - second.sqrt()).square().sum() / 2).sqrt())


def total_variation_floor(p: Tensor, draws: int) -> float:
    """The total variation distance, on average, between probabilities and the counts of exact draws from them.

    Source: de Moivre's mean absolute deviation of the binomial law, in Diaconis and Zabell, [*Closed Form Summation
    for Classical Distributions*](https://doi.org/10.1214/ss/1177011699) (1991).

    Args:
        p: Probabilities ``(*X)``.
        draws: How many independent ones.

    Raises:
        InvalidArgument: If ``p`` is no distribution.

    Example:
        >>> import torch
        >>> from latentsearch import judge
        >>> judge.total_variation_floor(torch.tensor([0.5, 0.5]), draws=1)
        0.5
    """
    require_count("total_variation_floor.draws", draws)
    require_tensors("total_variation_floor", p=p)
    share = _distribution("total_variation_floor.p", p)
    share = share[(share > 0) & (share < 1)]
    # E|X - n p| = 2 m C(n, m) p^m (1 - p)^(n - m + 1), with m the whole number after n p.
    m = (draws * share).floor() + 1
    n = torch.full_like(share, draws)
    log_choose = torch.lgamma(n + 1) - torch.lgamma(m + 1) - torch.lgamma(n - m + 1)
    deviation = 2 * torch.exp(m.log() + log_choose + m * share.log() + (n - m + 1) * torch.log1p(-share))
    return float(deviation.sum() / (2 * draws))


def _distributions(what: str, p: Tensor, q: Tensor) -> tuple[Tensor, Tensor]:
    require_tensors(what, p=p, q=q)
    if p.shape != q.shape:
        raise InvalidArgument(what, got=f"shapes {tuple(p.shape)} and {tuple(q.shape)}", expected="the same shape")
    return _distribution(f"{what}.p", p), _distribution(f"{what}.q", q)


def _distribution(what: str, p: Tensor) -> Tensor:
    """Probabilities as they are, or counts as shares, in float64."""
    shares = p.detach().double().flatten()
    least, total = float(shares.min()) if len(shares) else 0.0, float(shares.sum())
    counts = not p.is_floating_point()
    if least < 0:
        raise InvalidArgument(what, got=f"numbers from {least:g} on", expected="probabilities or counts, none negative")
    if not (bool((shares >= 0).all()) and (total > 0 if counts else abs(total - 1) < 1e-3)):
        got = f"{describe(p)} that sums to {total:g}"
        hint = "" if counts else "counts are told by their integer dtype"
        raise InvalidArgument(what, got=got, expected="probabilities that sum to 1, or counts", hint=hint)
    return shares / total
