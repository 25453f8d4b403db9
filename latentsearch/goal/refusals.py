"""The errors for what a goal's loss is not."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from latentsearch.errors import InvalidArgument, Unsupported, describe
from latentsearch.goal.capabilities import LeastSquares, Separable
from latentsearch.goal.score import Score

if TYPE_CHECKING:
    from latentsearch.goal.goal import Goal


def require_score(what: str, score: object, rows: int) -> None:
    """Raise unless a term has given a score with one value a row: what broadcasts would score rows by each other."""
    if not isinstance(score, Score):
        got = describe(score) if isinstance(score, Tensor) else type(score).__name__
        raise InvalidArgument(f"{what}'s result", got=got, expected="a Score", hint="write return ls.Score(loss)")
    _require_values(f"{what}'s loss", score.loss, rows, "floating", lambda loss: loss.is_floating_point())
    if score.satisfied is not None:
        _require_values(f"{what}'s satisfied", score.satisfied, rows, "bool", lambda passed: passed.dtype == torch.bool)


def _require_values(what: str, values: object, rows: int, kind: str, good: Callable[[Tensor], bool]) -> None:
    if not isinstance(values, Tensor) or not good(values) or tuple(values.shape) != (rows,):
        raise InvalidArgument(
            what,
            got=describe(values) if isinstance(values, Tensor) else type(values).__name__,
            expected=f"one {kind} value a row, shape ({rows},)",
            hint="data of several problems are named in tensors, and problems says how many there are"
            if isinstance(values, Tensor) and values.ndim == 1 and good(values)
            else "reduce over all dimensions but the first, for instance .flatten(1).mean(1)",
        )


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
