"""The generator's prior as a method asks it in mid-search: what its passes cost is charged."""

from __future__ import annotations

import math
from numbers import Real

from torch import Tensor

from latentsearch.errors import InvalidArgument, Unsupported
from latentsearch.noise import Noise
from latentsearch.objective.ledger import Ledger
from latentsearch.protocols import ConditionalPrior, Generator, Prior


def cost_of_prior(prior: Prior) -> float:
    """The cost of one row of a prior, as a share of a decode; 0 for a prior without a cost.

    Rounded up to a binary fraction, of which sums are exact in any order.
    """
    cost = getattr(prior, "cost", 0.0)
    if not isinstance(cost, Real) or not math.isfinite(cost) or cost < 0:
        expected = "the cost of one of its rows as a share of a decode, 0 or more"
        raise InvalidArgument(f"{type(prior).__name__}.cost", got=repr(cost), expected=expected)
    return math.ceil(float(cost) * (1 << 20)) / (1 << 20)


class ChargedPrior:
    """The one entry point through which methods draw from the generator's prior, or ask it for conditionals.

    Args:
        generator: Whose prior it is.
        ledger: Who is charged.

    Attributes:
        cost: Of each row asked for, in evaluations.
    """

    def __init__(self, generator: Generator, ledger: Ledger) -> None:
        self._prior, self._ledger = generator.prior, ledger
        self.cost = cost_of_prior(generator.prior)

    @property
    def conditional(self) -> bool:
        """Whether conditionals say more than draws.

        Where they cost nothing, codes are independent, and draws say the same.
        """
        return isinstance(self._prior, ConditionalPrior) and self.cost > 0

    def sample(self, noise: Noise, row: Tensor | None = None) -> Tensor:
        """Hard latents, one a row of noise.

        Args:
            noise: N rows.
            row: ``(N,)`` which held row each draw serves; None where there is exactly one for each.
        """
        self._charge(row)
        return self._prior.sample(noise)

    def conditionals(self, z: Tensor, row: Tensor | None = None, known: Tensor | None = None) -> Tensor:
        """Log-probabilities ``(N, *S, K)``, as of [ConditionalPrior][latentsearch.ConditionalPrior].

        Args:
            z: ``(N, *S)`` hard grids.
            row: ``(N,)`` which held row each z serves; None where there is exactly one for each.
            known: ``(N, *S)`` bool, the positions to go by; None for all.
        """
        prior = self._conditional()
        self._charge(row)
        return prior.conditionals(z, known)

    def resample(self, z: Tensor, mask: Tensor, noise: Noise, row: Tensor | None = None) -> Tensor:
        """Hard grids ``(N, *S)`` with the positions in ``mask`` drawn given the rest."""
        prior = self._conditional()
        self._charge(row)
        return prior.resample(z, mask, noise)

    def _conditional(self) -> ConditionalPrior:
        if not isinstance(self._prior, ConditionalPrior):
            got = type(self._prior).__name__
            raise Unsupported("generator.prior", got=got, expected="a ConditionalPrior, which has conditionals")
        return self._prior

    def _charge(self, row: Tensor | None) -> None:
        if self.cost:
            self._ledger.charge(row, self.cost)
