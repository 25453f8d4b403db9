"""What Algorithms 2 and 3 share: an embedding that accumulates gradient until a code flips.

Between two flips the grid, hence the gradient, stays the same, so the embedding moves along a
straight line. When the first code flips is therefore known without decoding anything in between:
code j takes over from the current code c at position p after ``floor(a / (-2 α s)) + 1`` steps,
where ``a = |e - e_j|² - |e - e_c|²`` is how much farther off it is now, and ``s = g·(e_j - e_c)``.
"""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from functools import partial
from typing import ClassVar, Literal

import torch
from torch import Tensor

from latentsearch._checks import is_number, require_flag
from latentsearch._codebook import Codebook
from latentsearch._codes import grid_hash
from latentsearch._rows import per_row
from latentsearch.loop import IterativeSearcher, OptimizerFactory, Proposal, RowOptimizer
from latentsearch.noise import Noise
from latentsearch.objective import Objective
from latentsearch.result import Status
from latentsearch.searchers.straight_through._step_size import StepSize
from latentsearch.searchers.straight_through._visited import nearest_unvisited
from latentsearch.spaces import Discrete, LatentSpace


@dataclass
class CodeState:
    """Where each row stands.

    Attributes:
        z: ``(M, *S)``, the grid.
        e: ``(M, *S, D)``, the embedding that accumulates; with an optimiser, together with its moments.
        waited: ``(M,)`` int64, steps since a code last changed.
        steps: ``(M,)`` int64, steps of the step size taken in all.
        visited: ``(M, T)`` int64, hashes of the grids visited.
        step_size: What a step size that sets itself depends on.
    """

    z: Tensor
    e: RowOptimizer
    waited: Tensor
    steps: Tensor
    visited: Tensor
    step_size: StepSize


