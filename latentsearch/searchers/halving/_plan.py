"""How many draws, starts and steps a budget is good for."""

from __future__ import annotations

from typing import NamedTuple

# Measured by examples/benchmarks/continuous.py: with fewer draws match and inpaint end in worse minima, with more the
# last member gets less far.
_EACH = 9  # evaluations of the budget for each draw
_MOST = 64  # draws
_FOLLOWED = 4  # one in so many draws is a start
_EARLY = (0.25, 0.75)  # least and largest share of the budget for the rungs before the last one
_CONVERGES = 25  # evaluations for each element of a latent in which L-BFGS converges


class Rung(NamedTuple):
    """Members that are followed side by side, and for how many steps; the last one has no end."""

    members: int
    steps: int


class Plan(NamedTuple):
    """Draws are scored, the best of them are starts, and of these fewer and fewer go on.

    Attributes:
        draws: From the prior, a value each.
        rungs: A value with its gradient for every member of every step; the last one has one member.
    """

    draws: int
    rungs: tuple[Rung, ...]

    def members(self, step: int) -> int:
        """How many are alive in a step; the step before the first one scores the draws."""
        for rung in self.rungs:
            if step < rung.steps:
                return rung.members
            step -= rung.steps
        return self.rungs[-1].members


def planned(budget: int, elements: int | None, draws: int | None, starts: int | None, reduction: int) -> Plan:
    """The plan for a budget of evaluations a row, which it never exceeds.

    Args:
        budget: At least 0.
        elements: Of a latent; None where that does not tell how long the last member takes.
        draws: How many, if the user says so.
        starts: How many, if the user says so.
        reduction: One in how many goes on to the next rung.
    """
    if draws is None:
        draws = max(1, starts or 1, min(_MOST, budget // _EACH))
    if starts is None:
        starts = max(1, draws // _FOLLOWED)
    rungs, members = [], starts
    while members > 1:
        rungs.append(members)
        members //= reduction
    # What the last member does not need is better spent on telling which member that should be.
    least, most = _EARLY
    spare = 0 if elements is None else 1 - _CONVERGES * elements / max(budget, 1)
    share = min(max(least, spare), most)
    each = (budget - draws) * share / max(len(rungs), 1)
    steps = [max(int(each) // (2 * members), 1) for members in rungs]
    return Plan(draws, (*map(Rung, rungs, steps), Rung(1, 0)))


def most_draws(draws: int | None, starts: int | None) -> int:
    """The most latents that the first step may score."""
    return max(_MOST if draws is None else draws, 2 * (starts or 1))
