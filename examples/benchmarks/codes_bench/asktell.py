"""Optimisers of other packages, which ask for losses and are told them: one a problem, in lock-step."""

from __future__ import annotations

import importlib
import time
from abc import abstractmethod
from dataclasses import dataclass
from types import ModuleType
from typing import Any, ClassVar, Protocol

import numpy as np
import torch
from torch import Tensor

import latentsearch as ls
from latentsearch.algebra import Score
from latentsearch.errors import Unsupported
from latentsearch.loop import BaseSearcher, best_of, project_each
from latentsearch.loop.arguments import check_needs
from latentsearch.loop.incumbents import Board
from latentsearch.loop.preflight import check_scores
from latentsearch.loop.start import initial_latents
from latentsearch.noise import Noise
from latentsearch.objective import Objective
from latentsearch.result import Status
from latentsearch.spaces import Discrete

# What stands for a loss that is no number: these packages want a finite one.
_BAD = 1e20


def optional(name: str) -> ModuleType:
    """A package that only the benchmark needs."""
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise ImportError(f"this method needs {name}: pip install latentsearch[bench]") from error


class Teller(Protocol):
    """The optimiser of one problem."""

    def ask(self) -> np.ndarray:
        """``(U, P)`` codes to be scored."""

    def tell(self, grids: np.ndarray, losses: np.ndarray) -> None:
        """``(U, P)`` and ``(U,)``: what was scored, which a hard limit may have put back within, and its losses."""


@dataclass(frozen=True)
class AskTellSearch(BaseSearcher):
    """A search by optimisers whose state is their own, so that the package's loop cannot hold it.

    The start is scored first and counts as one row. Budgets are kept, a problem keeps its luck wherever
    it runs, and the result is a hard decode; checkpoints, callbacks and limits of time are not for these.
    """

    spaces: ClassVar[tuple[type, ...]] = (Discrete,)
    needs_gradient: ClassVar[bool] = False
    needs_least_squares: ClassVar[bool] = False
    needs_loss_map: ClassVar[bool] = False

    @abstractmethod
    def teller(self, z: np.ndarray, loss: float, codes: int, seed: int, rows: int) -> Teller:
        """The optimiser of a problem that starts at ``z``, ``(P,)``, with this loss and budget."""

    @abstractmethod
    def population(self, positions: int) -> int:
        """U, how many rows it asks for at once."""

    def check(self, problem: ls.Problem) -> None:
        check_needs(self, problem)  # type: ignore[arg-type]

    def _search(self, problem: ls.Problem, run: ls.Run) -> ls.SearchResult:
        if (
            run.evaluations is None
            or run.steps is not None
            or run.seconds is not None
            or run.callbacks
            or run.checkpoint
        ):
            raise Unsupported(type(self).__name__, got=repr(run), expected="a run with a budget of rows, and no more")
        with torch.no_grad():
            return _Session(self, problem, run).result()


class _Session:
    """One run: what the package's loop would do, for optimisers that are objects."""

    def __init__(
        self,
        method: AskTellSearch,
        problem: ls.Problem,
        run: ls.Run,
    ) -> None:
        generator, constraint, problems = problem.generator, problem.goal, problem.goal.problems
        self.space, self.seeds = generator.space, problem.seeds
        self.noise = Noise.from_seed(self.seeds, problems, 1, generator.device)
        z = initial_latents(generator, problem.init, self.noise.fold(1), problems, 1, constraint.limit)
        constraint, probe = check_scores(generator, constraint, torch.cat([z[:1], z[-1:]]))
        self.limits = run.limit("evaluations", problems)
        self.objective = Objective(generator, constraint, torch.arange(problems, device=z.device), run)
        self.objective.budget = torch.tensor(self.limits, dtype=torch.float64, device=z.device)
        self.board = Board(z, problems, 1, probe.loss.dtype, constraint.judges)
        self.clock, self.steps = time.perf_counter(), 0
        self._search(method, z)

    def _search(self, method: AskTellSearch, z: Tensor) -> None:
        assert isinstance(self.space, Discrete)
        population = method.population(self.space.positions)
        if self._end_the_poor(1):
            score = self.objective(z)
            self._offer(z, score)
            tellers = [
                method.teller(*start, self.space.codebook_size, seed % (1 << 32), int(rows))
                for *start, seed, rows in zip(
                    z.flatten(1).cpu().numpy(), _finite(score.loss), self.seeds, self.limits, strict=True
                )
            ]
        while self._end_the_poor(population):
            self._step(tellers, population)

    def _end_the_poor(self, cost: int) -> bool:
        """End what cannot pay; whether any problem goes on."""
        self.board.end(self.objective.left < cost, Status.BUDGET)
        self.objective.alive = self.board.alive
        return bool(self.board.alive.any())

    def _step(self, tellers: list[Teller], population: int) -> None:
        """One round of questions to the problems that go on, all scored in one batch."""
        alive = self.board.alive.nonzero()[:, 0].tolist()
        shape = (len(tellers), population, *self.space.shape)
        grids = self.board.latent[:, None].expand(shape).clone()
        for b in alive:
            grids[b] = torch.as_tensor(tellers[b].ask()).view(shape[1:]).to(grids)
        # Beyond a hard limit chance decides what goes back, as for the package's own evolution.
        luck = self.noise.fold(2).fold(self.steps).uniform(*shape[1:])
        grids = project_each(self.objective, grids, luck)
        row = torch.tensor(alive, device=grids.device)
        score = self.objective(grids[row].flatten(0, 1), row.repeat_interleave(population))
        losses = score.loss.new_full((len(tellers), population), torch.inf)
        losses[row] = score.loss.view(-1, population)
        satisfied = torch.zeros_like(losses, dtype=torch.bool)
        satisfied[row] = score.satisfied.view(-1, population)
        for b in alive:
            tellers[b].tell(grids[b].flatten(1).cpu().numpy(), _finite(losses[b]))
        self._offer(*best_of(grids, Score(losses, satisfied)))

    def _offer(self, z: Tensor, score: Score) -> None:
        self.board.offer(z, score, self.board.alive)
        if self.board.judges:
            self.board.end(self.board.solved(), Status.SATISFIED)
        self.steps += 1
        self.board.log(self.objective.spent, time.perf_counter() - self.clock)

    def result(self) -> ls.SearchResult:
        board, seconds = self.board, time.perf_counter() - self.clock
        board.flush(self.objective.spent)
        output, score, terms = self.objective.report(board.latent)
        return ls.SearchResult(
            latent=board.latent,
            output=output,
            score=score,
            terms=terms,
            status=tuple(Status(value) for value in board.status.tolist()),
            evaluations=board.spent(),
            steps=self.steps,
            seconds=seconds,
            candidates=board.candidates(),
            trace=board.trace(),
        )


