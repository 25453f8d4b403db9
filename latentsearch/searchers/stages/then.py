"""One search after another, each starting from the best that those before it found."""

from __future__ import annotations

from dataclasses import dataclass

from latentsearch.errors import InvalidArgument
from latentsearch.loop import BaseSearcher
from latentsearch.problem import Problem
from latentsearch.protocols import Searcher
from latentsearch.result import SearchResult
from latentsearch.run import Run
from latentsearch.searchers.stages._any import known
from latentsearch.searchers.stages._relay import Relay
from latentsearch.searchers.stages.stage import Stage, check_searcher


@dataclass(frozen=True, init=False)
class Then(BaseSearcher):
    """All of one search, then the next for the problems that are not solved, within one budget.

    Each starts from the best latents that those before it found: of every restart where both have
    as many, of the problem otherwise. Limits of the run hold for all of them together; of steps and seconds a
    stage leaves to the next what its slowest problem did not take. A [Stage][latentsearch.Stage]
    has other rules than these, and says how much a search may spend.

    A problem for which a stage ends NONFINITE is not searched any further: it keeps the best that
    was found, which is finite if anything was.

    A checkpoint has a file a stage, the stage's number being put into its name. It is taken up
    again with the budget that it was begun with: what a stage hands on depends on that.

    Args:
        *stages: Two or more, searchers or stages; a searcher ``a`` is ``Stage(a)``.

    Attributes:
        stages: All of them as stages.

    Raises:
        InvalidArgument: If there are fewer than two, or one is no searcher.

    Example:
        >>> import latentsearch as ls
        >>> from latentsearch.testing import toys
        >>> toy = toys.codes()
        >>> both = ls.Then(ls.Stage(ls.RelaxedSearch(), share=0.3), ls.CoordinateSearch())
        >>> result = both.search(toy.generator, toy.constraint, seed=0, run=ls.Run(evaluations=200))
        >>> [status.name for status in result.status]
        ['OPTIMAL', 'OPTIMAL']
    """

    stages: tuple[Stage, ...]

    def __init__(self, *stages: Searcher | Stage) -> None:
        if len(stages) < 2:
            a_list = len(stages) == 1 and isinstance(stages[0], (list, tuple))
            hint = "write Then(*searchers)" if a_list else "write Then(a, b)"
            raise InvalidArgument("Then", got=f"{len(stages)} searchers", expected="two or more", hint=hint)
        for stage in stages:
            if not isinstance(stage, Stage):
                check_searcher("Then", stage)
        own = tuple(stage if isinstance(stage, Stage) else Stage(stage) for stage in stages)
        object.__setattr__(self, "stages", own)

    @property
    def shares(self) -> tuple[float, ...]:
        """The part of the evaluations for each stage: its own, or an equal part of what the others do not claim."""
        claimed = [stage.share for stage in self.stages if stage.share is not None]
        equal = max(1 - sum(claimed), 0) / max(len(self.stages) - len(claimed), 1)
        return tuple(equal if stage.share is None else stage.share for stage in self.stages)

    @property
    def restarts(self) -> int:
        return known(self.stages[0].searcher).restarts

    @property
    def leaves(self) -> int:
        return sum(known(stage.searcher).leaves for stage in self.stages)

    def check(self, problem: Problem) -> None:
        for stage in self.stages:
            known(stage.searcher).check(problem)

    def least_evaluations(self, problem: Problem) -> int:
        return min(known(stage.searcher).least_evaluations(problem) for stage in self.stages)

    def _search(self, problem: Problem, run: Run) -> SearchResult:
        relay = Relay(self.stages, self.shares, problem, run)
        result = relay.first()
        for number in range(1, len(self.stages)):
            result = relay.next(number, result)
        return result
