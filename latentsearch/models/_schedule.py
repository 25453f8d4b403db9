"""Schedules of a model's estimator, looked over."""

from __future__ import annotations

from torch import Tensor

from latentsearch._checks import in_short, is_number, require_function
from latentsearch.errors import InvalidArgument


def first_number(name: str, schedule: object) -> float | Tensor:
    """What a schedule says of the first training step.

    Raises:
        InvalidArgument: If it is no function of the step, or does not give a number.
    """
    expected = "a function of the step, such as Annealed()"
    require_function(name, schedule, expected)
    if isinstance(schedule, type):
        raise InvalidArgument(name, got=in_short(schedule), expected=expected, hint=f"write {schedule.__name__}()")
    number = schedule(0)  # type: ignore[operator]
    if not isinstance(number, Tensor) and not is_number(number):
        got = f"a function that gives {in_short(number)}"
        raise InvalidArgument(name, got=got, expected=f"{expected}, that gives a number")
    return number
