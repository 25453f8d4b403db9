"""The newcomer's door: a method chosen from the space, the wish and the budget."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from torch import Tensor

from latentsearch.algebra import Constraint
from latentsearch.protocols import Generator, Searcher
from latentsearch.result import SearchResult
from latentsearch.run import Run
from latentsearch.searchers._start import check_types
from latentsearch.searchers.cmaes import CMAESSearch
from latentsearch.searchers.coordinate import CoordinateSearch
from latentsearch.searchers.evolution import EvolutionSearch
from latentsearch.searchers.exhaustive import ExhaustiveSearch
from latentsearch.searchers.gradient import GradientSearch
from latentsearch.searchers.relaxed import RelaxedSearch
from latentsearch.searchers.then import Then
from latentsearch.spaces import Continuous, Discrete

# Rows a problem: below the first a relaxation is left alone, else it takes half, within the next two.
_ALONE, _LEAST, _MOST = 150, 100, 250
_MANY = 400  # rows for coordinate moves that larger batches suit


@dataclass(frozen=True)
class AutoSearch:
    """Choose a method, and search with it.

    | space | gradient | rows a problem | method |
    | --- | --- | --- | --- |
    | codes | - | as many as there are grids | [ExhaustiveSearch][latentsearch.ExhaustiveSearch] |
    | codes | yes | fewer than 150 | [RelaxedSearch][latentsearch.RelaxedSearch] |
    | codes | yes | more, or no limit | RelaxedSearch, then [CoordinateSearch][latentsearch.CoordinateSearch] |
    | codes | no | - | [EvolutionSearch][latentsearch.EvolutionSearch] |
    | numbers | yes | - | [GradientSearch][latentsearch.GradientSearch] |
    | numbers | no | - | [CMAESSearch][latentsearch.CMAESSearch] |

    What was chosen is told by [choose][latentsearch.AutoSearch.choose].

    Example:
        >>> from latentsearch.testing import toys
        >>> toy = toys.codes(shape=(3, 3))
        >>> result = AutoSearch().search(toy.generator, toy.constraint, seed=0)
        >>> bool((result.score.loss < 1e-6).all())
        True
    """

    def choose(self, generator: Generator, constraint: Constraint, run: Run = Run()) -> Searcher:  # noqa: B008 - frozen
        """The method for this generator, wish and budget, with its settings.

        The smallest budget decides where problems have budgets of their own.
        """
        space = generator.space
        rows = min(run.limit("rows", constraint.problems))
        if isinstance(space, Continuous):
            return GradientSearch() if constraint.differentiable else CMAESSearch()
        assert isinstance(space, Discrete)
        if ExhaustiveSearch().cost(space) <= rows < math.inf:
            return ExhaustiveSearch()
        if not constraint.differentiable:
            return EvolutionSearch()
        return _on_codes(rows)

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
        >>> from latentsearch.testing import toys
        >>> toy = toys.bowl()
        >>> search(toy.generator, toy.constraint, seed=0).latent.shape
        torch.Size([2, 4])
    """
    return AutoSearch().search(generator, constraint, init=init, seed=seed, run=run)


def _on_codes(rows: float) -> Searcher:
    """A relaxation to find a good basin, and coordinate moves to find its floor."""
    if math.isinf(rows):
        return Then(RelaxedSearch(), CoordinateSearch(batch=64))
    if rows < _ALONE:
        return RelaxedSearch()
    basin = min(max(rows / 2, _LEAST), _MOST)
    polish = CoordinateSearch(batch=64 if rows - basin >= _MANY else 32, patience=None)
    return Then(RelaxedSearch(), polish, shares=(basin / rows, 1.0))
