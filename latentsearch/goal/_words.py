"""A goal as one would write it down."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from latentsearch.goal.goal import Goal


def in_words(goal: Goal) -> str:
    """Its terms, weights, limit and thresholds."""

    def summed(weights: Iterable[float]) -> str:
        parts = zip(weights, goal.constraints, strict=True)
        return " + ".join(repr(c) if weight == 1 else f"{weight:g} * {c!r}" for weight, c in parts if weight)

    text = summed(goal.weights)
    thresholds = list(goal.thresholds)
    if not goal.required and len(thresholds) == 1 and thresholds[0].weights == goal.weights:
        text = f"({text}).below({thresholds.pop().most:g})"
    if goal.limited:
        text = f"{text} + {goal.limit!r}" if text else repr(goal.limit)
    where = " and ".join(f"{summed(weights)} <= {most:g}" for weights, most in thresholds)
    if goal.required:
        return f"{text or 'nothing'} subject to {where}"
    return f"{text} where {where}" if where else text
