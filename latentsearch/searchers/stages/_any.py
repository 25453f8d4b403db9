"""Searchers of which nothing is known but that they search."""

from __future__ import annotations

from dataclasses import dataclass

from latentsearch.loop import BaseSearcher
from latentsearch.problem import Problem
from latentsearch.protocols import Searcher
from latentsearch.result import SearchResult
from latentsearch.run import Run


def known(searcher: Searcher) -> BaseSearcher:
    """The searcher with answers to all that is asked of a stage."""
    return searcher if isinstance(searcher, BaseSearcher) else AnySearcher(searcher)


@dataclass(frozen=True)
class AnySearcher(BaseSearcher):
    """A searcher that has `search` alone, with the answers of one that knows nothing of itself."""

    searcher: Searcher

    @property
    def restarts(self) -> int:
        return int(getattr(self.searcher, "restarts", 1))

    def _search(self, problem: Problem, run: Run) -> SearchResult:
        return self.searcher.search(problem.generator, problem.goal, init=problem.init, seed=problem.seeds, run=run)
