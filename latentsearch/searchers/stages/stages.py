"""Searches with a rule of their own as a stage of [Then][latentsearch.Then]: afresh, uncertified, further."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from torch import Tensor

from latentsearch.algebra import Constraint
from latentsearch.protocols import Generator, Searcher
from latentsearch.result import SearchResult
from latentsearch.run import Run


@dataclass(frozen=True)
class Stage:
    """A search with a rule of its own in [Then][latentsearch.Then]; anywhere else the search itself."""

    searcher: Searcher

    def search(
        self,
        generator: Generator,
        constraint: Constraint,
        *,
        init: Tensor | None = None,
        seed: int | Sequence[int] | None = None,
        run: Run = Run(),  # noqa: B008 - frozen, so sharing one is safe
    ) -> SearchResult:
        """Find latents whose outputs fulfil the constraint; arguments as of every searcher."""
        return self.searcher.search(generator, constraint, init=init, seed=seed, run=run)


@dataclass(frozen=True)
class Afresh(Stage):
    """In [Then][latentsearch.Then]: a search that starts at a draw from the prior, not where those before it ended.

    What it finds is taken where it is better; of equals the first stays, with its certificate.
    ``Then(a, Afresh(a), shares=(1, 1))`` searches once more with the rows that the first search did not need.

    Attributes:
        searcher: The search.

    Example:
        >>> import latentsearch as ls
        >>> from latentsearch.searchers import Afresh
        >>> from latentsearch.testing import toys
        >>> toy = toys.codes()
        >>> twice = ls.Then(ls.CoordinateSearch(), Afresh(ls.CoordinateSearch()), shares=(1, 1))
        >>> result = twice.search(toy.generator, toy.constraint, seed=0)
        >>> [status.name for status in result.status]
        ['OPTIMAL', 'OPTIMAL']
    """


@dataclass(frozen=True)
class Uncertified(Stage):
    """In [Then][latentsearch.Then]: a search for those problems alone whose answer has no certificate yet.

    A certificate is a problem's status: STALLED, a search found nothing better among what it deems likely,
    or OPTIMAL. ``Then(a, Uncertified(b), shares=(0.8, 1))`` keeps a fifth of the rows for it.

    Attributes:
        searcher: The search.

    Example:
        >>> import latentsearch as ls
        >>> from latentsearch.searchers import Uncertified
        >>> from latentsearch.testing import toys
        >>> toy = toys.codes()
        >>> search = ls.Then(ls.RandomSearch(), Uncertified(ls.CoordinateSearch()), shares=(0.5, 1))
        >>> result = search.search(toy.generator, toy.constraint, seed=0, run=ls.Run(evaluations=200))
        >>> [status.name for status in result.status]
        ['OPTIMAL', 'OPTIMAL']
    """


@dataclass(frozen=True)
class Further(Stage):
    """In [Then][latentsearch.Then]: a search that goes on from the best, and is heard where it finds better.

    Elsewhere the problem keeps its status, so that a certificate is not lost to a search that looked further than it
    and ran out of rows; unless it earned a better one at the same latent.

    Attributes:
        searcher: The search.

    Example:
        >>> import latentsearch as ls
        >>> from latentsearch.searchers import Further
        >>> from latentsearch.testing import toys
        >>> toy = toys.codes()
        >>> search = ls.Then(ls.CoordinateSearch(), Further(ls.RandomSearch()), shares=(1, 1))
        >>> result = search.search(toy.generator, toy.constraint, seed=0, run=ls.Run(evaluations=200))
        >>> [status.name for status in result.status]
        ['OPTIMAL', 'OPTIMAL']
    """
