"""Swaps of single codes, ranked by slope and curvature, tried, and made together."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from latentsearch.loop import IterativeSearcher, Proposal
from latentsearch.noise import Noise
from latentsearch.objective import Linear, Objective
from latentsearch.searchers._curvature import curvature, empty_fit, first_guess, learn
from latentsearch.searchers.swaps._moves import ends, made, remembered
from latentsearch.searchers.swaps._swaps import Swaps, merge_sizes, most_promising, untried_first
from latentsearch.spaces import Discrete, LatentSpace

_PER_POSITION = 4  # swaps tried at one position in one step: others may make the next ones pointless
_FADE = 0.8  # of what was learnt about the curvature, in every step
_LATELY = 512  # swaps remembered as failures when the grid has changed, and looked at for others before them


@dataclass
class CoordinateState:
    """Where each row stands.

    Attributes:
        z: ``(M, *S)``, the grid.
        fit: ``(M, 2)``, the curvature's fit.
        tried: ``(M, T)`` int64, ids of swaps tried at this grid, filled up with the id of the code
            that position 0 holds, which is no swap.
        count: ``(M,)`` int64, how many swaps were tried at this grid.
        lately: ``(M, 512)`` int64, ids of the last swaps that helped nowhere, at this grid or at those
            before it; -1 where there were fewer.
    """

    z: Tensor
    fit: Tensor
    tried: Tensor
    count: Tensor
    lately: Tensor


@dataclass(frozen=True)
class CoordinateSearch(IterativeSearcher):
    r"""Swap codes for better ones, and end where no swap is better.

    One gradient ranks the swaps of a code j for the code at position p by

    $$s(p, j) = g_p \cdot \delta + \tfrac12 \lambda \|\delta\|^2, \qquad \delta = e_j - e_{z_p},$$

    with one curvature $\lambda$ a row, fitted to the swaps that were tried: codes are far apart, and
    near a good grid the slope alone says next to nothing. The ``batch`` swaps are decoded from which most
    improvement can be expected, s being wrong by a quarter of its second part: of lowest s alone would be those
    to the nearest codes, which change next to nothing [Jones, Schonlau and Welch, *Efficient global
    optimization*, 1998, equation 15]. Those that help are then made together, the best two, the best three and
    so on, and the best grid of all is the next. A swap that did not help is not tried again until the grid has
    changed, and then after those that were not tried lately: near the end most of what failed would fail again. So the
    loss falls with every change of the grid, and nothing can cycle.

    A row is STALLED once the ``patience`` most promising swaps were tried at its grid in vain, and
    OPTIMAL once all were: a proven optimum among the grids that differ from it in one code.

    Attributes:
        batch: Swaps decoded a step; from 500 rows a problem on, 64 goes further.
        patience: Swaps tried in vain before a row ends; None for all there are.
        restarts: Independent starts a problem.

    Example:
        >>> import latentsearch as ls
        >>> from latentsearch.testing import toys
        >>> toy = toys.codes()
        >>> result = ls.CoordinateSearch().search(toy.generator, toy.constraint, seed=0)
        >>> result.status[0].name, bool((result.score.loss <= toy.optimum).all())
        ('OPTIMAL', True)
    """

    batch: int = 32
    patience: int | None = 512

    spaces: ClassVar[tuple[type, ...]] = (Discrete,)

    def __post_init__(self) -> None:
        super().__post_init__()
        self._require_count("batch")
        if self.patience is not None:
            self._require_count("patience")

    def step_cost(self, space: LatentSpace) -> int:
        return 2 + self.batch + len(merge_sizes(self.batch, 2))

    def start(self, objective: Objective, z: Tensor, noise: Noise) -> CoordinateState:
        zeros = torch.zeros(len(z), dtype=torch.int64, device=z.device)
        lately = zeros.new_full((len(z), _LATELY), -1)
        return CoordinateState(z, empty_fit(objective, len(z)), zeros.new_zeros(len(z), 0), zeros, lately)

    def step(self, objective: Objective, state: CoordinateState, noise: Noise) -> tuple[CoordinateState, Proposal]:
        """Rank, try, make together, and move on to the best grid if it is better."""
        linear = objective.linearise(state.z)
        bend = self._bend(objective, state, linear)
        merges = len(merge_sizes(min(self.batch, state.z[0].numel()), 2))
        swaps = self._ranked(objective, state, linear, bend, self.batch + merges)
        move = made(objective, state.z, linear, bend, swaps, merges)
        size, singles = objective.codebook.shape[-2], move.change.shape[1]
        tried = remembered(state.z, state.tried, swaps, move, size)
        count = torch.where(move.better, 0, state.count + move.used.sum(1))
        # What helped but was not made may help still.
        vain = torch.where(move.change < 0, -1, swaps.ids(size)[:, :singles])
        lately = torch.cat([state.lately, vain], 1)[:, -_LATELY:]
        fit = learn(state.fit, move.beyond_slope, swaps.way[:, :singles], _FADE)
        after = CoordinateState(move.z, fit, tried, count, lately)
        status = ends(objective.generator.space, count, move, self.patience)
        return after, Proposal(move.z, move.score, status)

    def _bend(self, objective: Objective, state: CoordinateState, linear: Linear) -> Tensor:
        guess = first_guess(objective.codebook, linear.gradient)
        return torch.where(state.fit[:, 1] > 0, curvature(state.fit), guess)

    def _ranked(self, objective: Objective, state: CoordinateState, linear: Linear, bend: Tensor, count: int) -> Swaps:
        positions, size = state.z[0].numel(), objective.codebook.shape[-2]
        ahead = max(count, _LATELY if self.patience is None else self.patience)
        each = max(_PER_POSITION, -(-ahead // positions))
        swaps = most_promising(objective.codebook, state.z, linear, bend, ahead, each, state.tried)
        each = max(_PER_POSITION, -(-count // positions))
        # The most promising ones are to be tried before a row ends, be it last.
        return untried_first(swaps, ahead - state.count, state.lately, size, count, each)
