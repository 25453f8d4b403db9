"""A search as one stage of several: what it may spend, where it starts, for whom, and when its answer counts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias, get_args

from latentsearch._checks import in_short, require_one_of, require_share
from latentsearch.errors import InvalidArgument
from latentsearch.protocols import Searcher

_Start: TypeAlias = Literal["best", "prior"]
_Only: TypeAlias = Literal["unsolved", "unproven"]
_Keep: TypeAlias = Literal["last", "better"]


@dataclass(frozen=True)
class Stage:
    """A search as a stage of [Then][latentsearch.Then]; all its rules in one record.

    Three that are often of use:

    - restart, ``Stage(a, start="prior", keep="better")``: once more, from elsewhere;
    - refine, ``Stage(a, keep="better")``: go on from the best, and lose no status to a search that found nothing;
    - if unproven, ``Stage(a, only="unproven")``: spend what is left where there is no proof yet.

    Attributes:
        searcher: The search; no Stage itself.
        share: The part of the evaluations that it may spend at most, besides what the stages before it left
            of theirs; 1 for a search that ends by itself. None is an equal part of what the others do not claim.
            The last stage may spend all that is left.
        start: ``"best"``, where the best latents are that were found before; ``"prior"``, at a draw from the prior.
            Nothing is found before the first stage: it starts at ``init`` if there is one.
        only: ``"unsolved"``, all problems whose constraint is not satisfied; ``"unproven"``, those of them
            whose status is neither OPTIMAL nor STALLED: no search for something better has come to its end.
        keep: Whose answer counts where neither is better: that of the ``"last"`` search, or that of the one before
            unless the last one's is ``"better"``. A status goes with its answer; but of the same latent
            STALLED, and more so OPTIMAL, counts whoever says it.

    Raises:
        InvalidArgument: If a rule is none of these, or the searcher is none.

    Example:
        >>> import latentsearch as ls
        >>> from latentsearch.testing import toys
        >>> toy = toys.codes()
        >>> swaps = ls.Stage(ls.CoordinateSearch(), only="unproven")
        >>> search = ls.Then(ls.Stage(ls.RandomSearch(), share=0.5), swaps)
        >>> result = search.search(toy.generator, toy.constraint, seed=0, run=ls.Run(evaluations=200))
        >>> [status.name for status in result.status]
        ['OPTIMAL', 'OPTIMAL']
    """

    searcher: Searcher
    share: float | None = None
    start: _Start = "best"
    only: _Only = "unsolved"
    keep: _Keep = "last"

    def __post_init__(self) -> None:
        check_searcher("Stage.searcher", self.searcher)
        if self.share is not None:
            require_share("Stage.share", self.share, ends="(]")
        require_one_of("Stage.start", self.start, get_args(_Start))
        require_one_of("Stage.only", self.only, get_args(_Only))
        require_one_of("Stage.keep", self.keep, get_args(_Keep))


def check_searcher(what: str, searcher: object) -> None:
    """Raise unless this is a searcher: an instance, and no stage."""
    hint = ""
    if isinstance(searcher, Stage):
        hint = "say all in one record: dataclasses.replace(stage, only='unproven')"
    elif isinstance(searcher, type):
        hint = f"write {searcher.__name__}()"
    elif isinstance(searcher, (list, tuple)):
        hint = "unpack it: Then(..., *searchers)"
    elif callable(getattr(searcher, "search", None)):
        return
    raise InvalidArgument(what, got=in_short(searcher), expected="a searcher", hint=hint)
