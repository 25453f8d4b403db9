"""A row of the table from which a method is chosen."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from latentsearch._checks import in_short, misfit
from latentsearch.errors import InvalidArgument
from latentsearch.problem import Problem
from latentsearch.protocols import Searcher


@dataclass(frozen=True)
class Plan:
    """When to search how.

    Attributes:
        name: What it is, in a few words.
        applies: Whether it is for this problem and so many evaluations a problem; infinity for no limit.
        build: The searcher for these.
        evidence: The log or the page that justifies it.

    Raises:
        InvalidArgument: If ``applies`` or ``build`` is no function.

    Example:
        A plan of one's own comes before the others:

        >>> import latentsearch as ls
        >>> from latentsearch.searchers import DEFAULT_PLANS, Plan
        >>> long = Plan(
        ...     "patient edits",
        ...     applies=lambda problem, evaluations: evaluations > 1e5,
        ...     build=lambda problem, evaluations: ls.EvolutionSearch(),
        ... )
        >>> auto = ls.AutoSearch(plans=(long, *DEFAULT_PLANS))
    """

    name: str
    applies: Callable[[Problem, float], bool]
    build: Callable[[Problem, float], Searcher]
    evidence: str = ""

    def __post_init__(self) -> None:
        for name in ("applies", "build"):
            function, expected = getattr(self, name), "a function of a Problem and a number of evaluations"
            if not callable(function):
                raise InvalidArgument(f"Plan.{name}", got=in_short(function), expected=expected)
            if why := misfit(function, None, 0.0):
                raise InvalidArgument(f"Plan.{name}", got=f"a function of other arguments ({why})", expected=expected)
