"""What the samplers share: the posterior they draw from, and what they refuse."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from latentsearch.constraints import Sphere
from latentsearch.errors import Unsupported
from latentsearch.goal import Goal, Score
from latentsearch.loop import IterativeSearcher
from latentsearch.objective import Objective
from latentsearch.problem import Problem


@dataclass(frozen=True)
class Chain(IterativeSearcher):
    """Base of the samplers that need no gradient."""

    needs_gradient: ClassVar[bool] = False
    samples: ClassVar[bool] = True

    def check(self, problem: Problem) -> None:
        super().check(problem)
        _check_prior(type(self).__name__, problem.goal)
        if isinstance(problem.goal.limit, Sphere):
            raise Unsupported(
                type(self).__name__,
                got=f"the hard limit {problem.goal.limit!r}, which the prior gives no probability",
                expected="none, or a limit of some volume",
                hint="draws of the prior are near the sphere by themselves",
            )


def _check_prior(name: str, goal: Goal) -> None:
    """Raise unless -loss is the logarithm of a posterior, up to a constant: one prior at most, of weight 1."""
    if goal.prior is None and any(term.priors for term in goal.constraints):
        raise Unsupported(name, got="terms of several priors", expected="one prior at most")
    if goal.prior_weight != 1:
        raise Unsupported(
            name,
            got=f"a prior of weight {goal.prior_weight:g}",
            expected="weight 1, beside a likelihood in nats, such as Matches(..., noise=sigma)",
            hint="to temper, weigh the likelihood: 0.1 * Matches(..., noise=sigma) + LogPrior(prior)",
        )


def energy(objective: Objective, score: Score, z: Tensor) -> Tensor:
    """The loss of the likelihood, as ``score.loss``: what latents ``z`` score without the prior."""
    prior = objective.per_problem.prior
    return score.loss if prior is None else score.loss + prior.log_prob(z)
