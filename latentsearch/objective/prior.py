"""A prior as a method asks it in mid-search: what its passes cost is charged."""

from __future__ import annotations

import math
from functools import cached_property
from numbers import Real

import torch
from torch import Tensor

from latentsearch._codes import codes_drawn
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


def draws_of(prior: Prior, codes: EmbeddingView | None, noise: Noise) -> Tensor:
    """Hard latents, one a row of noise, given the codes that are fixed.

    Of codes that are allowed besides, all are drawn where positions are independent; else a draw may hold others.

    Args:
        prior: What to draw from.
        codes: The generator, which may have codes that stand for others; None to draw from the prior as it is.
        noise: N rows.
    """
    if not len(noise) or codes is None or codes.own is None or not isinstance(prior, ConditionalPrior):
        return prior.sample(noise)
    filled = codes.canonical(torch.zeros(len(noise), *prior.space.shape, dtype=torch.int64, device=noise.keys.device))
    every = torch.ones_like(filled, dtype=torch.bool)
    if int(prior.passes(every[:1])) <= 1:
        logits = codes.without_others(prior.conditionals(filled[:1], ~every[:1]), -torch.inf)[0]
        return codes_drawn(logits, noise)
    return prior.sample(noise) if codes.fixed is None else prior.resample(filled, every & ~codes.fixed, noise)


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
        self.cost = cost_of_pass(prior)

    @cached_property
    def _draw(self) -> float:
        """What a draw costs."""
        if self.fixed is None or not isinstance(self.prior, ConditionalPrior):
            return cost_of_draw(self.prior)
        return self.cost * int(self.prior.passes(~self.fixed[None])[0])

    @property
    def conditional(self) -> bool:
        """Whether conditionals say more than draws.

        Where they cost nothing, codes are independent, and draws say the same.
        """
        return isinstance(self.prior, ConditionalPrior) and self.cost > 0

    def sample(self, noise: Noise, row: Tensor | None = None) -> Tensor:
        """Hard latents, one a row of noise, with fixed codes where they are.

        Of the codes that are allowed besides, all are drawn where a pass costs nothing; else a draw may hold others.

        Args:
            noise: N rows.
            row: ``(N,)`` which held row each draw serves; None where there is exactly one for each.
        """
        self._ledger.charge(row, self._draw)
        return draws_of(self.prior, self._codes, noise)

    def conditionals(self, z: Tensor, known: Tensor, row: Tensor | None = None) -> Tensor:
        """Log-probabilities ``(N, *S, K)``, as of [ConditionalPrior][latentsearch.ConditionalPrior]; one pass each.

        They are given that no code stands for another. Fixed codes count as known.

        Args:
            z: ``(N, *S)`` hard grids.
            known: ``(N, *S)`` bool, the positions to go by.
            row: ``(N,)`` which held row each z serves; None where there is exactly one for each.
        """
        return self.conditionals_and_mass(z, known, row)[0]

    def conditionals_and_mass(self, z: Tensor, known: Tensor, row: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Conditionals, and ``(N, *S)``: the log of how likely the prior itself holds an allowed code there.

        Codes that are drawn part after part from conditionals are drawn too often where the mass is small: their
        probability under the prior is the product of both.
        """
        self._ledger.charge(row, self.cost)
        return self._allowed(z, known)

    @cached_property
    def marginals(self) -> Tensor:
        """``(*S, K)``: log-probabilities of the codes where nothing else is known; a pass, not charged to anyone."""
        nothing = torch.zeros(1, *self.prior.space.shape, dtype=torch.int64, device=self._ledger.held.device)
        return self._allowed(nothing, nothing.bool())[0][0]

    def resample(self, z: Tensor, mask: Tensor, noise: Noise, row: Tensor | None = None) -> Tensor:
        """Hard grids ``(N, *S)`` with the positions in ``mask`` drawn given the rest."""
        prior = self._conditional()
        mask = mask if self.fixed is None else mask & ~self.fixed
        self._ledger.charge(row, self.cost * prior.passes(mask).double())
        return self._canonical(prior.resample(self._canonical(z), mask, noise))

    def _allowed(self, z: Tensor, known: Tensor) -> tuple[Tensor, Tensor]:
        known = known if self.fixed is None else known | self.fixed
        found = self._conditional().conditionals(self._canonical(z), known)
        if self._codes is None or self._codes.own is None:
            return found, found.new_zeros(()).expand(z.shape)
        kept = self._codes.without_others(found, -torch.inf)
        return kept.log_softmax(-1), kept.logsumexp(-1)

    @property
    def free(self) -> frozenset[int]:
        """The positions of the flattened grid whose code is not fixed."""
        return frozenset(range(math.prod(self.prior.space.shape))) if self._codes is None else self._codes.free

    @property
    def fixed(self) -> Tensor | None:
        """``(*S,)`` bool, the positions whose code is fixed; None where none is."""
        return None if self._codes is None else self._codes.fixed

    def _canonical(self, z: Tensor) -> Tensor:
        return z if self._codes is None else self._codes.canonical(z)

    def _conditional(self) -> ConditionalPrior:
        if not isinstance(self.prior, ConditionalPrior):
            got = type(self.prior).__name__
            raise Unsupported("the prior", got=got, expected="a ConditionalPrior, which has conditionals")
        return self.prior
