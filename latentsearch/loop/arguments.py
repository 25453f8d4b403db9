"""What is looked at before anything is decoded: the types of arguments, limits, and what a method needs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from latentsearch import _checkpoint
from latentsearch.errors import InvalidArgument, Unsupported
from latentsearch.goal import Constraint, Goal, Limit
from latentsearch.goal._operands import no_addend
from latentsearch.goal.refusals import not_separable, not_squares
from latentsearch.priors import FittedPrior
from latentsearch.problem import Problem
from latentsearch.protocols import Prior, require_generator
from latentsearch.run import Run
from latentsearch.spaces import Continuous

if TYPE_CHECKING:
    from latentsearch.loop.iterative import IterativeSearcher


# What serves continuous latents, or codes, in place of a method for the others; and that draws answers, if it does.
_ELSEWHERE = {
    (True, True): "ls.MALASearch() draws continuous latents, ls.ImportanceResampling() without a gradient",
    (True, False): "ls.HalvingSearch() searches continuous latents, ls.CMAESSearch() without a gradient",
    (False, True): "ls.GibbsSearch() draws codes, with a prior of ls.fit_prior",
    (False, False): "ls.CoordinateSearch() searches codes, ls.EvolutionSearch() without a gradient",
}


def check_types(generator: object, constraint: object, run: object) -> None:
    """Raise unless the arguments of a search are what they should be."""
    require_generator("generator", generator)
    if not isinstance(constraint, (Constraint, Goal, Limit)):
        raise no_addend("constraint", constraint)
    if not constraint.goal.terms:
        raise InvalidArgument(
            "constraint",
            got=f"a limit and nothing else ({constraint!r})",
            expected="a goal with at least one term",
            hint="add what should come out: Matches(...) + limit",
        )
    if not isinstance(run, Run):
        raise InvalidArgument("run", got=repr(run), expected="a Run", hint="write run=Run(evaluations=500)")


def check_priors(problem: Problem) -> None:
    """Raise if a term's prior is over other latents: these might broadcast, or be codes that there are not."""
    space = problem.generator.space
    for term in problem.goal.constraints:
        for name in term.priors:
            found = getattr(term, name).space
            if found != space:
                raise InvalidArgument(
                    f"{term.name}.{name}",
                    got=f"a prior over {found!r}",
                    expected=f"one over the generator's latents, {space!r}",
                    hint=_prior_over(problem, getattr(term, name)),
                )


def _prior_over(problem: Problem, found: Prior) -> str:
    """What is a prior over a problem's latents, in place of one that is over others."""
    if isinstance(found, FittedPrior):
        return "ls.fit_prior(generator, images) fits one"
    return "generator.prior is one" if problem.generator.prior.space == problem.generator.space else ""


def check_run(run: Run, seed: int | Sequence[int] | None, problems: int) -> None:
    """Raise unless a run has a limit for each problem, and a seed where it is to be resumed."""
    for name in ("evaluations", "steps", "seconds"):
        run.limit(name, problems)
    if run.checkpoint is not None:
        _checkpoint.require_kind("Run.checkpoint", run.checkpoint, "search")
    if run.checkpoint is not None and seed is None:
        raise InvalidArgument(
            "seed", got="None with a checkpoint", expected="a seed, without which no run can be resumed"
        )


def _meeting_requirements(method: IterativeSearcher) -> str:
    """What meets the requirements of a goal, in place of a method that does not."""
    if method.samples:
        return "a sampler draws from a density: add the requirement as a term, such as Classified(..., threshold=None)"
    return f"ls.AugmentedLagrangian(ls.{type(method).__name__}(...)) meets requirements with any search, Then too"


def check_needs(method: IterativeSearcher, problem: Problem) -> None:
    """Raise unless space and goal have what a method declares that it needs."""
    name, space, goal = type(method).__name__, problem.generator.space, problem.goal
    if not isinstance(space, method.spaces):
        kinds = " or ".join(kind.__name__ for kind in method.spaces)
        hint = _ELSEWHERE[isinstance(space, Continuous), method.samples]
        raise Unsupported(name, got=f"a generator over {space}", expected=f"a {kinds} space", hint=hint)
    if goal.required and goal.augmentation is None and not method.meets_requirements:
        raise Unsupported(
            name,
            got=f"a loss that is subject to something ({goal!r})",
            expected="a goal of terms and thresholds",
            hint=_meeting_requirements(method),
        )
    if method.needs_least_squares and not goal.least_squares:
        raise not_squares(name, goal)
    if method.needs_gradient and not goal.differentiable:
        raise Unsupported(
            name,
            got=f"{', '.join(c.name for c in goal.constraints if not c.differentiable)}, which has no gradient",
            expected="differentiable terms only",
            hint="use a gradient-free searcher: ls.EvolutionSearch() on codes, ls.CMAESSearch() on continuous latents",
        )
    if method.needs_loss_map and not goal.separates(len(space.shape)):
        raise not_separable(name, goal, len(space.shape))
