"""A prior as a method asks it in mid-search: what its passes cost is charged."""

from __future__ import annotations

import math
from functools import cached_property
from numbers import Real

import torch
from torch import Tensor

from latentsearch.errors import InvalidArgument, Unsupported
from latentsearch.noise import Noise
from latentsearch.objective.embedding import EmbeddingView
from latentsearch.objective.ledger import Ledger
from latentsearch.protocols import ConditionalPrior, Prior


def cost_of_pass(prior: Prior) -> float:
    """What a prior's ``cost`` is: that of a pass of its network, or of a draw; 0 for a prior that has none.

    Rounded up to a binary fraction, of which sums are exact in any order.
    """
    cost = getattr(prior, "cost", 0.0)
    if not isinstance(cost, Real) or not math.isfinite(cost) or cost < 0:
        expected = "what one of its passes costs as a share of a decode, 0 or more"
        raise InvalidArgument(f"{type(prior).__name__}.cost", got=repr(cost), expected=expected)
    return math.ceil(float(cost) * (1 << 20)) / (1 << 20)


def cost_of_draw(prior: Prior) -> float:
    """The cost of one row of ``prior.sample``, in evaluations."""
    cost = cost_of_pass(prior)
    if not cost or not isinstance(prior, ConditionalPrior):
        return cost
    return cost * int(prior.passes(torch.ones(1, *prior.space.shape, dtype=torch.bool))[0])


_CHEAP = 8.0  # evaluations


def draws_are_cheap(prior: Prior) -> bool:
    """Whether a draw costs no more than a few decodes; some priors take a pass a position."""
    return cost_of_draw(prior) <= _CHEAP


class ChargedPrior:
    """The one entry point through which methods draw from a prior, or ask it for conditionals.

    Args:
        prior: The prior.
        ledger: Who is charged.
        codes: The generator, which may have codes that stand for others: none of these is likely.

    Attributes:
        prior: The prior itself, for what is free.
        cost: Of each pass, in evaluations.
    """

    def __init__(self, prior: Prior, ledger: Ledger, codes: EmbeddingView | None = None) -> None:
        self.prior, self._ledger, self._codes = prior, ledger, codes
        self.cost, self._draw = cost_of_pass(prior), cost_of_draw(prior)

    @property
    def conditional(self) -> bool:
        """Whether conditionals say more than draws.

        Where they cost nothing, codes are independent, and draws say the same.
        """
        return isinstance(self.prior, ConditionalPrior) and self.cost > 0

    def sample(self, noise: Noise, row: Tensor | None = None) -> Tensor:
        """Hard latents, one a row of noise.

        Args:
            noise: N rows.
            row: ``(N,)`` which held row each draw serves; None where there is exactly one for each.
        """
        self._ledger.charge(row, self._draw)
        return self.prior.sample(noise)

    def conditionals(self, z: Tensor, known: Tensor, row: Tensor | None = None) -> Tensor:
        """Log-probabilities ``(N, *S, K)``, as of [ConditionalPrior][latentsearch.ConditionalPrior]; one pass each.

        Args:
            z: ``(N, *S)`` hard grids.
            known: ``(N, *S)`` bool, the positions to go by.
            row: ``(N,)`` which held row each z serves; None where there is exactly one for each.
        """
        self._ledger.charge(row, self.cost)
        return self._allowed(z, known)

    @cached_property
    def marginals(self) -> Tensor:
        """``(*S, K)``: log-probabilities of the codes where nothing is known; one pass, not charged to anyone."""
        nothing = torch.zeros(1, *self.prior.space.shape, dtype=torch.int64, device=self._ledger.held.device)
        return self._allowed(nothing, nothing.bool())[0]

    def resample(self, z: Tensor, mask: Tensor, noise: Noise, row: Tensor | None = None) -> Tensor:
        """Hard grids ``(N, *S)`` with the positions in ``mask`` drawn given the rest."""
        prior = self._conditional()
        self._ledger.charge(row, self.cost * prior.passes(mask).double())
        return self._canonical(prior.resample(self._canonical(z), mask, noise))

    def _allowed(self, z: Tensor, known: Tensor) -> Tensor:
        """Conditionals given that no code stands for another."""
        found = self._conditional().conditionals(self._canonical(z), known)
        own = None if self._codes is None else self._codes.own
        return found if own is None else found.masked_fill(~own, -torch.inf).log_softmax(-1)

    def _canonical(self, z: Tensor) -> Tensor:
        return z if self._codes is None else self._codes.canonical(z)

    def _conditional(self) -> ConditionalPrior:
        if not isinstance(self.prior, ConditionalPrior):
            got = type(self.prior).__name__
            raise Unsupported("the prior", got=got, expected="a ConditionalPrior, which has conditionals")
        return self.prior
