"""Swaps of single codes, ranked by a quadratic model, evaluated, and combined."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from latentsearch.loop import IterativeSearcher, Proposal
from latentsearch.noise import Noise
from latentsearch.objective import Objective
from latentsearch.searchers._curvature import Curvature
from latentsearch.searchers.swaps._evaluate import evaluate
from latentsearch.searchers.swaps._quadratic import QuadraticModel
from latentsearch.searchers.swaps._swaps import combination_sizes, recent_last
from latentsearch.searchers.swaps._tabu import TabuList
from latentsearch.spaces import Discrete, LatentSpace

_PER_POSITION = 4  # swaps tried at one position in one step: others may make the next ones pointless
_RECENT = 512  # swaps remembered as failures when the grid has changed, and looked at for others before them


@dataclass
class CoordinateState:
    """Where each row stands.

    Attributes:
        z: ``(M, *S)``, the grid.
        curvature: The curvature, fitted to what was measured.
        tabu: Swaps tried at this grid.
        recent: ``(M, 512)`` int64, ids of the last swaps that helped nowhere, at this grid or at those
            before it; -1 where there were fewer.
    """

    z: Tensor
    curvature: Curvature
    tabu: TabuList
    recent: Tensor


@dataclass(frozen=True)
class CoordinateSearch(IterativeSearcher):
    r"""Swap codes for better ones, and end where no swap is better.

    One gradient ranks the swaps of a code j for the code at position p by

    $$s(p, j) = g_p \cdot \delta + \tfrac12 \lambda \|\delta\|^2, \qquad \delta = e_j - e_{z_p},$$

    with one curvature $\lambda$ a row, fitted to the swaps that were tried: codes are far apart, and near a good
    grid the gradient alone says next to nothing. A [LogPrior][latentsearch.LogPrior] of a prior that can propose
    adds $-\log r_p(j) + \log r_p(z_p)$, with r what it says of position p given the others. The ``batch`` swaps of
    the largest expected improvement are decoded, s being wrong by a quarter of its second part: of lowest s alone
    would be those to the nearest codes, which change next to nothing [Jones, Schonlau and Welch, *Efficient global
    optimization*, 1998, equation 15]. Those that help are then combined, the best two, the best three and so on,
    and the best grid of all is the next. A swap that did not help is not tried again until the grid has changed,
    and then after those that were not tried recently: near the end most of what failed would fail again. So the
    loss falls with every change of the grid, and nothing can cycle.

    A row is STALLED once the ``patience`` best swaps at its grid bring no improvement, and OPTIMAL once none of
    all swaps does: a 1-swap local optimum, proven among the grids that differ from it in one code.

    Attributes:
        batch: Swaps decoded a step; from 500 evaluations a problem on, 64 goes further.
        patience: Swaps tried without improvement before a row ends; None for all there are.
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
    linearises: ClassVar[bool] = True

    def __post_init__(self) -> None:
        super().__post_init__()
        self._require_count("batch")
        if self.patience is not None:
            self._require_count("patience")

    def step_cost(self, space: LatentSpace) -> int:
        return 2 + self.batch + len(combination_sizes(self.batch, 2))

    def evaluations_to_stall(self, space: LatentSpace) -> int:
        """What a row spends from its last improvement until it stalls; only for one with a patience."""
        assert self.patience is not None
        return -(-self.patience // self.batch) * self.step_cost(space)

    def start(self, objective: Objective, z: Tensor, noise: Noise) -> CoordinateState:
        recent = z.new_full((len(z), _RECENT), -1)
        return CoordinateState(z, Curvature.unknown(objective, len(z)), TabuList.empty(z), recent)

    def step(self, objective: Objective, state: CoordinateState, noise: Noise) -> tuple[CoordinateState, Proposal]:
        """Rank, evaluate, combine, and move on to the best grid if it is better."""
        model = QuadraticModel.at(objective, state.z, state.curvature)
        size, positions = objective.grid.codebook_size, objective.grid.positions
        combinations = len(combination_sizes(min(self.batch, positions), 2))
        count = self.batch + combinations
        ahead = max(count, _RECENT if self.patience is None else self.patience)
        ranked = model.rank(ahead, _per_position(ahead, positions), state.tabu.ids)
        # The best ones are to be tried before a row ends, be it last.
        first = ahead - state.tabu.count
        swaps = recent_last(ranked, first, state.recent, size, count, _per_position(count, positions))
        outcome = evaluate(model, swaps, combinations)

        tabu = state.tabu.update(outcome, swaps, size)
        # What helped but was not made may help still.
        failed = torch.where(outcome.change < 0, -1, outcome.swaps.ids(size))
        recent = torch.cat([state.recent, failed], 1)[:, -_RECENT:]
        after = CoordinateState(outcome.z, model.observe(outcome.swaps, outcome.measured), tabu, recent)
        return after, Proposal(outcome.z, outcome.score, tabu.status(outcome, objective.neighbours, self.patience))


def _per_position(count: int, positions: int) -> int:
    """How many swaps at one position at most; as many as it takes to have so many."""
    return max(_PER_POSITION, -(-count // positions))
