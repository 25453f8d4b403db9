"""What the samplers share: the posterior they draw from, and what they refuse."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from latentsearch.constraints import Sphere
from latentsearch.errors import Unsupported
from latentsearch.goal import Score
from latentsearch.loop import IterativeSearcher, PosteriorParts, posterior_parts
from latentsearch.objective import Objective
from latentsearch.problem import Problem


@dataclass(frozen=True)
class Chain(IterativeSearcher):
    """Base of the samplers that need no gradient."""

    needs_gradient: ClassVar[bool] = False
    samples: ClassVar[bool] = True

    def check(self, problem: Problem) -> None:
        super().check(problem)
        self._split(problem)
        if isinstance(problem.goal.limit, Sphere):
            raise Unsupported(
                type(self).__name__,
                got=f"the hard limit {problem.goal.limit!r}, which the prior gives no probability",
                expected="none, or a limit of some volume",
                hint="draws of the prior are near the sphere by themselves",
            )

    def _split(self, problem: Problem) -> PosteriorParts:
        return posterior_parts(type(self).__name__, problem.goal, problem.generator.prior)

    def _parts(self, objective: Objective) -> PosteriorParts:
        return posterior_parts(type(self).__name__, objective.per_problem, objective.generator.prior)


def energy(parts: PosteriorParts, score: Score, z: Tensor) -> Tensor:
    """The loss of the likelihood, as ``score.loss``: what latents ``z`` score without the prior."""
    return score.loss + parts.prior.log_prob(z) if parts.stated else score.loss
