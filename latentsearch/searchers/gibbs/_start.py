"""Where chains begin."""

from __future__ import annotations

from torch import Tensor

from latentsearch.goal import Goal
from latentsearch.loop import Proposal
from latentsearch.noise import Noise
from latentsearch.objective import Objective
from latentsearch.searchers._grid_posterior import likelihood_of
from latentsearch.searchers.gibbs._single_codes import SingleCodes
from latentsearch.searchers.relaxed import RelaxedSearch, RelaxedState


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
