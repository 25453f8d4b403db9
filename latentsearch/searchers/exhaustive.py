"""Every grid there is: the oracle where they can be counted."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from latentsearch.errors import Unsupported
from latentsearch.loop import IterativeSearcher, Proposal, best_of, score_each
from latentsearch.noise import Noise
from latentsearch.objective import EmbeddingView, Objective
from latentsearch.problem import Problem
from latentsearch.protocols import Generator
from latentsearch.result import Status
from latentsearch.spaces import Discrete, LatentSpace

_MOST = 10_000_000  # grids; hours of decoding with any decoder


@dataclass
class ExhaustiveState:
    """The initial grid, scored first, and how many steps were taken."""

    z: Tensor
    number: int


@dataclass(frozen=True)
class ExhaustiveSearch(IterativeSearcher):
    """Decode all grids of codes in their order, $K^P$ of them, and keep the best.

    For spaces small enough, and to compare other methods with: none can find a better grid. A row is
    OPTIMAL once all grids were decoded. Works with every constraint.

    Attributes:
        batch: Grids a step.
        restarts: Of no use here: all would decode the same.

    Raises:
        Unsupported: If there are more than ten million grids.

    Example:
        >>> import latentsearch as ls
        >>> from latentsearch.testing import toys
        >>> toy = toys.codes()                          # 5 codes at 4 positions: 625 grids
        >>> result = ls.ExhaustiveSearch().search(toy.generator, toy.constraint, seed=0, run=ls.Run(evaluations=700))
        >>> result.status[0].name, bool((result.score.loss == toy.optimum).all())
        ('OPTIMAL', True)
    """

    batch: int = 32

    spaces: ClassVar[tuple[type, ...]] = (Discrete,)
    meets_requirements: ClassVar[bool] = True
    needs_gradient: ClassVar[bool] = False

    def __post_init__(self) -> None:
        super().__post_init__()
        self._require_count("batch")

    def step_cost(self, space: LatentSpace) -> int:
        return self.batch

    def check(self, problem: Problem) -> None:
        super().check(problem)
        space = problem.generator.space
        if count_of_grids(problem.generator) > _MOST:
            raise Unsupported(
                "ExhaustiveSearch",
                got=f"{space}, of {_in_words(problem.generator)} grids",
                expected=f"at most {_MOST:,} grids",
                hint="CoordinateSearch proves optima among single swaps",
            )

    def cost(self, generator: Generator) -> int:
        """Rows that all grids and the initial one take, in whole batches."""
        return -(-(count_of_grids(generator) + 1) // self.batch) * self.batch

    def start(self, objective: Objective, z: Tensor, noise: Noise) -> ExhaustiveState:
        return ExhaustiveState(z, 0)

    def step(self, objective: Objective, state: ExhaustiveState, noise: Noise) -> tuple[ExhaustiveState, Proposal]:
        codes, counts = _codes_and_counts(objective.grid, objective.codebook.own)
        total = math.prod(counts)
        # The initial grid takes the first place, so that no budget is too small to keep it.
        first = state.number * self.batch - 1
        index = torch.arange(first, first + self.batch, device=state.z.device).clamp(0, total - 1)
        grids = _grids(index, codes, counts).view(-1, *state.z.shape[1:]).expand(len(state.z), -1, *state.z.shape[1:])
        if state.number == 0:
            grids = torch.cat([state.z[:, None], grids[:, 1:]], 1)
        done = Status.OPTIMAL if first + self.batch >= total else Status.RUNNING
        status = torch.full((len(grids),), done, device=grids.device)
        proposal = Proposal(*best_of(grids, score_each(objective, grids)), status)
        return ExhaustiveState(state.z, state.number + 1), proposal


def count_of_grids(generator: Generator) -> int:
    """How many grids there are without codes that stand for others."""
    view = EmbeddingView(generator)
    return math.prod(_codes_and_counts(view.grid, view.own)[1])


def _in_words(generator: Generator) -> str:
    view = EmbeddingView(generator)
    if view.own is None:
        return f"{view.grid.codebook_size}^{view.grid.positions}"
    # The logarithm of an integer of any size.
    return f"about 10^{math.log10(count_of_grids(generator)):.0f}"


def _codes_and_counts(space: Discrete, own: Tensor | None) -> tuple[Tensor, list[int]]:
    """The codes of each position, ``(P, K)``, those that stand for themselves first; and how many these are."""
    if own is None:
        codes = torch.arange(space.codebook_size)
        return codes.expand(space.positions, -1), [space.codebook_size] * space.positions
    own = own.expand(*space.shape, -1).flatten(0, -2)
    return own.byte().argsort(dim=-1, descending=True, stable=True), own.sum(1).tolist()


def _grids(index: Tensor, codes: Tensor, counts: list[int]) -> Tensor:
    """The grids with these indices, ``(n, P)``: each digit is one of a position's codes, the last changing fastest."""
    digits = []
    for count in reversed(counts):
        digits.append(index % count)
        index = index // count
    return codes.to(index.device).gather(1, torch.stack(digits[::-1])).mT
