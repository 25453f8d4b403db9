"""What is searched for, in what: everything about a search but the method and its limits."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from latentsearch.goal import Goal
from latentsearch.protocols import Generator, Prior


@dataclass(frozen=True, eq=False)
class Problem:
    """A generator, what should hold of its outputs, and where B searches for that begin.

    Attributes:
        generator: A frozen decoder with its latent space.
        goal: What should come out, for B problems.
        init: Where to start, ``(B, *S)``, ``(B, R, *S)`` or ``(1, *S)``; None for draws from the prior.
        seeds: One for each of the B problems.
    """

    generator: Generator
    goal: Goal
    init: Tensor | None
    seeds: tuple[int, ...]

    @property
    def prior(self) -> Prior:
        """What searches draw from: the prior that the goal names, or else the generator's."""
        own: Prior | None = self.goal.goal.prior
        return self.generator.prior if own is None else own
