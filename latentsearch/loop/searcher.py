"""What every searcher of the package is: one `search`, and answers to what others ask of it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence

from torch import Tensor
from typing_extensions import Self

from latentsearch._context import kept, undisturbed
from latentsearch.goal import AnyGoal
from latentsearch.loop.arguments import check_priors, check_run, check_types
from latentsearch.noise import problem_seeds
from latentsearch.problem import Problem
from latentsearch.protocols import Generator
from latentsearch.result import SearchResult
from latentsearch.run import Run

_MOST_LEAVES = 64  # leaves reserved for a searcher that cannot say before a run how many searches it is made of


class BaseSearcher(ABC):
    """Base of the searchers: `search` makes a [Problem][latentsearch.Problem] of its arguments, `_search` solves it.

    The rest is what a search of stages asks of its parts. The defaults are right for a searcher that
    knows nothing of itself before it begins.
    """

    @property
    def restarts(self) -> int:
        """R, how many latents a problem it can start from."""
        return 1

    @property
    def leaves(self) -> int:
        """How many searches it is made of, at most: each has randomness of its own."""
        return _MOST_LEAVES

    def select(self, index: Tensor) -> Self:
        """The searcher for some of the problems ``index``; itself where its settings serve all problems alike."""
        return self

    def check(self, problem: Problem) -> None:
        """Raise if this problem cannot be searched with these settings; before a run, and nothing is decoded for it."""

    def least_evaluations(self, problem: Problem) -> int:
        """The fewest evaluations a problem that pay for a first step; 0 where that is not known."""
        return 0

    def search(
        self,
        generator: Generator,
        constraint: AnyGoal,
        *,
        init: Tensor | None = None,
        seed: int | Sequence[int] | None = None,
        run: Run = Run(),
    ) -> SearchResult:
        """Find latents whose outputs fulfil the constraint.

        Args:
            generator: A frozen decoder with its latent space.
            constraint: What should come out, for B problems: a constraint, or a goal made of several.
            init: Where to start: ``(B, *S)``, ``(B, R, *S)`` or ``(1, *S)`` hard latents; a draw
                from the prior if not given.
            seed: One integer, or one a problem; None for fresh entropy.
            run: Budget, progress, callbacks, checkpoints, memory.

        Returns:
            The best found, with its trace and the reason why each problem ended.

        Raises:
            InvalidArgument: If something cannot work; before the first step.
            BrokenFile: If a checkpoint is of another search.
            SearchFailed: If user code raises in mid-search; it carries the best so far.
        """
        check_types(generator, constraint, run)

        def found() -> SearchResult:
            goal = constraint.goal
            check_run(run, seed, goal.problems)
            problem = Problem.of(generator, goal, init, problem_seeds(seed, goal.problems))
            check_priors(problem)
            problem.require_noise()
            self.check(problem)
            return self._search(problem, run)

        return kept(undisturbed(generator.device), found)

    @abstractmethod
    def _search(self, problem: Problem, run: Run) -> SearchResult:
        """Search for what has been checked."""
