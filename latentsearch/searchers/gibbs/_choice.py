"""Which codes a sweep tries, and how it chooses among them."""

from __future__ import annotations

import math

import torch
from torch import Tensor

_PLAIN = 0.1  # share of the candidates that come from the prior alone


def guided(prior: Tensor, rise: Tensor) -> Tensor:
    """``(M, *S, K)`` log-probabilities of candidates: by the prior and a rise of the loss, and some by the prior alone.

    Where the rise is wrong, a code that it rules out would be proposed next to never, and left next to never:
    with a share of the prior no weight is above ``1 / _PLAIN`` of what the likelihood says.
    """
    guided = (prior - rise).log_softmax(-1)
    return torch.logaddexp(guided + math.log1p(-_PLAIN), prior + math.log(_PLAIN))


def weights_of(prior: Tensor, proposal: Tensor, loss: Tensor, temperature: Tensor) -> Tensor:
    """``(M, m)`` logits of the choice among candidates: prior times likelihood, tempered, over the proposal.

    Args:
        prior: ``(M, m)``, log p of each.
        proposal: ``(M, m)``, log q.
        loss: ``(M, m)``, of the likelihood.
        temperature: ``(M,)``; at 0 prior times likelihood decides.
    """
    hot = temperature[:, None]
    impossible = prior.isneginf() | loss.isinf()
    posterior = torch.where(impossible, -torch.inf, prior - loss)
    tempered = posterior / torch.where(hot > 0, hot, 1) - proposal
    return torch.where(impossible, -torch.inf, torch.where(hot > 0, tempered, posterior))
