"""What conditionals say of positions that are known."""

from __future__ import annotations

import torch
from torch import Tensor


def where_known(z: Tensor, known: Tensor, logits: Tensor) -> Tensor:
    """Log-probabilities ``(N, *S, K)``: a grid's own code for certain where it is known, elsewhere ``logits``.

    Args:
        z: ``(N, *S)`` hard grids.
        known: ``(N, *S)`` bool.
        logits: ``(*S, K)`` or ``(N, *S, K)``.
    """
    logits = logits.to(z.device)
    # Not one_hot, which looks at the values first and makes the host wait.
    codes = torch.arange(logits.shape[-1], device=z.device)
    own = torch.where(z[..., None] == codes, 0.0, -torch.inf).to(logits.dtype)
    return torch.where(known[..., None], own, logits)
