"""Stages on codes: a relaxation finds a basin, swaps find its local optimum, and others spend what is left."""

from __future__ import annotations

import math
from dataclasses import replace
from functools import partial

import torch

from latentsearch.problem import Problem
from latentsearch.protocols import Searcher
from latentsearch.searchers.relaxed import RelaxedSearch
from latentsearch.searchers.stages import Stage, Then
from latentsearch.searchers.swaps import ColouredSearch, CoordinateSearch, PursuitSearch, felt_nearby, fits_colours
from latentsearch.spaces import Discrete

# The figures below are the best of those tried on match and x4 in examples/logs/codes, on three models.
LEAST_FOR_SWAPS = 140  # evaluations; with fewer, a relaxation alone does best
LEAST_FOR_STALLS = 500  # evaluations; from here on sets of swaps pay, and searches by swaps can come to their end
# Evaluations of a relaxation: half of what there is, up to the first number, or the second for each position.
_BASIN, _A_POSITION = 200, 3
_MANY, _A_POSITION_OF_MANY = 128, 10  # grids of more positions get so many a position, in steps twice as long
# The second relaxation has so many times the evaluations of the first; each later one twice those of the last.
_LONGER = 6
_WASTED = 0.15  # the most of a small budget that is left over
_STRETCHES = range(5, 16)  # steps between checks, of which some fill it better than others
_PURSUED = 128  # the patience of sets of swaps; after it single swaps find more

_LAST = CoordinateSearch(batch=64, patience=512)  # the end of every round


def one_relaxation(problem: Problem, evaluations: float) -> Searcher:
    """A relaxation alone, with an early first check where the budget is too small for a whole stretch of steps."""
    space = _grid(problem)
    relaxed = _relaxed(space)
    if evaluations < relaxed.evaluations_of(relaxed.check_every, space):
        return RelaxedSearch(check_every=max(1, (int(evaluations) - 4) // 2))
    if relaxed.evaluations_of(relaxed.steps_within(evaluations, space), space) > (1 - _WASTED) * evaluations:
        return relaxed
    # Stretches of another length leave less.
    others = [replace(relaxed, check_every=every) for every in _STRETCHES]
    return max(others, key=lambda other: other.steps_within(evaluations, space))


def relaxation_and_swaps(problem: Problem, evaluations: float) -> Searcher:
    """Half and half; the budget is too small for searches to stall, so the quick one goes on to the end."""
    space, goal = _grid(problem), problem.goal
    if _takes_colours(problem):
        quick: Searcher = ColouredSearch(patience=LEAST_FOR_STALLS)
    elif goal.least_squares:
        quick = PursuitSearch(batch=32, patience=None)
    else:
        quick = CoordinateSearch(batch=32, patience=None)
    return Then(Stage(_relaxed(space), share=_basin(evaluations, space) / evaluations), quick)


def until_stalled(problem: Problem, evaluations: float) -> Searcher:
    """A relaxation, and swaps until the last kind of them stalls."""
    return _each_to_its_end(_relaxed(_grid(problem)), *_swaps(problem))


def rounds(problem: Problem, evaluations: float) -> Searcher:
    """A round, then others from the prior while evaluations last; what is left goes to less promising swaps.

    Where there are several rounds, enough evaluations are kept to see whether the best grid stalls: a round may
    find it and have none left to tell.
    """
    space, swaps = _grid(problem), _swaps(problem)
    kept = _LAST.evaluations_to_stall(space) + _LAST.step_cost(space)
    longer = _longer_relaxations(evaluations - kept, space)
    spent = evaluations - kept if longer else evaluations
    first = _each_to_its_end(Stage(_relaxed(space), share=_basin(spent, space) / spent), *swaps)
    further = Stage(CoordinateSearch(batch=64, patience=None), keep="better")
    if not longer:
        return _each_to_its_end(first, further)
    again = (
        Stage(_each_to_its_end(_relaxed(space, steps), *swaps), share=1.0, start="prior", keep="better")
        for steps in longer
    )
    found = _each_to_its_end(first, *again, further)
    return Then(Stage(found, share=spent / evaluations), Stage(_LAST, only="unproven"))


def _each_to_its_end(*stages: Searcher | Stage) -> Then:
    """Stages of which each may take all that is left, unless it says otherwise."""
    return Then(*(stage if isinstance(stage, Stage) else Stage(stage, share=1.0) for stage in stages))


def _longer_relaxations(evaluations: float, space: Discrete) -> list[int]:
    """The steps of the relaxations with which rounds from the prior begin, as many as there are evaluations for.

    A long relaxation finds basins that many short ones do not.
    """
    swaps, deep, steps = _LAST.evaluations_to_stall(space), _basin(math.inf, space), []
    left, own = evaluations - deep - swaps, _LONGER * deep
    while left >= own + swaps:
        steps.append(_relaxed(space).steps_within(own, space))
        left, own = left - own - swaps, 2 * own
    return steps


def _basin(evaluations: float, space: Discrete) -> float:
    """Evaluations for a relaxation: many codes take longer to agree with each other."""
    each = _A_POSITION if space.positions <= _MANY else _A_POSITION_OF_MANY
    return min(evaluations / 2, max(_BASIN, each * space.positions))


def _relaxed(space: Discrete, steps: int | None = None) -> RelaxedSearch:
    if space.positions <= _MANY:
        return RelaxedSearch(steps=steps)
    return RelaxedSearch(steps=steps, optimizer=partial(torch.optim.Adam, lr=1.0, betas=(0.9, 0.9), eps=1e-20))


def _swaps(problem: Problem) -> list[Searcher]:
    """Searches by swaps, each of which ends by itself."""
    goal = problem.goal
    return [
        *([ColouredSearch()] if _takes_colours(problem) else []),
        *([PursuitSearch(batch=64, patience=_PURSUED)] if goal.least_squares else []),
        _LAST,
    ]


def _takes_colours(problem: Problem) -> bool:
    """Whether one decode tells several swaps apart, for which a code must be felt near its place."""
    shape = _grid(problem).shape
    return problem.goal.separates(len(shape)) and fits_colours(shape) and felt_nearby(problem.generator)


def _grid(problem: Problem) -> Discrete:
    space = problem.generator.space
    assert isinstance(space, Discrete)
    return space
