"""Straight-through descent that lets one position of the grid change at a time."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from latentsearch.searchers.straight_through._code_descent import CodeDescent


@dataclass(frozen=True)
class SinglePositionSearch(CodeDescent):
    r"""Straight-through search that moves only the position with the largest gradient norm.

    Algorithm 3 of *Exploring Test Time Optimization for Discrete Neural Representation Learners*
    (appendix A.4); the arg-max is per row, and all else is as in
    [StraightThroughSearch][latentsearch.StraightThroughSearch].

    Attributes:
        lr: $\alpha$, as in StraightThroughSearch; None for steps that set themselves.
        patience: $\lambda$, the steps that may pass without a code changing.
        on_repeat: ``"stop"`` as published, ``"continue"``, or ``"mask"``: grids seen before are passed by.
        snap: Put e back on the codebook after every step: another dynamic, not the published one.
        restarts: Independent starts a problem.

    Example:
        >>> import latentsearch as ls
        >>> from latentsearch.testing import toys
        >>> toy = toys.codes()
        >>> ls.SinglePositionSearch(lr=0.5).search(toy.generator, toy.constraint, seed=0).status[0].name
        'STALLED'
    """

    def _mask(self, gradient: Tensor) -> Tensor:
        flat = gradient.flatten(1, -2)
        norms = flat.square().sum(-1)
        steepest = torch.zeros_like(norms).scatter_(1, norms.argmax(1, keepdim=True), 1)
        return (flat * steepest[..., None]).view_as(gradient)
