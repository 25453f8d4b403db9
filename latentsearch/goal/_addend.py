"""The algebra: what may be added, weighed, and held to a threshold."""

from __future__ import annotations

from abc import ABC, abstractmethod
from numbers import Real
from typing import TYPE_CHECKING

from latentsearch.goal._operands import no_addend, no_operator, no_weight

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

    # numpy would make arrays of constraints.
    __array_ufunc__ = None

    def __add__(self, other: object) -> Goal:
        if not isinstance(other, Addend):
            raise no_addend("a + b", other)
        return self.goal.plus(other.goal)

    def __radd__(self, other: object) -> Goal:
        # sum([a, b]) starts from 0.
        if type(other) is int and other == 0:
            return self.goal
        raise no_addend("a + b", other)

    def __mul__(self, weight: object) -> Goal:
        if not isinstance(weight, Real) or isinstance(weight, bool):
            raise no_weight(weight)
        return self.goal.times(float(weight))

    __rmul__ = __mul__

    def __truediv__(self, other: object) -> Goal:
        if not isinstance(other, Real) or isinstance(other, bool) or other == 0:
            raise no_weight(other)
        return self.goal.times(1 / float(other))

    # A loss that is to be high has no least value, and a search would run away with it.

    def __neg__(self) -> Goal:
        raise no_operator("-a", "-1 * a makes a loss high, where it has a bound; else say what should come out instead")

    def __sub__(self, other: object) -> Goal:
        hint = "a + -1 * b makes b high, where it has a bound; a number changes nothing, a threshold is a.below(0.1)"
        raise no_operator("-", hint)

    __rsub__ = __sub__

    def __rtruediv__(self, other: object) -> Goal:
        raise no_operator("/", "any other rule is a function: Satisfies(function)")

    def __pow__(self, other: object) -> Goal:
        raise no_operator("**", "any other rule is a function: Satisfies(function)")

    def __and__(self, other: object) -> Goal:
        raise no_operator("&", "write a + b: the sum is satisfied where both are")

    def __or__(self, other: object) -> Goal:
        raise no_operator("|", "a rule of either is a function: Satisfies(function, boolean=True)")

    def __bool__(self) -> bool:
        # `a and b` would be b.
        raise no_operator(
            "bool(a), a and b, a or b, not a",
            "write a + b for both; a rule of either is a function: Satisfies(function, boolean=True); "
            "a is None tells whether there is one",
        )

    def __lt__(self, other: object) -> Goal:
        raise no_operator("<", "a threshold is written a.below(0.1)")

    __le__ = __gt__ = __ge__ = __lt__


def _as_goal(requirement: object) -> Goal:
    if isinstance(requirement, Addend):
        return requirement.goal
    raise no_addend("subject_to", requirement)
