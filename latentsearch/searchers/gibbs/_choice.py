"""Which codes a sweep tries, and how it chooses among them."""

from __future__ import annotations

import math

import torch
from torch import Tensor

_PLAIN = 0.1  # share of the candidates that come from the prior alone


def guided(prior: Tensor, evidence: Tensor) -> Tensor:
    """``(M, n, K)`` log-probabilities of candidates: by the prior and the evidence, and a few by the prior alone.

    Where the evidence is wrong, a code that it rules out would be proposed next to never, and left next to never:
    with a share of the prior no weight is above ``1 / _PLAIN`` of what the likelihood says.
    """
    guided = (prior - evidence).log_softmax(-1)
    return torch.logaddexp(guided + math.log1p(-_PLAIN), prior + math.log(_PLAIN))


def tempered(ratio: Tensor, prior: Tensor, loss: Tensor, temperature: Tensor) -> Tensor:
    """``(M, m)`` logits of the choice among candidates: prior times likelihood, tempered, over the proposal.

    Args:
        ratio: ``(M, m)``, log of prior over proposal.
        prior: ``(M, m)``, log of the prior.
        loss: ``(M, m)``, of the likelihood.
        temperature: ``(M,)``; at 0 prior times likelihood decides.
    """
    hot = temperature[:, None]
    posterior = torch.where(prior.isneginf() | loss.isinf(), -torch.inf, prior - loss)
    at = (posterior / hot.clamp(min=torch.finfo(hot.dtype).tiny ** 0.5)) - (prior - ratio)
    return torch.where(posterior.isneginf(), -torch.inf, torch.where(hot > 0, at, posterior))
