"""What is to be expected of grids of which a part is revealed, and from what their next codes are drawn."""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor

_PLAIN = 0.1  # share of the codes that come from the prior alone


class Outlook(NamedTuple):
    """What is to come of grids of which a part is revealed.

    Attributes:
        loss: ``(Q,)``, about minus the log of the likelihood that is expected.
        rises: ``(Q, P, K)``, about how far it rises with each code at a position.
        shown: ``(Q, P)``, how much the outputs show of a position: the variance of the slopes of its codes.
    """

    loss: Tensor
    rises: Tensor
    shown: Tensor


def outlook(loss: Tensor, gradient: Tensor, shares: Tensor, trust: float | None) -> Outlook:
    r"""The likelihood of grids that are open in part, from the loss at their expected embeddings and its gradient.

    Where L is half the square of one residual, which codes change by slopes s, it becomes $L (1 + s / 2L)^2$. Open
    positions spread the residual, and if they do so as independent normals, with $V = \sum_p V_p$ the variance of their
    slopes under the prior,

    $$-\log \mathbb{E}[e^{-L}] = \frac{L}{1 + V / 2L} + \frac12 \log(1 + V / 2L).$$

    So a measurement says little as long as much that it shows is open. A position takes its share $L V_p / V$ of the
    loss: with code j it rises by $\eta (s + s^2 V / 4 L V_p)$. The trust $\eta$ is $1 / (1 + V / 2L)$ as above; where
    many residuals each show a few positions only, that is too little, and it is given.

    Args:
        loss: ``(Q,)``, L; where it is not above 0 there is no second order.
        gradient: ``(Q, P, K)``, with respect to the shares of the codes.
        shares: ``(Q, P, K)``, of the codes under the prior.
        trust: How much of both counts; None for as much as the spread leaves.
    """
    slope = gradient - (shares * gradient).sum(-1, keepdim=True)
    shown = (shares * slope.square()).sum(-1)
    tiny = torch.finfo(shown.dtype).tiny  # losses may be wider than gradients
    # The spread is that of the residual, in its own unit.
    spread = torch.where(loss > 0, shown.sum(-1) / (2 * loss).clamp(min=tiny), 0)
    counts = 1 / (1 + spread) if trust is None else torch.full_like(loss, trust)
    # An infinite loss that does not count at all would be no number.
    expected = counts * loss.clamp(max=torch.finfo(loss.dtype).max) + (0.5 * spread.log1p() if trust is None else 0)
    # Where one code is certain, nothing is shown and nothing can rise.
    slope = slope.masked_fill(shown[..., None] == 0, 0)
    share = (spread[:, None] / (2 * shown).clamp(min=tiny)).clamp(max=torch.finfo(shown.dtype).max)
    second = slope.square() * share[..., None]
    return Outlook(expected, counts[:, None, None] * (slope + second), shown)


def twisted(prior: Tensor, rise: Tensor) -> Tensor:
    """``(..., K)`` log-probabilities: the prior and a rise of the loss, and a share of the prior alone.

    Where the rise is wrong, a code that it rules out would be drawn next to never, and then weigh next to everything:
    with a share of the prior no weight is above ``1 / _PLAIN`` a position.
    """
    guided = (prior - rise).log_softmax(-1)
    return torch.logaddexp(guided + math.log1p(-_PLAIN), prior + math.log(_PLAIN))
