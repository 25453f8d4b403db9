"""The newcomer's door: a method chosen from the space, the wish and the budget."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor

from latentsearch.algebra import Constraint
from latentsearch.loop.start import check_types
from latentsearch.protocols import Generator, Searcher
from latentsearch.result import SearchResult
from latentsearch.run import Run
from latentsearch.searchers.cmaes import CMAESSearch
from latentsearch.searchers.evolution import EvolutionSearch
from latentsearch.searchers.exhaustive import ExhaustiveSearch
from latentsearch.searchers.gradient import GradientSearch
from latentsearch.searchers.relaxed import RelaxedSearch
from latentsearch.searchers.stages import Afresh, Further, Then, Uncertified
from latentsearch.searchers.swaps import ColouredSearch, CoordinateSearch, PursuitSearch, fits_colours
from latentsearch.spaces import Continuous, Discrete

_CHECKED = 24  # rows with which a relaxation comes to its first check after the start, if it has not to hurry
# Rows a problem: below the first a relaxation is left alone; of more it takes half, up to the second, or
# up to the third for each position.
_ALONE, _BASIN, _A_POSITION = 140, 200, 3
_MANY, _A_POSITION_OF_MANY = 128, 10  # of more positions than this, up to so many, in steps twice as long
_FEW = 4096  # grids that are all decoded where rows have no limit
_PER_STEP = 2.2  # rows of a relaxation's step, with its checks, and some to spare
_DEEP = 500  # rows from which on sets of swaps pay, and a certificate can be had
_FLOOR = 600  # rows in which swaps after a relaxation come to their end, as a rule
_LONGER = 6  # times the rows of the first relaxation has the second; each after that has twice those of the one before
_PURSUED = 128  # swaps tried in vain before sets of them give way to single ones, which find more from there on
_CERTIFICATE = 700  # rows kept for one, where there are rounds: 512 swaps in vain take 600, and some are not in vain


@dataclass(frozen=True)
class AutoSearch:
    """Choose a method, and search with it.

    | space | gradient | rows a problem | method |
    | --- | --- | --- | --- |
    | codes | - | as many as there are grids | [ExhaustiveSearch][latentsearch.ExhaustiveSearch] |
    | codes | - | no limit, and at most 4,096 grids | ExhaustiveSearch |
    | codes | yes | fewer than 140 | [RelaxedSearch][latentsearch.RelaxedSearch] |
    | codes | yes | fewer than 500 | RelaxedSearch, then swaps |
    | codes | yes | no limit | all that to a certificate |
    | codes | yes | more | the same; afresh, with longer relaxations; more swaps |
    | codes | no | - | [EvolutionSearch][latentsearch.EvolutionSearch] |
    | numbers | yes | - | [GradientSearch][latentsearch.GradientSearch] |
    | numbers | no | - | [CMAESSearch][latentsearch.CMAESSearch] |

    Swaps are those of [ColouredSearch][latentsearch.ColouredSearch] where the loss is a sum over the pixels
    of a picture, then those of [PursuitSearch][latentsearch.PursuitSearch] where it is a sum of squares, and
    at last those of [CoordinateSearch][latentsearch.CoordinateSearch], which ends with a certificate. Where rows are
    enough to search afresh, what is left after that goes to swaps that look less likely; and some rows are kept for the
    certificate, and spent where the best grid has none yet.

    Whether a gradient is there is what the wish says. A decoder that none flows through is refused in words; give such
    a one to EvolutionSearch or CMAESSearch yourself.

    What was chosen is told by [choose][latentsearch.AutoSearch.choose].

    Example:
        >>> import latentsearch as ls
        >>> from latentsearch.testing import toys
        >>> toy = toys.codes(shape=(3, 3))
        >>> result = ls.AutoSearch().search(toy.generator, toy.constraint, seed=0)
        >>> bool((result.score.loss < 1e-6).all())
        True
    """

    def choose(self, generator: Generator, constraint: Constraint, run: Run = Run()) -> Searcher:  # noqa: B008 - frozen
        """The method for this generator, wish and budget, with its settings.

        The smallest budget decides where problems have budgets of their own.
        """
        space = generator.space
        rows = min(run.limit("evaluations", constraint.problems))
        if isinstance(space, Continuous):
            return GradientSearch() if constraint.differentiable else CMAESSearch()
        assert isinstance(space, Discrete)
        if ExhaustiveSearch().cost(space) <= rows and (rows < math.inf or _few_grids(space)):
            return ExhaustiveSearch()
        if not constraint.differentiable:
            return EvolutionSearch()
        return _on_codes(rows, constraint, space)

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
        check_types(generator, constraint, run)
        method = self.choose(generator, constraint, run)
        return method.search(generator, constraint, init=init, seed=seed, run=run)


def search(
    generator: Generator,
    constraint: Constraint,
    *,
    init: Tensor | None = None,
    seed: int | Sequence[int] | None = None,
    run: Run = Run(),  # noqa: B008 - frozen, so sharing one is safe
) -> SearchResult:
    """Find latents whose outputs fulfil the constraint, by what [AutoSearch][latentsearch.AutoSearch] chooses.

    Args:
        generator: A frozen decoder with its latent space.
        constraint: The wish, for B problems.
        init: Where to start, ``(B, *S)``, ``(B, R, *S)`` or ``(1, *S)``; a draw from the prior if not given.
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


