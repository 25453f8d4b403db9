"""What is looked at before anything is decoded: the types of arguments, limits, and what a method needs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from latentsearch.algebra import Constraint, not_separable
from latentsearch.errors import InvalidArgument, Unsupported
from latentsearch.problem import Problem
from latentsearch.protocols import Generator
from latentsearch.run import Run

if TYPE_CHECKING:
    from latentsearch.loop.iterative import IterativeSearcher


def check_types(generator: object, constraint: object, run: object) -> None:
    """Raise unless the arguments of a search are what they should be."""
    if not isinstance(generator, Generator):
        raise InvalidArgument(
            "generator",
            got=type(generator).__name__,
            expected="a Generator",
            hint="wrap a decoder in ContinuousGenerator or CodebookGenerator first",
        )
    if not isinstance(constraint, Constraint):
        hint = "wrap a function in Satisfies(...)" if callable(constraint) else ""
        raise InvalidArgument("constraint", got=type(constraint).__name__, expected="a Constraint", hint=hint)
    if not isinstance(run, Run):
        raise InvalidArgument("run", got=repr(run), expected="a Run", hint="write run=Run(evaluations=500)")


def check_run(run: Run, seed: int | Sequence[int] | None, problems: int) -> None:
    """Raise unless a run has a limit for each problem, and a seed where it is to be resumed."""
    for name in ("evaluations", "steps", "seconds"):
        run.limit(name, problems)
    if run.checkpoint is not None and seed is None:
        raise InvalidArgument(
            "seed", got="None with a checkpoint", expected="a seed, without which no run can be resumed"
        )


def check_needs(method: IterativeSearcher, problem: Problem) -> None:
    """Raise unless space and goal have what a method declares that it needs."""
    name, space, goal = type(method).__name__, problem.generator.space, problem.goal
    if not isinstance(space, method.spaces):
        kinds = " or ".join(kind.__name__ for kind in method.spaces)
        raise Unsupported(name, got=f"a generator over {space}", expected=f"a {kinds} space")
    if method.needs_least_squares:
        _check_squares(name, goal)
    if method.needs_gradient and not goal.differentiable:
        raise Unsupported(
            name,
            got="a constraint with a term that has no gradient",
            expected="differentiable terms only",
            hint="use a gradient-free searcher: ls.EvolutionSearch() on codes, ls.CMAESSearch() on numbers",
        )
    if method.needs_loss_map and not goal.pixel_separable:
        raise not_separable(name, goal)


def _check_squares(name: str, goal: Constraint) -> None:
    """Raise unless the loss is a sum of squares."""
    if not goal.least_squares:
        raise Unsupported(
            name,
            got=f"a constraint ({goal.name}) whose loss is no sum of squares",
            expected="Matches with distance='l2', Downscales, sums and weights of these",
            hint="CoordinateSearch takes any loss with a gradient",
        )
