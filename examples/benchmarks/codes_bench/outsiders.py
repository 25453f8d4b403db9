"""Published methods that the package does not ship, written for the comparison."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

import latentsearch as ls
from latentsearch.goal import Score
from latentsearch.loop import IterativeSearcher, Proposal, best_of, project_each, score_each
from latentsearch.noise import Noise
from latentsearch.objective import Objective
from latentsearch.spaces import Discrete, LatentSpace


@dataclass
class GridState:
    """The grid that is held; counted steps serve all rows."""

    z: Tensor
    loss: Tensor
    number: int


@dataclass(frozen=True)
class GCG(IterativeSearcher):
    """Greedy coordinate gradient (Zou et al. 2023, algorithm 1), as published.

    The ``top`` codes of each position by first-order change alone; ``batch`` single swaps drawn uniformly over
    positions and these codes; the best of them is the next grid, better or not.
    """

    batch: int = 64
    top: int = 32

    spaces: ClassVar[tuple[type, ...]] = (Discrete,)

    def step_cost(self, space: LatentSpace) -> int:
        return 2 + self.batch

    def start(self, objective: Objective, z: Tensor, noise: Noise) -> GridState:
        return GridState(z, torch.full((len(z),), torch.inf, device=z.device), 0)

    def step(self, objective: Objective, state: GridState, noise: Noise) -> tuple[GridState, Proposal]:
        linear = objective.linearise(state.z)
        first_order = objective.codebook.products(linear.gradient)
        if linear.table is not None:
            first_order = first_order + linear.table
        codes = first_order.flatten(1, -2).topk(min(self.top, first_order.shape[-1]), largest=False).indices
        position = noise.fold(0).integers(codes.shape[1], self.batch)
        choice = noise.fold(1).integers(codes.shape[2], self.batch)
        code = codes.flatten(1).gather(1, position * codes.shape[2] + choice)
        score = objective.swaps(state.z, position, code)
        best = torch.where(score.loss.isnan(), torch.inf, score.loss).argmin(1, keepdim=True)
        found = score.map(lambda t: t.gather(1, best)[:, 0])
        z = state.z.flatten(1).scatter(1, position.gather(1, best), code.gather(1, best)).view_as(state.z)
        # At the brim of a hard limit all swaps drawn may lie beyond it, and none is a place to be.
        z = _choose(found.loss.isinf(), state.z, z)
        # The grid it started from counts, too: what is reported is the best seen.
        better = found.loss < linear.score.loss
        seen = _choose(better, z, state.z)
        kept = Score.where(better, found, linear.score)
        return GridState(z, found.loss, state.number + 1), Proposal(seen, kept)


@dataclass(frozen=True)
class OnePlusLambda(IterativeSearcher):
    """The discrete (1 + λ) evolution: each code is redrawn with probability 1 / P, and at least one."""

    children: int = 10

    spaces: ClassVar[tuple[type, ...]] = (Discrete,)
    needs_gradient: ClassVar[bool] = False

    def step_cost(self, space: LatentSpace) -> int:
        return self.children

    def start(self, objective: Objective, z: Tensor, noise: Noise) -> GridState:
        return GridState(z, torch.full((len(z),), torch.inf, device=z.device), 0)

    def step(self, objective: Objective, state: GridState, noise: Noise) -> tuple[GridState, Proposal]:
        space = objective.generator.space
        assert isinstance(space, Discrete)
        rows, count = len(state.z), self.children
        flat = state.z.flatten(1)[:, None].expand(-1, count, -1)
        redrawn = noise.fold(0).uniform(count, space.positions) < 1 / space.positions
        redrawn = redrawn.scatter(2, noise.fold(1).integers(space.positions, count)[..., None], True)
        codes = noise.fold(2).integers(space.codebook_size, count, space.positions)
        grids = torch.where(redrawn, codes, flat)
        if state.number == 0:
            grids = torch.cat([flat[:, :1], grids[:, 1:]], 1)
        grids = grids.view(rows, count, *space.shape)
        # Beyond a hard limit chance decides what goes back.
        grids = project_each(objective, grids, lambda _: noise.fold(3).uniform(count, *space.shape))
        z, score = best_of(grids, score_each(objective, grids))
        # Equals replace, so that plateaus are crossed.
        better = score.loss <= state.loss
        kept = _choose(better, z, state.z)
        return GridState(kept, torch.where(better, score.loss, state.loss), state.number + 1), Proposal(z, score)


def _choose(rows: Tensor, yes: Tensor, no: Tensor) -> Tensor:
    """``(M, *S)``: where ``rows``, ``(M,)``, holds, the first."""
    return torch.where(rows[:, None], yes.flatten(1), no.flatten(1)).view_as(yes)


def outsiders() -> dict[str, ls.Searcher]:
    """By name."""
    return {"GCG": GCG(), "(1+λ) evolution": OnePlusLambda()}