def _finite(loss: Tensor) -> np.ndarray:
    return loss.double().nan_to_num(nan=_BAD, posinf=_BAD).clamp(max=_BAD).cpu().numpy()


@dataclass(frozen=True)
class CatCMA(AskTellSearch):
    """CatCMA with margin (Hamano et al. 2024, 2025) of the package `cmaes`, on codes alone.

    It begins with every code alike and cannot be told of a start, which therefore only counts as a candidate.
    """

    def population(self, positions: int) -> int:
        return int(optional("cmaes").CatCMAwM(c_space=[2] * positions).population_size)

    def teller(self, z: np.ndarray, loss: float, codes: int, seed: int, rows: int) -> Teller:
        return _CatCMATeller(optional("cmaes"), len(z), codes, seed)


class _CatCMATeller:
    def __init__(self, cmaes: Any, positions: int, codes: int, seed: int) -> None:
        self.make = cmaes.CatCMAwM.Solution
        self.optimizer, self.codes = cmaes.CatCMAwM(c_space=[codes] * positions, seed=seed), codes

    def ask(self) -> np.ndarray:
        return np.stack([self.optimizer.ask().c.argmax(-1) for _ in range(self.optimizer.population_size)])

    def tell(self, grids: np.ndarray, losses: np.ndarray) -> None:
        chosen = grids[..., None] == np.arange(self.codes)
        self.optimizer.tell([(self.make(c=c), loss) for c, loss in zip(chosen, losses.tolist(), strict=True)])


@dataclass(frozen=True)
class Nevergrad(AskTellSearch):
    """A discrete optimiser of nevergrad, by its name there."""

    name: str = "DiscreteOnePlusOne"

    def population(self, positions: int) -> int:
        return 1

    def teller(self, z: np.ndarray, loss: float, codes: int, seed: int, rows: int) -> Teller:
        return _NevergradTeller(optional("nevergrad"), self.name, z, float(loss), codes, seed, rows)


class _NevergradTeller:
    """Codes as bins of equal probability of a normal number a position.

    That is what nevergrad's own ``TransitionChoice`` holds, and what its discrete mutations redraw from.
    A ``TransitionChoice`` of 512 codes also holds 512 parameters, and copying these at every question is
    slow.
    """

    def __init__(self, nevergrad: Any, name: str, z: np.ndarray, loss: float, codes: int, seed: int, rows: int) -> None:
        numbers = nevergrad.p.Array(init=np.full(len(z), codes / 2)).set_bounds(0, codes, method="gaussian")
        numbers.random_state = np.random.RandomState(seed)
        make = nevergrad.optimizers.registry[name]
        self.optimizer, self.codes = make(parametrization=numbers, budget=rows, num_workers=1), codes
        # The reference stays in the middle, so that a mutated position is uniform; the start is told.
        self.optimizer.suggest(z + 0.5)
        self.tell(self.ask(), np.array([loss]))

    def ask(self) -> np.ndarray:
        self.asked = self.optimizer.ask()
        return self._codes(self.asked.value)

    def tell(self, grids: np.ndarray, losses: np.ndarray) -> None:
        scored = self.asked
        if (self._codes(scored.value) != grids).any():
            self.optimizer.tell(self.asked, _BAD)
            scored = self.optimizer.parametrization.spawn_child(new_value=grids[0] + 0.5)
        self.optimizer.tell(scored, float(losses[0]))

    def _codes(self, numbers: np.ndarray) -> np.ndarray:
        return np.floor(numbers).clip(0, self.codes - 1).astype(np.int64)[None]


def packages() -> dict[str, AskTellSearch]:
    """By name."""
    nevergrads = ("DiscreteOnePlusOne", "DiscreteLenglerOnePlusOne", "PortfolioDiscreteOnePlusOne")
    return {"CatCMA": CatCMA(), **{f"nevergrad {name}": Nevergrad(name) for name in nevergrads}}
