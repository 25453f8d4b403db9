"""Gumbel perturbations that would have made a given draw."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from latentsearch.noise import Noise


def perturbed_given(logits: Tensor, z: Tensor, noise: Noise) -> Tensor:
    r"""Perturbed logits, conditioned on z being their arg-max; differentiable in the logits, in float32 at least.

    The largest of all is a Gumbel variable at the logits' log-sum-exp, and the others are Gumbel
    variables cut off there [Maddison, Tarlow and Minka, *A\* Sampling*, 2014; Tucker et al.,
    *REBAR*, 2017, appendix].

    Args:
        logits: ``(N, *S, K)``.
        z: ``(N, *S)`` int64.
        noise: N rows.
    """
    logits = logits.to(torch.promote_types(logits.dtype, torch.float32))
    log_exponential = (-noise.uniform(*logits.shape[1:], dtype=logits.dtype).log()).log()
    # The draw's own exponential variable makes the largest; K-1 others make the rest.
    largest = logits.logsumexp(-1, keepdim=True) - log_exponential.gather(-1, z[..., None])
    # In logarithms all the way: a code that is e^-44 as likely as the best is common once an encoder is sure.
    rest = -torch.logaddexp(log_exponential - logits, -largest)
    chosen = F.one_hot(z, logits.shape[-1]).bool()
    return largest.where(chosen, rest)