def _few_grids(space: Discrete) -> bool:
    """Whether decoding all grids is what anybody would do."""
    grids: int = space.codebook_size**space.positions
    return grids <= _FEW


def _on_codes(rows: float, constraint: Constraint, space: Discrete) -> Searcher:
    """A relaxation to find a good basin, swaps to find its floor, and others with what is left."""
    if rows < _ALONE:
        return _relaxed(space) if rows >= _CHECKED else RelaxedSearch(check_every=max(1, (int(rows) - 4) // 2))
    coloured = constraint.pixel_separable and fits_colours(space.shape)
    if rows < _DEEP:
        # No time for certificates: what is quick goes on to the end.
        swaps = ColouredSearch(patience=_DEEP) if coloured else _squares(constraint, 32, None) or _plain(32, None)
        return Then(_relaxed(space), swaps, shares=(_basin(rows, space) / rows, 1.0))
    stages = [_relaxed(space), *_to_the_floor(constraint, coloured)]
    if math.isinf(rows):
        return Then(*stages, shares=(1.0,) * len(stages))
    further = Further(_plain(64, None))
    longer = _longer_rounds(rows - _CERTIFICATE, space)
    # A round may find the best grid and have no rows left to say so.
    rows_of_rounds = rows - _CERTIFICATE if longer else rows
    first = Then(*stages, shares=(_basin(rows, space) / rows_of_rounds, *(1.0,) * (len(stages) - 1)))
    if not longer:
        return Then(first, further, shares=(1.0, 1.0))
    rounds = [Afresh(Then(_relaxed(space, steps), *stages[1:], shares=(1.0,) * len(stages))) for steps in longer]
    found = Then(first, *rounds, further, shares=(1.0,) * (len(rounds) + 2))
    return Then(found, Uncertified(stages[-1]), shares=(rows_of_rounds / rows, 1.0))


def _longer_rounds(rows: float, space: Discrete) -> list[int]:
    """The steps of the relaxations that searches afresh begin with, as many as rows are enough for.

    One that is long finds basins that short ones, however many, do not.
    """
    deep, steps = _basin(math.inf, space), []
    left, own = rows - deep - _FLOOR, _LONGER * deep
    while left >= own + _FLOOR:
        steps.append(int(own / _PER_STEP))
        left, own = left - own - _FLOOR, 2 * own
    return steps


def _basin(rows: float, space: Discrete) -> float:
    """Rows for a relaxation: many codes take longer to agree with each other."""
    each = _A_POSITION if space.positions <= _MANY else _A_POSITION_OF_MANY
    return min(rows / 2, max(_BASIN, each * space.positions))


def _relaxed(space: Discrete, steps: int | None = None) -> RelaxedSearch:
    if space.positions <= _MANY:
        return RelaxedSearch(steps=steps)
    return RelaxedSearch(steps=steps, optimizer=partial(torch.optim.Adam, lr=1.0, betas=(0.9, 0.9), eps=1e-20))


def _to_the_floor(constraint: Constraint, coloured: bool) -> list[Searcher]:
    """Searches by swaps, each of which ends by itself; the last one with a certificate."""
    squares = _squares(constraint, 64, _PURSUED)
    return [
        *([ColouredSearch()] if coloured else []),
        *([squares] if squares is not None else []),
        _plain(64, 512),
    ]


def _squares(constraint: Constraint, batch: int, patience: int | None) -> Searcher | None:
    return PursuitSearch(batch=batch, patience=patience) if constraint.least_squares else None


def _plain(batch: int, patience: int | None) -> Searcher:
    return CoordinateSearch(batch=batch, patience=patience)
