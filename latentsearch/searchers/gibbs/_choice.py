"""The choice among candidates: importance weights of draws from a proposal."""

from __future__ import annotations

import torch
from torch import Tensor


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