@dataclass(frozen=True)
class CodeDescent(IterativeSearcher):
    """Base of Algorithms 2 and 3; the settings are explained in StraightThroughSearch."""

    lr: float | None = 1000.0
    patience: int = 1_000_000  # steps without a change cost no decoding here, so patience is cheap
    on_repeat: Literal["stop", "continue", "mask"] = "stop"
    snap: bool = False

    spaces: ClassVar[tuple[type, ...]] = (Discrete,)
    linearises: ClassVar[bool] = True

    def __post_init__(self) -> None:
        super().__post_init__()
        good = self.lr is None or (is_number(self.lr) and self.lr > 0)
        self._require("lr", good, "a positive number, or None for one that sets itself")
        self._require_count("patience", least=0)
        self._require("on_repeat", self.on_repeat in ("stop", "continue", "mask"), "'stop', 'continue' or 'mask'")
        require_flag(f"{type(self).__name__}.snap", self.snap)

    def step_cost(self, space: LatentSpace) -> int:
        return 2

    @property
    def _optimizer(self) -> OptimizerFactory | None:
        """What moves the embedding in place of plain steps, whose flips can be foreseen."""
        return None

    @property
    def _sets_itself(self) -> bool:
        return self.lr is None and self._optimizer is None

    @abstractmethod
    def _mask(self, gradient: Tensor) -> Tensor:
        """The part of the gradient ``(N, *S, D)`` that is followed."""

    def start(self, objective: Objective, z: Tensor, noise: Noise) -> CodeState:
        # Without an optimiser of its own the embedding is moved here, and the rate of this one is never used.
        factory = self._optimizer or partial(torch.optim.SGD, lr=1.0)
        zeros = torch.zeros(len(z), dtype=torch.int64, device=z.device)
        e, step_size = RowOptimizer(factory, objective.embed(z)), StepSize.init(objective, len(z))
        return CodeState(z, e, zeros, zeros, z.new_zeros(len(z), 0), step_size)

    def step(self, objective: Objective, state: CodeState, noise: Noise) -> tuple[CodeState, Proposal]:
        """Score the grid, see whether it was visited before, and move on to the next grid."""
        score, gradient = objective.embedding_gradient(state.z)
        code_hash = grid_hash(state.z, objective.grid.codebook_size)[:, None]
        # A grid that merely has not changed yet is not a repeat.
        repeated = (state.visited == code_hash).any(1) & (state.waited == 0)
        # Where nothing is made of repeats, none are kept.
        visited = state.visited if self.on_repeat == "continue" else torch.cat([state.visited, code_hash], 1)
        step_size = state.step_size.observe(score.loss) if self._sets_itself else state.step_size
        z, waited, moves = self._moved(objective, state, self._mask(gradient), step_size)
        # The pseudocode leaves its inner loop once the count exceeds λ: after λ + 1 steps.
        status = torch.where(waited > self.patience, Status.STALLED, Status.RUNNING)
        if self.on_repeat == "stop":
            status = torch.where(repeated, Status.REPEATED, status)
        if self.on_repeat == "mask":
            z, waited, status = self._masked(objective, state.e, z, waited, visited)
        if self._sets_itself:
            move = objective.embed(z) - objective.embed(state.z)
            step_size = step_size.update(score.loss, gradient, move)
        after = CodeState(z, state.e, waited, state.steps + moves, visited, step_size)
        return after, Proposal(state.z, score, status)

    def _moved(
        self, objective: Objective, state: CodeState, gradient: Tensor, step_size: StepSize
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Move ``e`` in place; the next grid, the steps since a code changed, and the steps taken."""
        moves = self._advance(objective.codebook, state, gradient, step_size)
        z = _nearest_feasible(objective, state.e.value)
        changed = (z != state.z).flatten(1).any(1)
        if self.snap:
            state.e.value.copy_(objective.embed(z))
            # With e back on the codebook, a grid that one step does not change is never left.
            moves = torch.where(changed, moves, self.patience + 1)
        return z, torch.where(changed, 0, state.waited + moves), moves

    def _advance(self, codebook: Codebook, state: CodeState, gradient: Tensor, step_size: StepSize) -> Tensor:
        """Move ``e`` in place to the next flip, or by one step where it is not foreseen; steps taken."""
        if self._optimizer is not None:
            state.e.step(gradient)
            return torch.ones_like(state.waited)
        rate = step_size.value(codebook, gradient) if self.lr is None else self.lr
        move = rate * gradient
        count = torch.ones_like(state.waited)
        if not self.snap:
            left = self.patience + 1 - state.waited
            count = steps_to_flip(codebook, state.e.value, state.z, move).clamp(max=left.to(move.dtype)).to(count.dtype)
        state.e.value.sub_(per_row(count, move) * move)
        return count

    def _masked(
        self, objective: Objective, e: RowOptimizer, z: Tensor, waited: Tensor, visited: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Another grid in place of one that was visited, or that is never left; the steps waited, and the status."""
        known = (visited == grid_hash(z, objective.grid.codebook_size)[:, None]).any(1)
        blocked = (known & (waited == 0)) | (waited > self.patience)
        other, found = nearest_unvisited(objective.codebook, e.value, z, visited)
        new = torch.where(per_row(blocked, z), other, z)
        # The embedding goes with its code: else the next step would lead back at once.
        e.value.copy_(torch.where((new != z)[..., None], objective.embed(new), e.value))
        status = torch.where(blocked & ~found, Status.REPEATED, Status.RUNNING)
        return new, torch.where(blocked, 0, waited), status


def _nearest_feasible(objective: Objective, e: Tensor) -> Tensor:
    """The feasible grid nearest to ``(M, *S, D)`` embeddings."""
    z = objective.codebook.nearest(e)

    def farther(center: Tensor) -> Tensor:
        """How much farther off the centre's codes would be."""
        return (e - objective.embed(center)).square().sum(-1) - (e - objective.embed(z)).square().sum(-1)

    return objective.project(z, priority=farther)


def steps_to_flip(codebook: Codebook, e: Tensor, z: Tensor, step: Tensor) -> Tensor:
    """``(N,)``: how many times ``step`` is subtracted from ``e`` until a code other than ``z`` is nearest.

    Args:
        codebook: The codes.
        e: ``(N, *S, D)``.
        z: ``(N, *S)``, the nearest codes of e.
        step: ``(N, *S, D)``.

    Returns:
        At least 1; ``inf`` where nothing ever flips.
    """
    farther = codebook.excess(e)
    farther = farther - farther.gather(-1, z[..., None])
    speed = codebook.products(step)
    speed = speed.gather(-1, z[..., None]) - speed
    # Where it is positive the other code draws nearer by twice as much in every step.
    crossing = torch.where(speed > 0, farther.clamp(min=0) / (2 * speed), torch.inf)
    return crossing.flatten(1).amin(1).floor() + 1
