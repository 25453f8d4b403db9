"""What is searched for, in what: everything about a search but the method and its limits."""

from __future__ import annotations

from dataclasses import dataclass, replace

from torch import Tensor

from latentsearch.goal import Goal
from latentsearch.protocols import CalibratedPrior, Generator, Prior


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

    @classmethod
    def of(cls, generator: Generator, goal: Goal, init: Tensor | None, seeds: tuple[int, ...]) -> Problem:
        """The problem, with the noise level that stands for the decoder's own error as a number where it is known."""
        problem = cls(generator, goal, init, seeds)
        for prior in (problem.prior, generator.prior):
            if isinstance(prior, CalibratedPrior) and prior.residuals.numel():
                return replace(problem, goal=goal.calibrated(prior.residuals))
        return problem

    @property
    def prior(self) -> Prior:
        """What searches draw from: the prior that the goal names, or else the generator's."""
        own: Prior | None = self.goal.goal.prior
        return self.generator.prior if own is None else own
