"""The errors for what a goal's loss is not."""

from __future__ import annotations

from typing import TYPE_CHECKING

from latentsearch.errors import Unsupported
from latentsearch.goal.capabilities import LeastSquares, Separable

if TYPE_CHECKING:
    from latentsearch.goal.goal import Goal


def not_squares(what: str, goal: Goal) -> Unsupported:
    """The error for a goal whose residuals are asked for and that has none."""
    names = ", ".join(c.name for weight, c in goal.terms if weight < 0 or not isinstance(c, LeastSquares))
    return Unsupported(
        what,
        got=f"{names}, whose loss is no sum of squares",
        expected="Matches with distance='l2', Downscales, Observed, sums and positive weights of these",
        hint="CoordinateSearch takes any loss with a gradient",
    )


def not_separable(what: str, goal: Goal, axes: int) -> Unsupported:
    """The error for a goal whose loss is asked for by cells of so many axes and that has no such map."""
    names = ", ".join(c.name for c in goal.constraints if not isinstance(c, Separable))
    return Unsupported(
        what,
        got=f"{names}, whose loss is no sum over cells" if names else f"a loss over {_axes(goal.cell_axes)} of outputs",
        expected="terms such as Matches, Downscales and MatchesTokens"
        + (f", over {_axes(axes)}, after channels or without" if axes else ""),
        hint="use CoordinateSearch, which takes any differentiable goal",
    )


def _axes(count: int) -> str:
    return f"{count} axis" if count == 1 else f"{count} axes"
