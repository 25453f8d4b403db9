"""A goal on grids of codes as a posterior: a prior that can propose, and what should come out, in nats."""

from __future__ import annotations

from latentsearch.errors import InvalidArgument, Unsupported
from latentsearch.objective import Objective
from latentsearch.problem import Problem
from latentsearch.protocols import ConditionalPrior


def check_grid_posterior(what: str, problem: Problem) -> None:
    """Raise unless a problem is such a posterior.

    Args:
        what: Who asks, for the message.
        problem: The problem.
    """
    goal = problem.goal
    if goal.prior is None and any(term.priors for term in goal.constraints):
        hint = "one prior can be made of several: fit it to data of both kinds"
        raise Unsupported(what, got="terms of several priors", expected="one prior to draw from", hint=hint)
    if not isinstance(problem.prior, ConditionalPrior):
        raise Unsupported(
            what,
            got=f"a {type(problem.prior).__name__}, which cannot say what goes with some codes",
            expected="a ConditionalPrior",
            hint="ls.fit_prior(generator, images) trains one; for a prior that only has log_prob, "
            "AutoSearch and LangevinSearch take it as a term",
        )
    if not goal.likelihood.terms:
        hint = "prior.sample(noise) draws from a prior alone"
        raise Unsupported(what, got="a prior and nothing else", expected="a term beside it", hint=hint)
    weighed = goal.prior_weight != 1
    for weight, term in goal.likelihood.terms:
        if not (term.in_nats or weighed or weight != 1):
            raise InvalidArgument(
                term.name,
                got="a mean, beside a prior in nats that would outweigh it",
                expected="a likelihood in nats",
                hint=f"write {term.name}(..., noise='decoder'), or noise=0.05 for a standard deviation; a distance "
                f"that has none is weighed, 100 * {term.name}(...)",
            )
    if goal.prior_weight <= 0:
        got = f"a prior of weight {goal.prior_weight:g}"
        raise Unsupported(what, got=got, expected="a positive weight, 1 for a posterior")


def likelihood_of(objective: Objective) -> Objective:
    """The goal without its prior, in units of the prior's weight; at the same expense."""
    goal = objective.per_problem
    return objective.scoring(goal.likelihood.times(1 / goal.prior_weight))
