"""A goal as a posterior: what the measurement says, and what was known before."""

from __future__ import annotations

from typing import NamedTuple

from latentsearch.constraints import LogPrior
from latentsearch.errors import Unsupported
from latentsearch.goal import Goal
from latentsearch.protocols import Prior


class PosteriorParts(NamedTuple):
    """A posterior's two factors, in nats: p(z) and exp(-loss of the likelihood).

    Attributes:
        likelihood: The goal without its prior.
        prior: What latents are drawn from before anything is measured.
        stated: Whether the goal's loss has the prior in it.
    """

    likelihood: Goal
    prior: Prior
    stated: bool


def posterior_parts(what: str, goal: Goal, otherwise: Prior) -> PosteriorParts:
    """Take the prior out of a goal whose loss is -log of a posterior.

    Args:
        what: Who asks, for the message.
        goal: The terms; a [LogPrior][latentsearch.LogPrior] among them is the prior.
        otherwise: The prior where the goal has none, such as the generator's.

    Raises:
        Unsupported: If there are several priors, or one with a weight other than 1.

    Example:
        >>> import torch
        >>> import latentsearch as ls
        >>> from latentsearch.loop import posterior_parts
        >>> from latentsearch.priors import StandardNormal
        >>> goal = ls.Matches(torch.zeros(1, 4), noise=0.1) + ls.LogPrior(StandardNormal((2,)))
        >>> posterior_parts("mine", goal, StandardNormal((2,)))[:2]
        (Matches, StandardNormal(shape=(2,), dtype=torch.float32))
    """
    found = [(weight, term) for weight, term in goal.terms if isinstance(term, LogPrior)]
    if not found:
        return PosteriorParts(goal, otherwise, False)
    if len(found) > 1:
        raise Unsupported(what, got=f"{len(found)} LogPrior terms", expected="one prior at most")
    weight, term = found[0]
    if weight != 1:
        raise Unsupported(
            what,
            got=f"a LogPrior of weight {weight:g}",
            expected="weight 1, beside a likelihood in nats, such as Matches(..., noise=sigma)",
            hint="to temper, weigh the likelihood: 0.1 * Matches(..., noise=sigma) + LogPrior(prior)",
        )
    return PosteriorParts(goal.likelihood, term.prior, True)
