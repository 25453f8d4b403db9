"""Sets of swaps that cancel the residual together, where the loss is a sum of squares."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from latentsearch.goal import Score
from latentsearch.loop import IterativeSearcher, Proposal, best_or_held, score_each
from latentsearch.noise import Noise
from latentsearch.objective import Objective
from latentsearch.result import Status
from latentsearch.searchers._curvature import Curvature
from latentsearch.searchers.swaps._criteria import predicted_change
from latentsearch.searchers.swaps._pool import Pool, matching_pursuit
from latentsearch.searchers.swaps._quadratic import QuadraticModel
from latentsearch.searchers.swaps._swaps import alone, until_stalled
from latentsearch.spaces import Discrete, LatentSpace

_PER_POSITION = 4  # swaps tried at one position in one step
_SEEDS = 8  # pairs that are grown into sets
_SETS = _SEEDS + 8  # with prefixes of the best of them


@dataclass
class PursuitState:
    """Where each row stands.

    Attributes:
        z: ``(M, *S)``, the grid.
        curvature: The curvature, fitted to what was measured.
        pool: Swaps whose effect on the residual is known.
        count: ``(M,)`` int64, how many swaps were tried at this grid.
        current: ``(M,)`` bool, whether all effects in the pool are those at this grid.
    """

    z: Tensor
    curvature: Curvature
    pool: Pool
    count: Tensor
    current: Tensor


@dataclass(frozen=True)
class PursuitSearch(IterativeSearcher):
    r"""Find sets of swaps that cancel the residual together, though none of them may help alone.

    Where codes are far apart a single swap overshoots, and near a good grid hardly one helps; but what one
    does too much of another takes back. For a constraint whose loss is a sum of squares $\|r\|^2$, such as
    [Matches][latentsearch.Matches] and [Downscales][latentsearch.Downscales], every swap that is decoded
    tells more than its loss: what it adds to the residual, $d$. Effects of swaps at different positions
    nearly add up, so the loss with a set S of them made is about

    $$\Bigl\|r + \sum_{i \in S} d_i\Bigr\|^2,$$

    which costs no decoding. A step decodes the ``batch`` best swaps, by gradient and curvature as in
    [CoordinateSearch][latentsearch.CoordinateSearch], and puts their effects into a pool with those of
    earlier steps. From the pool sets are grown greedily, from the best pairs on: matching pursuit [Mallat and
    Zhang, *Matching pursuits with time-frequency dictionaries*, 1993] with coefficients 0 and 1, and one
    swap a position. The best sets are decoded, and the best grid of all is the next, if it is better: the
    loss only falls, and nothing can cycle. Effects in the pool are those at the grids at which they were
    decoded; what that is wrong by, decoding finds out. Where all swaps are in the pool and no set of them
    helps any more, they are decoded once more at the grid held.

    A row is STALLED once the ``patience`` best swaps, and the sets of them, were tried at its
    grid without improvement. Go on with [CoordinateSearch][latentsearch.CoordinateSearch] to reach OPTIMAL.

    Attributes:
        batch: Swaps decoded a step.
        patience: Swaps tried without improvement before a row ends; None for all there are.
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
    linearises: ClassVar[bool] = True
    needs_least_squares: ClassVar[bool] = True

    def __post_init__(self) -> None:
        super().__post_init__()
        self._require_count("batch")
        if self.patience is not None:
            self._require_count("patience")

    def step_cost(self, space: LatentSpace) -> int:
        return 3 + self.batch + _SETS

    def start(self, objective: Objective, z: Tensor, noise: Noise) -> PursuitState:
        count = z.new_zeros(len(z))
        nothing = count.new_zeros(len(z), 0)
        # How many entries a residual has is known with the first of them.
        pool = Pool(nothing, nothing, torch.zeros(len(z), 0, 0, dtype=objective.generator.dtype, device=z.device))
        return PursuitState(z, Curvature.unknown(objective, len(z)), pool, count, count == 0)

    def step(self, objective: Objective, state: PursuitState, noise: Noise) -> tuple[PursuitState, Proposal]:
        """Decode swaps, grow sets of all that are known, decode these, and move on to the best."""
        model = QuadraticModel.at(objective, state.z, state.curvature)
        each = max(_PER_POSITION, -(-self.batch // objective.grid.positions))
        # Not by expected improvement: small effects are what cancels a small residual, and near codes have them.
        swaps = model.rank(self.batch, each, state.pool.ids(objective.grid.codebook_size), predicted_change)
        singles = alone(swaps).applied(state.z)
        tried, residual, effect = _decoded(objective, state.z, singles)
        pool = state.pool.extend(swaps, effect)
        grids = model.project(pool.sets(matching_pursuit(pool, residual, _SEEDS)).applied(state.z))
        score = Score.cat([tried, score_each(objective, grids)], 1)
        z, best, better = best_or_held(state.z, model.linear.score, torch.cat([singles, grids], 1), score)

        pool = pool.rebase(state.z.flatten(1), z.flatten(1))
        # Of the squares, since beyond a hard limit the loss is infinite.
        curvature = model.observe(swaps, (effect * (2 * residual[:, None] + effect)).sum(2))
        count = torch.where(better, 0, state.count + swaps.new.sum(1))
        over = ~better & ~swaps.new.any(1)
        # Effects at earlier grids do not tell that there is nothing to find at this one.
        pool = pool.clear(over & ~state.current, z.flatten(1))
        stalled = (count >= until_stalled(objective.neighbours, self.patience)) | (over & state.current)
        status = torch.where(stalled, Status.STALLED, Status.RUNNING)
        after = PursuitState(z, curvature, pool, count, ~better & (state.current | over))
        return after, Proposal(z, best, status)


def _decoded(objective: Objective, z: Tensor, singles: Tensor) -> tuple[Score, Tensor, Tensor]:
    """The scores of single swaps' grids ``(M, C, *S)``, the residuals ``(M, n)`` of those held, and each one's effect.

    Returns:
        ``(M, C)``; ``(M, n)``; and what each swap adds to the residual, ``(M, C, n)``.
    """
    grids = torch.cat([z[:, None], singles], 1)
    rows, count = grids.shape[:2]
    row = torch.arange(rows, device=z.device).repeat_interleave(count)
    score, residual = objective.residuals(grids.flatten(0, 1), row)
    residual = residual.view(rows, count, -1)
    tried = score.map(lambda t: t.view(rows, count)[:, 1:])
    return tried, residual[:, 0], residual[:, 1:] - residual[:, :1]
