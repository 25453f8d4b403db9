"""Which codes a sweep tries, and how it chooses among them."""

from __future__ import annotations

import itertools
import math

import torch
from torch import Tensor

from latentsearch.noise import Noise

_PLAIN = 0.1  # share of the candidates that come from the prior alone
_LEAST = -1e3  # nats; a code that is never proposed counts as this likely, so that differences are finite


def guided(prior: Tensor, rise: Tensor) -> Tensor:
    """``(M, *S, K)`` log-probabilities of candidates: by the prior and a rise of the loss, and some by the prior alone.

    Where the rise is wrong, a code that it rules out would be proposed next to never, and left next to never:
    with a share of the prior no weight is above ``1 / _PLAIN`` of what the likelihood says.
    """
    guided = (prior - rise).log_softmax(-1)
    return torch.logaddexp(guided + math.log1p(-_PLAIN), prior + math.log(_PLAIN))


def distinct(proposal: Tensor, own: Tensor, count: int, noise: Noise) -> Tensor:
    """``(M, n, count)`` codes drawn from the proposal one after another, none twice and never the present one.

    Args:
        proposal: ``(M, n, K)``, log q.
        own: ``(M, n)``, the present codes.
        count: How many, K - 1 at most.
        noise: M rows.
    """
    others = proposal.clamp(min=_LEAST).scatter(-1, own[..., None], -torch.inf)
    return noise.perturbed(others).topk(count, -1).indices


def log_ways(proposal: Tensor, tried: Tensor) -> Tensor:
    r"""``(M, m)``: log of how likely each code of a set is to be joined by the others, which are drawn as above.

    Of a set T that is yet to be drawn, in any order, $F(T) = \sum_{y \in T} F(T \setminus y) / (R + q(T))$, where R is
    the probability of all codes that are not in the set: the first of T to come is one of it, among what is left. With
    the present code x, the others come with probability $F(S \setminus x) \prod_{y \ne x} q(y)$.

    Args:
        proposal: ``(M, K)``, log q.
        tried: ``(M, m)``, the codes of each set, all different.
    """
    proposal = proposal.clamp(min=_LEAST)
    own = proposal.gather(1, tried)
    rest = proposal.scatter(1, tried, -torch.inf).logsumexp(1).clamp(min=2 * _LEAST)
    members = range(tried.shape[1])
    ways: dict[tuple[int, ...], Tensor] = {(): torch.zeros_like(rest)}
    for size in members[1:]:
        for chosen in itertools.combinations(members, size):
            left = torch.stack([ways[tuple(y for y in chosen if y != first)] for first in chosen])
            mass = torch.logaddexp(own[:, chosen].logsumexp(1), rest)
            ways[chosen] = left.logsumexp(0) - mass
    found = torch.stack([ways[tuple(y for y in members if y != present)] for present in members], 1)
    return found + own.sum(1, keepdim=True) - own


def weights_of(prior: Tensor, ways: Tensor, loss: Tensor, temperature: Tensor) -> Tensor:
    """``(M, m)`` logits of the choice among codes: prior times likelihood, tempered, and how they came together.

    Args:
        prior: ``(M, m)``, log p of each.
        ways: ``(M, m)``, log of how likely each is to be joined by the others.
        loss: ``(M, m)``, of the likelihood.
        temperature: ``(M,)``; at 0 prior times likelihood decides.
    """
    hot = temperature[:, None]
    impossible = prior.isneginf() | loss.isinf()
    posterior = torch.where(impossible, -torch.inf, prior - loss)
    tempered = posterior / torch.where(hot > 0, hot, 1) + ways
    weights = torch.where(impossible, -torch.inf, torch.where(hot > 0, tempered, posterior))
    # Where nothing is possible yet the prior leads on, lest a chain stay for ever where it cannot be.
    return torch.where(impossible.all(1, keepdim=True), prior.clamp(min=2 * _LEAST) + ways, weights)
