"""Swaps at all positions of a grid, a whole colour of them in one decode, told apart by where the loss changes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from latentsearch.errors import Unsupported
from latentsearch.goal import Score
from latentsearch.loop import IterativeSearcher, Proposal, best_or_held, maps_each
from latentsearch.noise import Noise
from latentsearch.objective import Objective
from latentsearch.problem import Problem
from latentsearch.result import Status
from latentsearch.searchers._curvature import Curvature
from latentsearch.searchers.swaps._colours import changed_together, number_of_colours, shares
from latentsearch.searchers.swaps._criteria import predicted_change
from latentsearch.searchers.swaps._quadratic import QuadraticModel
from latentsearch.searchers.swaps._swaps import Swaps, combined
from latentsearch.spaces import Discrete, LatentSpace

# How many swaps are combined: one too, since a share is an estimate. Few sizes, since with that many swaps
# tried in a few decodes finer steps cost more than they find.
_SIZES = (1, 6, 36, 216)


def fits_colours(shape: tuple[int, ...], spacing: int = 3) -> bool:
    """Whether every axis of a grid has two blocks at least: one decode then scores several swaps."""
    return min(shape) >= 2 * spacing


@dataclass
class ColouredState:
    """Where each row stands.

    Attributes:
        z: ``(M, *S)``, the grid.
        loss_map: ``(M, *cells)``, of the grid, with as many axes; of no cells before the first step.
        curvature: The curvature, fitted to what was measured.
        tabu: ``(M, T)`` int64, ids of swaps tried at this grid, filled up with the id of the code
            that position 0 holds, which is no swap.
        failures: ``(M,)`` int64, how many steps changed nothing since the grid last changed.
    """

    z: Tensor
    loss_map: Tensor
    curvature: Curvature
    tabu: Tensor
    failures: Tensor


@dataclass(frozen=True)
class ColouredSearch(IterativeSearcher):
    r"""Try a swap at every position of the grid in a few decodes.

    For constraints whose loss is a sum over pixels or steps of time, such as [Matches][latentsearch.Matches],
    [Downscales][latentsearch.Downscales] and [MatchesTokens][latentsearch.MatchesTokens], and decoders through which a
    code is felt mostly near its own place: of images, of signals and sequences, of anything with as many axes as the
    grid. One gradient ranks the swaps, as in [CoordinateSearch][latentsearch.CoordinateSearch].
    Then positions that are ``spacing`` cells apart along every axis are changed in one decode, so that a few decodes
    change each position once, however many there are: ``spacing`` of a sequence, ``spacing ** 2`` of an image. The
    change of the loss in the ``spacing`` cells around a position, along every axis, is attributed to the swap there.

    Such shares are exact only where what codes reach does not overlap, so they only rank. The
    swaps of the largest shares are combined, the best one, the best two, the best four and so on,
    these grids are decoded and scored like any other, and the best is the next. A swap that was tried is
    not tried again until the grid has changed. So the loss falls with every change of the grid,
    and nothing can cycle.

    A row is STALLED after ``patience`` steps that changed nothing. It is never OPTIMAL, since
    estimates prove nothing: ``Then(ColouredSearch(), CoordinateSearch())`` goes on to OPTIMAL.

    Attributes:
        spacing: Cells from one position to the next of its colour, along every axis; 2 is faster from random
            codes while rows are few, and 3 goes further.
        codes: Swaps tried at each position a step, for ``spacing ** axes`` decodes each.
        patience: Steps without improvement before a row ends; None to go on until all swaps were tried.
        restarts: Independent starts a problem.

    Example:
        >>> import latentsearch as ls
        >>> from latentsearch.testing import toys
        >>> toy = toys.codes(shape=(4, 4))
        >>> result = ls.ColouredSearch(spacing=2).search(toy.generator, toy.constraint, seed=0)
        >>> bool((result.score.loss <= toy.optimum).all())
        True
    """

    spacing: int = 3
    codes: int = 1
    patience: int | None = 4

    spaces: ClassVar[tuple[type, ...]] = (Discrete,)
    linearises: ClassVar[bool] = True
    needs_loss_map: ClassVar[bool] = True

    def __post_init__(self) -> None:
        super().__post_init__()
        self._require_count("spacing", 2)
        self._require_count("codes")
        if self.patience is not None:
            self._require_count("patience")

    def step_cost(self, space: LatentSpace) -> int:
        return 2 + 1 + self.codes * number_of_colours(len(space.shape), self.spacing) + len(_SIZES)

    def check(self, problem: Problem) -> None:
        """Raise unless every axis of the grid has two blocks at least."""
        super().check(problem)
        shape = problem.generator.space.shape
        if fits_colours(shape, self.spacing):
            return
        smaller = min(shape) >= 4
        raise Unsupported(
            type(self).__name__,
            got=f"a grid of shape {tuple(shape)}",
            expected=f"at least {2 * self.spacing} cells along every axis, twice the spacing",
            hint=f"use spacing={min(shape) // 2}" if smaller else "use CoordinateSearch, which takes any grid",
        )

    def start(self, objective: Objective, z: Tensor, noise: Noise) -> ColouredState:
        curvature, failures = Curvature.unknown(objective, len(z)), z.new_zeros(len(z))
        loss_map = curvature.value.new_zeros(len(z), *(0 for _ in z.shape[1:]))
        return ColouredState(z, loss_map, curvature, failures.new_zeros(len(z), 0), failures)

    def step(self, objective: Objective, state: ColouredState, noise: Noise) -> tuple[ColouredState, Proposal]:
        """Rank, try a colour at a time, combine what helps, and move on to the best grid if it is better."""
        z, model = state.z, QuadraticModel.at(objective, state.z, state.curvature)
        positions, each = objective.grid.positions, min(self.codes, objective.grid.codebook_size)
        # Not by expected improvement: of many swaps at once those that fail blur the shares of those that help.
        swaps = model.rank(positions * each, each, state.tabu, predicted_change).by_position(positions)

        held = state.loss_map if state.loss_map.numel() else maps_each(objective, z[:, None])[1][:, 0]
        changed = changed_together(z, torch.where(swaps.new, swaps.code, z.flatten(1)[..., None]), self.spacing)
        score, maps = maps_each(objective, changed)
        share = shares(maps - held[:, None], tuple(z.shape[1:]), self.spacing)
        combinations = _combinations(model, swaps, share)
        more, more_maps = maps_each(objective, combinations)

        score = Score.cat([score, more], 1)
        best, best_score, better = best_or_held(z, model.linear.score, torch.cat([changed, combinations], 1), score)
        loss_map, *_ = best_or_held(held, model.linear.score, torch.cat([maps, more_maps], 1), score)
        curvature = model.observe(swaps, torch.where(swaps.new, share, torch.nan))
        failures = torch.where(better, 0, state.failures + 1)
        tabu = self._updated_tabu(state.tabu, swaps, best, better, objective.grid.codebook_size)
        after = ColouredState(best, loss_map, curvature, tabu, failures)
        return after, Proposal(best, best_score, self._status(failures, swaps.new))

    def _updated_tabu(self, tabu: Tensor, swaps: Swaps, z: Tensor, better: Tensor, size: int) -> Tensor:
        """``(M, T)``: ids of the swaps tried at the grid held; where it changed, none."""
        filler = z.flatten(1)[:, :1]
        ids = torch.where(swaps.new, swaps.ids(size), filler[..., None]).flatten(1)
        # No row that goes on tried anything at its grid before so many steps: it would have ended, or run out of codes.
        steps = self.patience or -(-size // self.codes)
        tabu = torch.cat([tabu, ids], 1)[:, -steps * ids.shape[1] :]
        return torch.where(better[:, None], filler, tabu)

    def _status(self, failures: Tensor, new: Tensor) -> Tensor:
        stalled = (failures > 0) & ~new.flatten(1).any(1)
        if self.patience is not None:
            stalled = stalled | (failures >= self.patience)
        return torch.where(stalled, Status.STALLED, Status.RUNNING)


def _combinations(model: QuadraticModel, swaps: Swaps, share: Tensor) -> Tensor:
    """Feasible grids that combine the swaps with the largest shares of a fall of the loss: ``(M, U, *S)``."""
    gain = torch.where(swaps.new & ~share.isnan(), -share, -torch.inf)
    gain, rank = gain.max(2)
    best = Swaps(*(part.gather(2, rank[..., None])[..., 0] for part in swaps))
    sizes = tuple(size for size in _SIZES if size <= gain.shape[1])
    # Where too few swaps seem to help, the next best are decoded alone: a share may be wrong.
    first = gain.argsort(dim=1, descending=True, stable=True)[:, : len(sizes)]
    sets, _ = combined(best, gain, sizes, best.take(first))
    return model.project(sets.applied(model.z), best, gain)
