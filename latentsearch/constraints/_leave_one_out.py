"""What a prior says of every code at every position, given the others."""

from __future__ import annotations

import torch
from torch import Tensor

from latentsearch.protocols import ConditionalPrior

PASSES = 2


def leave_one_out(prior: ConditionalPrior, z: Tensor) -> Tensor:
    """``(N, *S, K)``: log p(z_p = j | the others), about, in two passes.

    Exactly that would take a pass a position. Here a pass tells of one colour of a chequerboard given the other, so
    that all direct neighbours are known.

    Args:
        prior: What is asked.
        z: ``(N, *S)`` hard grids.
    """
    axes = torch.meshgrid(*(torch.arange(side, device=z.device) for side in z.shape[1:]), indexing="ij")
    colour = (torch.stack(axes).sum(0) % PASSES).expand_as(z)
    first, second = (prior.conditionals(z, colour != own) for own in range(PASSES))
    return torch.where((colour == 0)[..., None], first, second)
