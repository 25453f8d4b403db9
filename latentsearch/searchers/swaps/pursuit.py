"""Sets of swaps that cancel the residual together, where the loss is a sum of squares."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from latentsearch.algebra import Score
from latentsearch.loop import IterativeSearcher, Proposal, best_or_held, project_each, score_each
from latentsearch.noise import Noise
from latentsearch.objective import Objective
from latentsearch.result import Status
from latentsearch.searchers._curvature import curvature, empty_fit, first_guess, learn
from latentsearch.searchers.swaps._pool import Pool, chosen_sets, with_sets
from latentsearch.searchers.swaps._swaps import Swaps, alone, most_promising, worth_keeping
from latentsearch.spaces import Discrete, LatentSpace

_PER_POSITION = 4  # swaps tried at one position in one step
_SEEDS = 8  # pairs that are grown into sets
_SETS = _SEEDS + 8  # with prefixes of the best of them
_FADE = 0.8  # of what was learnt about the curvature, in every step


@dataclass
class PursuitState:
    """Where each row stands.

    Attributes:
        z: ``(M, *S)``, the grid.
        fit: ``(M, 2)``, the curvature's fit.
        pool: Swaps whose effect on the residual is known.
        count: ``(M,)`` int64, how many swaps were tried at this grid.
        own: ``(M,)`` bool, whether all effects in the pool are those at this grid.
    """

    z: Tensor
    fit: Tensor
    pool: Pool
    count: Tensor
    own: Tensor


@dataclass(frozen=True)
class PursuitSearch(IterativeSearcher):
    r"""Find sets of swaps that cancel the residual together, though none of them may help alone.

    Where codes are far apart a single swap overshoots, and near a good grid hardly one helps; but what one
    does too much of another takes back. For a wish whose loss is a sum of squares $\|r\|^2$, such as
    [Matches][latentsearch.Matches] and [Downscales][latentsearch.Downscales], every swap that is decoded
    tells more than its loss: what it adds to the residual, $d$. Effects of swaps at different positions
    nearly add up, so the loss with a set S of them made is about

    $$\Bigl\|r + \sum_{i \in S} d_i\Bigr\|^2,$$

    which costs no decoding. A step decodes the ``batch`` most promising swaps, by slope and curvature as in
    [CoordinateSearch][latentsearch.CoordinateSearch], and puts their effects into a pool with those of
    earlier steps. From the pool sets are grown greedily, from the best pairs on: matching pursuit [Mallat and
    Zhang, *Matching pursuits with time-frequency dictionaries*, 1993] with coefficients 0 and 1, and one
    swap a position. The best sets are decoded, and the best grid of all is the next, if it is better: the
    loss only falls, and nothing can cycle. Effects in the pool are those at the grids at which they were
    decoded; what that is wrong by, decoding finds out. Where all swaps are in the pool and no set of them
    helps any more, they are decoded once more at the grid held.

    A row is STALLED once the ``patience`` most promising swaps, and the sets of them, were tried at its
    grid in vain; [CoordinateSearch][latentsearch.CoordinateSearch] after it proves what it left.

    Attributes:
        batch: Swaps decoded a step.
        patience: Swaps tried in vain before a row ends; None for all there are.
        restarts: Independent starts a problem.

    Example:
        >>> import latentsearch as ls
        >>> from latentsearch.testing import toys
        >>> toy = toys.codes()
        >>> result = ls.PursuitSearch().search(toy.generator, toy.constraint, seed=0)
        >>> bool((result.score.loss <= toy.optimum).all())
        True
    """

    batch: int = 32
    patience: int | None = 512

    spaces: ClassVar[tuple[type, ...]] = (Discrete,)
    needs_least_squares: ClassVar[bool] = True

    def __post_init__(self) -> None:
        super().__post_init__()
        self._require_count("batch")
        if self.patience is not None:
            self._require_count("patience")

    def step_cost(self, space: LatentSpace) -> int:
        return 3 + self.batch + _SETS

    def start(self, objective: Objective, z: Tensor, noise: Noise) -> PursuitState:
        zeros = torch.zeros(len(z), dtype=torch.int64, device=z.device)
        nothing = zeros.new_zeros(len(z), 0)
        # How many numbers a residual has is known with the first of them.
        pool = Pool(nothing, nothing, torch.zeros(len(z), 0, 0, dtype=objective.generator.dtype, device=z.device))
        return PursuitState(z, empty_fit(objective, len(z)), pool, zeros, zeros == 0)

    def step(self, objective: Objective, state: PursuitState, noise: Noise) -> tuple[PursuitState, Proposal]:
        """Decode swaps, grow sets of all that are known, decode these, and move on to the best."""
        linear = objective.linearise(state.z)
        guess = first_guess(objective.codebook, linear.gradient)
        bend = torch.where(state.fit[:, 1] > 0, curvature(state.fit), guess)
        each = max(_PER_POSITION, -(-self.batch // state.z[0].numel()))
        known = state.pool.ids(objective.codebook.shape[-2])
        # Not daring: small effects are what cancels a small residual, and near codes have them.
        swaps = most_promising(objective.codebook, state.z, linear, bend, self.batch, each, known, daring=False)
        tried, residual, effect = _decoded(objective, state.z, swaps)
        pool = state.pool.joined(swaps, effect)
        grids = with_sets(state.z, pool, chosen_sets(pool, residual, _SEEDS))
        if objective.limit is not None:
            worth = worth_keeping(objective, state.z, linear, bend).view_as(state.z)
            new = grids != state.z[:, None]
            grids = project_each(objective, grids, torch.where(new, torch.inf, worth[:, None]))
        score = Score(*(torch.cat(parts, 1) for parts in zip(tried, score_each(objective, grids), strict=True)))

        grids = torch.cat([alone(state.z, swaps), grids], 1)
        z, best, better = best_or_held(state.z, linear.score, grids, score)
        pool = pool.moved(state.z.flatten(1), z.flatten(1))
        # Of the squares, since beyond a hard limit the loss is infinite.
        change = (effect * (2 * residual[:, None] + effect)).sum(2)
        fit = learn(state.fit, change - swaps.slope, swaps.way, _FADE)
        count = torch.where(better, 0, state.count + swaps.new.sum(1))
        over = ~better & ~swaps.new.any(1)
        # Effects at earlier grids do not tell that there is nothing to find at this one.
        pool = pool.without(over & ~state.own, z.flatten(1))
        stalled = (count >= self._enough(objective)) | (over & state.own)
        status = torch.where(stalled, Status.STALLED, Status.RUNNING)
        return PursuitState(z, fit, pool, count, ~better & (state.own | over)), Proposal(z, best, status)

    def _enough(self, objective: Objective) -> int:
        """Swaps tried at one grid in vain after which a row ends."""
        space = objective.generator.space
        assert isinstance(space, Discrete)
        total = space.positions * (space.codebook_size - 1)
        return total if self.patience is None else min(self.patience, total)


def _decoded(objective: Objective, z: Tensor, swaps: Swaps) -> tuple[Score, Tensor, Tensor]:
    """The scores of single swaps ``(M, C)``, the residuals of the grids held ``(M, n)``, and what each swap adds."""
    grids = torch.cat([z[:, None], alone(z, swaps)], 1)
    rows, count = grids.shape[:2]
    row = torch.arange(rows, device=z.device).repeat_interleave(count)
    score, residual = objective.residuals(grids.flatten(0, 1), row)
    residual = residual.view(rows, count, -1)
    tried = Score(*(part.view(rows, count)[:, 1:] for part in score))
    return tried, residual[:, 0], residual[:, 1:] - residual[:, :1]
