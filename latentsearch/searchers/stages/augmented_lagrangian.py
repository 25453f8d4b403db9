"""Any search, for the least loss that meets requirements."""

from __future__ import annotations

from dataclasses import dataclass

from latentsearch._checks import is_number, require_count
from latentsearch.errors import InvalidArgument, Unsupported
from latentsearch.loop import BaseSearcher, IterativeSearcher
from latentsearch.problem import Problem
from latentsearch.protocols import Searcher
from latentsearch.result import SearchResult
from latentsearch.run import Run
from latentsearch.searchers.stages._any import known
from latentsearch.searchers.stages._rounds import Rounds
from latentsearch.searchers.stages.stage import check_searcher


@dataclass(frozen=True)
class AugmentedLagrangian(BaseSearcher):
    r"""Search in rounds for the least loss where requirements are met, ``rest.subject_to(constraint.below(t))``.

    A round is a search for the least sum of the loss and
    $(\max(0, \lambda + \rho g)^2 - \lambda^2) / 2\rho$ of each requirement, g being how far it is from being met.
    After it $\lambda \leftarrow \max(0, \lambda + \rho g)$, and $\rho$ grows where g has not fallen to a quarter. Each
    round starts where the one before ended. In the last, which has twice the evaluations, steps and seconds of the
    others, requirements are a little stricter, by what the round before missed them by.

    The answer is the one of least loss that any round met on its way among those that meet all requirements, ``init``
    included; where there is none, the one that misses them least. Multipliers and penalties belong to problems, so that
    a batch of problems is each of them alone. A status says how the last round ended, and proves nothing.

    The trace has an entry a round: the loss of the best answer so far that meets the requirements, infinity before.
    ``Run(stop_when_satisfied=True)`` ends a problem with the first row that meets them.

    A search that looks at all it decodes, [ExhaustiveSearch][latentsearch.ExhaustiveSearch] or
    [RandomSearch][latentsearch.RandomSearch], needs no rounds, and has none.

    A requirement should say how far it is from being met: one that is only met or not gives a search nothing to go by.

    Sources: Powell (1969) and Hestenes (1969), *Multiplier and gradient methods*,
    <https://doi.org/10.1007/BF00927673>; Birgin and Martínez, *Practical augmented Lagrangian methods for constrained
    optimization* (2014), <https://doi.org/10.1137/1.9781611973365>, algorithm 4.1.

    Attributes:
        searcher: What searches in each round. A search that samples has no least loss.
        rounds: Two or more.
        growth: What a penalty is multiplied by where a round leaves more than a quarter of what was missed.

    Raises:
        InvalidArgument: If there are fewer than two rounds, or the searcher is none.

    Example:
        >>> import torch
        >>> import latentsearch as ls
        >>> generator = ls.ContinuousGenerator(lambda z: z, shape=(2,))
        >>> far = ls.Satisfies(lambda x: 3 - x.sum(1), name="far").below(0)
        >>> goal = ls.Near(torch.zeros(1, 2)).subject_to(far)
        >>> search = ls.AugmentedLagrangian(ls.GradientSearch())
        >>> result = search.search(generator, goal, init=torch.zeros(1, 2), seed=0, run=ls.Run(evaluations=1400))
        >>> [[round(x, 1) for x in row] for row in result.latent.tolist()], result.score.satisfied
        ([[1.5, 1.5]], tensor([True]))
    """

    searcher: Searcher
    rounds: int = 10
    growth: float = 4.0

    def __post_init__(self) -> None:
        check_searcher("AugmentedLagrangian.searcher", self.searcher)
        require_count("AugmentedLagrangian.rounds", self.rounds, 2)
        if not (is_number(self.growth) and self.growth >= 1):
            got, expected = repr(self.growth), "a number of at least 1"
            raise InvalidArgument("AugmentedLagrangian.growth", got=got, expected=expected)

    @property
    def restarts(self) -> int:
        return known(self.searcher).restarts

    @property
    def leaves(self) -> int:
        return self.rounds * known(self.searcher).leaves

    def check(self, problem: Problem) -> None:
        if not problem.goal.required:
            raise Unsupported(
                "AugmentedLagrangian",
                got=f"{problem.goal!r}, a goal without requirements",
                expected="a loss to be least where requirements are met",
                hint="rest.subject_to(constraint.below(t)) is one; other goals need no rounds: search with "
                f"{type(self.searcher).__name__} itself",
            )
        if isinstance(self.searcher, IterativeSearcher) and self.searcher.samples:
            raise Unsupported(
                "AugmentedLagrangian.searcher",
                got=f"{type(self.searcher).__name__}, which samples",
                expected="a search for the least loss",
                hint="a sampler draws from a density: add the requirement as a term",
            )
        # A searcher's own checks are of what a round asks of it.
        known(self.searcher).check(Rounds.first_problem(problem))

    def least_evaluations(self, problem: Problem) -> int:
        return known(self.searcher).least_evaluations(Rounds.first_problem(problem))

    def _search(self, problem: Problem, run: Run) -> SearchResult:
        if isinstance(self.searcher, IterativeSearcher) and self.searcher.meets_requirements:
            goal, init, seeds = problem.goal, problem.init, problem.seeds
            return self.searcher.search(problem.generator, goal, init=init, seed=seeds, run=run)
        return Rounds(self.searcher, self.rounds, self.growth, problem, run).run()
