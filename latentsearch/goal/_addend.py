"""The algebra: what may be added, weighed, and held to a threshold."""

from __future__ import annotations

from abc import ABC, abstractmethod
from numbers import Real
from typing import TYPE_CHECKING

from torch.distributions import Distribution

from latentsearch.errors import InvalidArgument

if TYPE_CHECKING:
    from latentsearch.goal.goal import Goal


class Addend(ABC):
    """A constraint, a limit, or a goal made of these: ``a + b``, ``2 * a`` and ``a.below(t)`` are goals."""

    @property
    @abstractmethod
    def goal(self) -> Goal:
        """This as a goal."""

    def below(self, threshold: float) -> Goal:
        """The same loss, satisfied where it is at most ``threshold``."""
        return self.goal.with_threshold(threshold)

    def subject_to(self, *requirements: Addend) -> Goal:
        """This loss, to be as low as it can be where other constraints are satisfied.

        A search goes on after the first row that satisfies them, and its answer is the one of least loss among those
        that do. [AugmentedLagrangian][latentsearch.AugmentedLagrangian] makes any search do so, and
        [search][latentsearch.search] chooses it.

        Args:
            *requirements: Constraints or goals with a threshold, ``constraint.below(t)``. Their losses do not count.

        Raises:
            InvalidArgument: If one has no threshold.

        Example:
            >>> import torch
            >>> import latentsearch as ls
            >>> bright = ls.Satisfies(lambda x: 1 - x.mean((1, 2, 3)), name="bright").below(0.5)
            >>> ls.Near(torch.zeros(1, 8)).subject_to(bright)
            Near subject to bright <= 0.5
        """
        goal = self.goal
        for requirement in requirements:
            goal = goal.requiring(_as_goal(requirement))
        return goal

    def __add__(self, other: object) -> Goal:
        if isinstance(other, Addend):
            return self.goal.plus(other.goal)
        _refuse_prior(other)
        if callable(other):
            raise InvalidArgument(
                "a + b", got="a bare function", expected="a Constraint", hint="wrap the function: Satisfies(function)"
            )
        return NotImplemented

    def __radd__(self, other: object) -> Goal:
        _refuse_prior(other)
        # sum([a, b]) starts from 0.
        return self.goal if other == 0 and isinstance(other, int) else NotImplemented

    def __mul__(self, weight: object) -> Goal:
        return self.goal.times(float(weight)) if isinstance(weight, Real) else NotImplemented

    __rmul__ = __mul__


def _as_goal(requirement: object) -> Goal:
    if isinstance(requirement, Addend):
        return requirement.goal
    if isinstance(requirement, type):
        got, hint = f"the class {requirement.__name__}", f"make one: {requirement.__name__}(...)"
    else:
        got = type(requirement).__name__
        hint = "wrap the function: Satisfies(function).below(0.1)" if callable(requirement) else ""
    raise InvalidArgument("subject_to", got=got, expected="a Constraint or a Goal", hint=hint)


def _refuse_prior(other: object) -> None:
    """Raise if a distribution is added as it is."""
    if callable(getattr(other, "log_prob", None)):
        prior = "ls.priors.DistributionPrior(distribution)" if isinstance(other, Distribution) else "prior"
        hint = f"its log-probability is a term: ls.LogPrior({prior})"
        raise InvalidArgument("a + b", got=type(other).__name__, expected="a Constraint", hint=hint)
