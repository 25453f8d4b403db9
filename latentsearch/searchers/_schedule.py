"""How long a schedule is that is not told: as long as the row budget pays for."""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Callable

from latentsearch.errors import InvalidArgument
from latentsearch.objective import Objective


def affordable_steps(name: str, objective: Objective, cost: Callable[[int], int], otherwise: int) -> int:
    """The longest schedule that every held row can pay for; at least 1.

    Args:
        name: The setting that was left open, for the message.
        objective: Knows what is left of the budget.
        cost: From a number of steps to the rows that must be left for them; never falls.
        otherwise: The steps where there is no budget to go by.

    Raises:
        InvalidArgument: If the budgets differ, since one schedule serves all rows.
    """
    least, most = (float(left) for left in objective.rows_left.aminmax())
    if math.isinf(least):
        return otherwise
    if least < most:
        raise InvalidArgument(
            name,
            given=f"None, with budgets from {least:g} to {most:g} rows",
            wanted="one budget for all problems, to which the schedule can be fitted",
            mend="say how many steps, or search problems of different budgets one by one",
        )
    return max(bisect_right(range(1, int(least) + 1), least, key=cost), 1)
