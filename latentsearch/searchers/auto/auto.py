"""The entry point: a method chosen from the space, the goal and the budget."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from torch import Tensor

from latentsearch.errors import InvalidArgument, Unsupported
from latentsearch.goal import AnyGoal
from latentsearch.loop import BaseSearcher
from latentsearch.loop.arguments import check_types
from latentsearch.noise import problem_seeds
from latentsearch.problem import Problem
from latentsearch.protocols import Generator, Searcher
from latentsearch.result import SearchResult
from latentsearch.run import Run
from latentsearch.searchers.auto._start import encoded_start
from latentsearch.searchers.auto.plan import Plan
from latentsearch.searchers.auto.plans import DEFAULT_PLANS
from latentsearch.searchers.stages.stage import check_searcher


@dataclass(frozen=True)
class AutoSearch(BaseSearcher):
    """Choose a method, and search with it: the first plan of a table that applies.

    | space | gradient | evaluations a problem | method |
    | --- | --- | --- | --- |
    | continuous | no | - | [CMAESSearch][latentsearch.CMAESSearch] |
    | continuous | yes | - | [HalvingSearch][latentsearch.HalvingSearch] |
    | codes | - | as many as there are grids | [ExhaustiveSearch][latentsearch.ExhaustiveSearch] |
    | codes | - | no limit, and at most 4,096 grids | ExhaustiveSearch |
    | codes, a learnt prior | - | - | [GibbsSearch][latentsearch.GibbsSearch]: samples, not an optimum |
    | codes | no | - | [EvolutionSearch][latentsearch.EvolutionSearch] |
    | codes | yes | fewer than 140 | [RelaxedSearch][latentsearch.RelaxedSearch] |
    | codes | yes | fewer than 500 | RelaxedSearch, then swaps |
    | codes | yes | no limit | the same, until the last swaps stall |
    | codes | yes | more | the same; again from the prior, with longer relaxations; more swaps |

    Swaps are those of [ColouredSearch][latentsearch.ColouredSearch] where the loss is a sum over pixels, or steps of a
    sequence, and codes are felt mostly near their own places, for which seven grids are decoded beforehand; then
    those of [PursuitSearch][latentsearch.PursuitSearch] where it is a sum of squares, and at last those of
    [CoordinateSearch][latentsearch.CoordinateSearch]. Where there are evaluations for several rounds, what is left
    after them goes to less promising swaps; and some are kept, to see whether the best grid stalls.

    The goal says whether there is a gradient. A decoder through which none flows is refused with an error; search it
    with EvolutionSearch or CMAESSearch.

    A learnt prior is one that can propose. The goal names it in a ``LogPrior``; the generator's own counts too, where
    the goal is a Gaussian likelihood alone, such as ``Matches(..., noise="decoder")``.

    A goal with requirements, ``rest.subject_to(...)``, is searched in the rounds of
    [AugmentedLagrangian][latentsearch.AugmentedLagrangian]: of [GradientSearch][latentsearch.GradientSearch] in
    continuous spaces and of [CoordinateSearch][latentsearch.CoordinateSearch] on codes, or without a gradient of
    CMAESSearch and EvolutionSearch; few grids are decoded one by one.

    Where no ``init`` is given, the generator encodes, and the goal has the whole of a target, as ``Matches`` without a
    mask has, the search starts at its encoding.

    [choose][latentsearch.AutoSearch.choose] tells what is chosen.

    Attributes:
        plans: The table; [Plan][latentsearch.searchers.Plan] shows how one of your own comes first.

    Raises:
        InvalidArgument: If the plans are no plans.

    Example:
        >>> import latentsearch as ls
        >>> from latentsearch.testing import toys
        >>> toy = toys.codes(shape=(3, 3))
        >>> result = ls.AutoSearch().search(toy.generator, toy.constraint, seed=0)
        >>> bool((result.score.loss < 1e-6).all())
        True
    """

    plans: Sequence[Plan] = DEFAULT_PLANS

    def __post_init__(self) -> None:
        plans = self.plans
        if not (isinstance(plans, Sequence) and plans and all(isinstance(plan, Plan) for plan in plans)):
            raise InvalidArgument(
                "AutoSearch.plans",
                got=repr(plans),
                expected="a sequence of plans",
                hint="plans of your own come before the others: (mine, *DEFAULT_PLANS)",
            )
        object.__setattr__(self, "plans", tuple(plans))

    def choose(self, generator: Generator, constraint: AnyGoal, run: Run = Run()) -> Searcher:
        """The method for this generator, goal and budget, with its settings.

        The smallest budget decides where problems have budgets of their own.

        Raises:
            InvalidArgument: If one of these is none.
            Unsupported: If no plan applies.
        """
        check_types(generator, constraint, run)
        goal = constraint.goal
        return self._chosen(Problem.of(generator, goal, None, problem_seeds(0, goal.problems)), run)

    def _chosen(self, problem: Problem, run: Run) -> Searcher:
        evaluations = min(run.limit("evaluations", problem.goal.problems))
        for plan in self.plans:
            if plan.applies(problem, evaluations):
                method = plan.build(problem, evaluations)
                check_searcher(f"the plan {plan.name!r}", method)
                return method
        raise Unsupported(
            "AutoSearch",
            got=f"{problem.generator.space} and {evaluations:g} evaluations, for which none of its plans is "
            f"({', '.join(plan.name for plan in self.plans)})",
            expected="a plan that applies",
            hint="let the default ones follow yours: (mine, *DEFAULT_PLANS)",
        )

    def _search(self, problem: Problem, run: Run) -> SearchResult:
        method = self._chosen(problem, run)
        init = encoded_start(problem) if problem.init is None else problem.init
        return method.search(problem.generator, problem.goal, init=init, seed=problem.seeds, run=run)


def search(
    generator: Generator,
    constraint: AnyGoal,
    *,
    init: Tensor | None = None,
    seed: int | Sequence[int] | None = None,
    run: Run = Run(),
) -> SearchResult:
    """Find latents whose outputs are as they should be, by what [AutoSearch][latentsearch.AutoSearch] chooses.

    Args:
        generator: A frozen decoder with its latent space.
        constraint: What should come out, for B problems: a constraint, or a goal made of several.
        init: Where to start, ``(B, *S)``, ``(B, R, *S)`` or ``(1, *S)``; if not given, the encoding of a target that is
            known as a whole, by a generator that encodes, or else a draw from the prior.
        seed: One integer, or one a problem; None for fresh entropy.
        run: Budget, progress, callbacks, checkpoints, memory.

    Returns:
        The best found, with its trace and the reason why each problem ended.

    Example:
        >>> import latentsearch as ls
        >>> from latentsearch.testing import toys
        >>> toy = toys.bowl()
        >>> ls.search(toy.generator, toy.constraint, seed=0).latent.shape
        torch.Size([2, 4])
    """
    return AutoSearch().search(generator, constraint, init=init, seed=seed, run=run)
