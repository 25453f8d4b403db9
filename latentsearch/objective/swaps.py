"""Terms that know what swaps of codes make of their loss, as terms whose gradient says so."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from latentsearch.goal import Constraint, Goal, Score, Swappable

_MOST = 1e6  # nats; a swap that is impossible counts as this bad


def by_swaps(goal: Goal) -> Goal:
    """The goal with the same scores at one-hot grids, whose gradient there is what swaps make of each term."""
    if not goal.swap_cost:
        return goal
    terms = tuple(
        (weight, _BySwaps(term, term) if isinstance(term, Swappable) and term.swap_cost else term)
        for weight, term in goal.terms
    )
    return replace(goal, terms=terms)


class _BySwaps(Constraint):
    """A term at grids of one-hot vectors.

    Args:
        term: The term.
        swaps: The same, as what it can do.
    """

    def __init__(self, term: Constraint, swaps: Swappable) -> None:
        self._term, self._swaps = term, swaps
        self.reads, self.problems = term.reads, term.problems

    def __call__(self, output: Tensor, latent: Tensor) -> Score:
        z = latent.detach().argmax(-1)
        with torch.no_grad():
            score, table = self._term(output, z), self._swaps.swap_losses(z)
        # Infinite entries would be no numbers as differences, and in products with 0.
        most = min(_MOST, torch.finfo(latent.dtype).max)
        table = table.clamp(-most, most).to(latent.dtype)
        step = (table * (latent - latent.detach())).flatten(1).sum(1)
        return score._replace(loss=score.loss + step.to(score.loss.dtype))
