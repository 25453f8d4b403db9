"""The posterior that is drawn from: which goals are one, its likelihood, and where its chains begin."""

from __future__ import annotations

from torch import Tensor

from latentsearch.errors import InvalidArgument, Unsupported
from latentsearch.goal import Goal
from latentsearch.loop import Proposal
from latentsearch.noise import Noise
from latentsearch.objective import Objective
from latentsearch.problem import Problem
from latentsearch.protocols import ConditionalPrior
from latentsearch.searchers.gibbs._single_codes import SingleCodes
from latentsearch.searchers.relaxed import RelaxedSearch, RelaxedState


def check_posterior(name: str, problem: Problem) -> None:
    """Raise unless the goal is likelihoods in nats beside one prior that can propose."""
    if problem.goal.prior is None and any(term.priors for term in problem.goal.constraints):
        hint = "one prior can be made of several: fit it to data of both kinds"
        raise Unsupported(name, got="terms of several priors", expected="one prior to draw from", hint=hint)
    if not isinstance(problem.prior, ConditionalPrior):
        raise Unsupported(
            name,
            got=f"a {type(problem.prior).__name__}, which cannot say what goes with some codes",
            expected="a ConditionalPrior",
            hint="ls.fit_prior(generator, images) trains one; for a prior that only has log_prob, "
            "AutoSearch and LangevinSearch take it as a term",
        )
    if not problem.goal.likelihood.terms:
        hint = "prior.sample(noise) draws from a prior alone"
        raise Unsupported(name, got="a prior and nothing else", expected="a term beside it", hint=hint)
    weighed = problem.goal.prior_weight != 1
    for weight, term in problem.goal.likelihood.terms:
        if not (term.in_nats or weighed or weight != 1):
            raise InvalidArgument(
                term.name,
                got="a mean, beside a prior in nats that would outweigh it",
                expected="a likelihood in nats",
                hint=f"write {term.name}(..., noise='decoder'), or noise=0.05 for a standard deviation; a distance "
                f"that has none is weighed, 100 * {term.name}(...)",
            )
    if problem.goal.prior_weight <= 0:
        got = f"a prior of weight {problem.goal.prior_weight:g}"
        raise Unsupported(name, got=got, expected="a positive weight, 1 for a posterior")


def likelihood_of(objective: Objective) -> Objective:
    """The goal without its prior, in units of the prior's weight."""
    goal = objective.per_problem
    return objective.scoring(goal.likelihood.times(1 / goal.prior_weight))


def has_an_anchor(goal: Goal) -> bool:
    """Whether the loss can be expanded around a grid."""
    return goal.differentiable and not goal.limited


def explored(
    method: RelaxedSearch, objective: Objective, state: RelaxedState, z: Tensor, noise: Noise
) -> tuple[RelaxedState, Tensor]:
    """One step of a relaxation, beside the prior of single codes: that of grids is not made for mixtures.

    Args:
        method: The relaxation.
        objective: The goal.
        state: Of the relaxation.
        z: ``(M, *S)``, the grids found so far.
        noise: M rows.

    Returns:
        The state after it, and the grids.
    """
    likelihood = likelihood_of(objective)
    goal = likelihood.per_problem + SingleCodes(objective.prior.marginals)
    proposal: Proposal | None
    state, proposal = method.step(likelihood.scoring(goal), state, noise)
    return state, z if proposal is None else proposal.latent
