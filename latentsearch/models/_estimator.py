"""The estimator of a training step."""

from __future__ import annotations

from collections.abc import Callable
from typing import cast

from latentsearch.relaxations import Estimator


def chosen(
    estimator: Estimator | Callable[[float], Estimator], schedule: Callable[[int], float], step: int
) -> Estimator:
    """The estimator itself, or what a factory makes of the schedule's number at a step."""
    # A class is a factory, though it has all that the protocol looks for.
    if isinstance(estimator, Estimator) and not isinstance(estimator, type):
        return estimator
    return cast("Callable[[float], Estimator]", estimator)(schedule(step))
