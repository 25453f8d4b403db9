"""Sets of grids, split until a bound rules them out: an optimum of the whole space, with a proof."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar

import torch
from torch import Tensor

from latentsearch.bounds import Bound, LinearBound
from latentsearch.loop import IterativeSearcher, Proposal, best_of, improves, score_each
from latentsearch.noise import Noise
from latentsearch.objective import Objective
from latentsearch.problem import Problem
from latentsearch.result import Status
from latentsearch.searchers.branch_and_bound._frontier import (
    Frontier,
    counts_of,
    halved,
    pushed,
    ranks_of,
    root,
    sorted_for_diving,
)
from latentsearch.spaces import Discrete, LatentSpace


@dataclass
class BranchState:
    """What is still open.

    Attributes:
        z: ``(M, *S)``, the initial grid, scored first.
        best: ``(M,)``, the lowest loss decoded.
        rank: ``(M, P, K)`` int32, where each code is in the order in which codes are split.
        open: The sets that may hold something better.
        number: Steps taken.
    """

    z: Tensor
    best: Tensor
    rank: Tensor
    open: Frontier
    number: int


@dataclass(frozen=True)
class BranchAndBoundSearch(IterativeSearcher):
    r"""Split the space into sets of grids, and drop a set once its bound says that it holds nothing better.

    Branch and bound [Land and Doig, *An automatic method of solving discrete programming problems*,
    Econometrica 1960] without an order of the code indices: a set allows some codes at each
    position. At one position a time its codes are split in two halves that are near to each other
    in embedding space, so that the bound tightens with every split. Of each set that is split, one
    grid is decoded, the middle code at every position; of a single grid, that grid.

    The deepest sets are split first, and of these the one of the lowest bound. So at most ``2 * batch`` sets
    wait at each of the $P \lceil \log_2 K \rceil$ depths: all that is open fits the memory, and nothing is
    ever forgotten.

    A row is OPTIMAL once no set is open: no grid of the *whole space* is better, by more than 64 units
    of rounding of the best. That takes exponentially many evaluations in the worst case, and tight bounds
    to be practical at all: see *Choose a searcher*. Start from a good grid,
    ``Then(Stage(CoordinateSearch(), share=0.1), BranchAndBoundSearch())``: what is known to be
    reachable rules out sets from the first step on.

    A step costs ``batch`` evaluations for decoding and ``2 * batch * bound.evaluations`` for the bounds. The proof is
    about the decoder in its own dtype: `Run(autocast=...)` decodes something else.

    Attributes:
        bound: Any [Bound][latentsearch.bounds.Bound].
        batch: Sets split a step.
        restarts: Of no use here.

    Raises:
        Unsupported: If the bound cannot see through the decoder or the constraint.

    Example:
        >>> import torch
        >>> import latentsearch as ls
        >>> from latentsearch.training import initialised
        >>> with initialised(0):
        ...     net = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(12, 16)).eval()
        >>> codebook = ls.Noise.from_seed(0).normal(5, 3)[0]
        >>> generator = ls.CodebookGenerator(net, codebook, (4,))       # 625 grids
        >>> goal = ls.Matches(generator.decode(torch.tensor([[0, 1, 2, 3]])))
        >>> result = ls.BranchAndBoundSearch(batch=2).search(generator, goal, seed=0)
        >>> result.status[0].name, result.latent.tolist()
        ('OPTIMAL', [[0, 1, 2, 3]])
    """

    bound: Bound = field(default_factory=LinearBound)
    batch: int = 8

    spaces: ClassVar[tuple[type, ...]] = (Discrete,)
    needs_gradient: ClassVar[bool] = False

    def __post_init__(self) -> None:
        super().__post_init__()
        self._require_count("batch")
        self._require("bound", isinstance(self.bound, Bound) and not isinstance(self.bound, type), "a Bound")

    def step_cost(self, space: LatentSpace) -> int:
        return self.batch * (1 + 2 * self.bound.evaluations)

    def check(self, problem: Problem) -> None:
        """Raise unless the bound sees through decoder and goal."""
        super().check(problem)
        self.bound.check(problem.generator, problem.goal)

    def start(self, objective: Objective, z: Tensor, noise: Noise) -> BranchState:
        space = objective.generator.space
        assert isinstance(space, Discrete)
        best = torch.full((len(z),), torch.inf, dtype=objective.generator.dtype, device=z.device)
        rank = ranks_of(objective.codebook, space).expand(len(z), -1, -1)
        everything = root(len(z), space, counts_of(objective.codebook, space), self.batch, best)
        return BranchState(z, best, rank, everything, 0)

    def step(self, objective: Objective, state: BranchState, noise: Noise) -> tuple[BranchState, Proposal]:
        """Split the deepest sets, decode a grid of each, bound the halves, and drop what cannot be better."""
        waiting = sorted_for_diving(state.open)
        split = waiting.first(self.batch)
        grids = self._middles(state, split)
        proposal = Proposal(*best_of(grids, score_each(objective, grids)))
        loss = proposal.score.loss
        best = torch.where(loss < state.best, loss, state.best)

        halves = self._bounded(objective, state.rank, halved(split))
        after = pushed(waiting, halves, self.batch)
        after.lower = torch.where(improves(after.lower, best[:, None]), after.lower, torch.inf)
        done = after.lower.isinf().all(1)
        status = torch.where(done, Status.OPTIMAL, Status.RUNNING)
        return BranchState(state.z, best, state.rank, after, state.number + 1), proposal._replace(status=status)

    def _middles(self, state: BranchState, split: Frontier) -> Tensor:
        """The middle code at each position of each set, ``(M, W, *S)``; in the first step the initial grid too."""
        order = state.rank.argsort(2)
        middle = (split.low + split.high) // 2
        grids = order.gather(2, middle.mT.long()).mT.reshape(*middle.shape[:2], *state.z.shape[1:])
        if state.number == 0:
            grids = torch.cat([state.z[:, None], grids[:, 1:]], 1)
        return grids

    def _bounded(self, objective: Objective, rank: Tensor, sets: Frontier) -> Frontier:
        """Sets with a bound of their own, which is never looser than what they had, and their next position."""
        objective.charge(sets.low.shape[1] * self.bound.evaluations)
        allowed = (rank[:, None] >= sets.low[..., None]) & (rank[:, None] < sets.high[..., None])
        rows, count = sets.lower.shape
        row = torch.arange(rows, device=rank.device).repeat_interleave(count)
        lower, spread = self.bound(objective, allowed.flatten(0, 1), row)
        lower = lower.view(rows, count).to(sets.lower.dtype)
        # A bound that is not a number says nothing.
        sets.lower = torch.where(lower > sets.lower, lower, sets.lower)
        width = sets.high - sets.low
        # Where nothing matters by the bound, the widest position is split.
        spread = spread.view(rows, count, -1).nan_to_num(0.0) + width.to(spread.dtype) * torch.finfo(spread.dtype).tiny
        sets.position = torch.where(width > 1, spread, -1.0).argmax(2)
        return sets
