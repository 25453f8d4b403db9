"""In which order sweeps and refills follow each other."""

from __future__ import annotations

from typing import NamedTuple

from latentsearch.searchers.gibbs._refill import STEPS


class Turn(NamedTuple):
    """What a step is.

    Attributes:
        sweep: Sweeps that are behind, the present one not included.
        block: Of the sweep; None for a step of a refill.
        step: Of the refill.
    """

    sweep: int
    block: int | None
    step: int


def turn(number: int, blocks: int, refills: int) -> Turn:
    """The step of a number: a sweep, a refill, and so on until there were so many refills, then sweeps alone.

    The host can tell: it does not depend on how many sweeps a row's budget pays for.
    """
    cycle = blocks + STEPS + 1  # the last draws what the descent has found
    if number < refills * cycle:
        sweep, place = divmod(number, cycle)
        return Turn(sweep, place, 0) if place < blocks else Turn(sweep + 1, None, place - blocks)
    sweep, place = divmod(number - refills * cycle, blocks)
    return Turn(refills + sweep, place, 0)
