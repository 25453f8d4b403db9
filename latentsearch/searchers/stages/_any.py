"""Searchers that offer `search` alone."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from latentsearch.loop import BaseSearcher
from latentsearch.problem import Problem
from latentsearch.protocols import Searcher
from latentsearch.result import SearchResult
from latentsearch.run import Run


def known(searcher: Searcher) -> BaseSearcher:
    """Any searcher, with defaults for what a stage must answer."""
    return searcher if isinstance(searcher, BaseSearcher) else AnySearcher(searcher)


@dataclass(frozen=True)
class AnySearcher(BaseSearcher):
    """A searcher with `search` alone, and defaults for everything else."""

    searcher: Searcher

    @property
    def restarts(self) -> int:
        return int(getattr(self.searcher, "restarts", 1))

    def select(self, index: Tensor) -> AnySearcher:
        select = getattr(self.searcher, "select", None)
        return self if select is None else AnySearcher(select(index))

    def _search(self, problem: Problem, run: Run) -> SearchResult:
        return self.searcher.search(problem.generator, problem.goal, init=problem.init, seed=problem.seeds, run=run)
