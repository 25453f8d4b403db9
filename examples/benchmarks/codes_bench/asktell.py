"""Optimisers of other packages, which ask for losses and are told them: one a problem, in lock-step."""

from __future__ import annotations

import dataclasses
import importlib
from abc import abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from types import ModuleType
from typing import Any, ClassVar, Protocol

import numpy as np
import torch
from torch import Tensor

import latentsearch as ls
from latentsearch.loop import IterativeSearcher, Proposal, best_of, project_each, score_each
from latentsearch.objective import Objective

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
        """``(U, P)`` and ``(U,)``: what was scored, which a hard limit may have projected, and its losses."""


class Tellers:
    """The optimisers of the rows held: objects of their own, of which the loop moves the indices of the rows only."""

    def __init__(self, row: Tensor, of_row: dict[int, Teller]) -> None:
        self.row, self.of_row = row, of_row

    def tensors(self) -> dict[str, Tensor]:
        return {"row": self.row}

    def rebuilt(self, tensors: dict[str, Tensor]) -> Tellers:
        return Tellers(tensors["row"], self.of_row)

    def __iter__(self) -> Iterator[Teller]:
        return (self.of_row[row] for row in self.row.tolist())


@dataclass(frozen=True)
class _Asked:
    z: Tensor
    tellers: Tellers
    noise: ls.Noise
    rounds: int


@dataclass(frozen=True)
class AskTellSearch(IterativeSearcher):
    """A search by optimisers that are objects of another package.

    The start is scored first and counts as one evaluation. What these objects hold cannot be saved, so a
    checkpoint is refused; the rest of a run is the loop's.

    Attributes:
        seeds: One a problem, from the search: these packages take whole numbers and no streams of noise.
    """

    seeds: tuple[int, ...] = dataclasses.field(default=(), kw_only=True)

    spaces: ClassVar[tuple[type, ...]] = (ls.Discrete,)
    needs_gradient: ClassVar[bool] = False

    def __post_init__(self) -> None:
        super().__post_init__()
        self._require("restarts", self.restarts == 1, "1: a problem has one optimiser")

    @abstractmethod
    def teller(self, z: np.ndarray, loss: float, codes: int, seed: int, evaluations: int) -> Teller:
        """The optimiser of a problem that starts at ``z``, ``(P,)``, with this loss and budget."""

    @abstractmethod
    def population(self, positions: int) -> int:
        """U, how many grids it asks for at once."""

    def step_cost(self, space: ls.LatentSpace) -> int:
        return self.population(space.positions)

    def _search(self, problem: ls.Problem, run: ls.Run) -> ls.SearchResult:
        if run.evaluations is None or run.checkpoint is not None:
            raise ls.Unsupported(
                type(self).__name__,
                got=repr(run),
                expected="a budget of evaluations and no checkpoint: its optimisers cannot be saved",
            )
        seeded = dataclasses.replace(self, seeds=problem.seeds)
        return super(AskTellSearch, seeded)._search(problem, run)

    def start(self, objective: Objective, z: Tensor, noise: ls.Noise) -> _Asked:
        return _Asked(z, Tellers(torch.arange(len(z), device=z.device), {}), noise, 0)

    def step(self, objective: Objective, state: _Asked, noise: ls.Noise) -> tuple[_Asked, Proposal]:
        if state.rounds == 0:
            return self._first_step(objective, state)
        z = torch.stack([torch.as_tensor(teller.ask()) for teller in state.tellers]).to(state.z)
        z = z.unflatten(2, state.z.shape[1:])
        # Beyond a hard limit chance decides what goes back, as for the package's own evolution.
        chance = state.noise.fold(state.rounds).uniform(*z.shape[1:])
        z = project_each(objective, z, lambda _: chance)
        score = score_each(objective, z)
        for teller, grids, losses in zip(state.tellers, z.flatten(2).cpu().numpy(), _finite(score.loss), strict=True):
            teller.tell(grids, losses)
        return dataclasses.replace(state, rounds=state.rounds + 1), Proposal(*best_of(z, score))

    def _first_step(self, objective: Objective, state: _Asked) -> tuple[_Asked, Proposal]:
        """The score of the start, which the optimisers are made with."""
        codes, budgets = objective.generator.space.codebook_size, objective.left.long().tolist()
        score = objective(state.z)
        grids, losses = state.z.flatten(1).cpu().numpy(), _finite(score.loss)
        for i, row in enumerate(state.tellers.row.tolist()):
            seed = self.seeds[row] % (1 << 32)
            state.tellers.of_row[row] = self.teller(grids[i], losses[i], codes, seed, budgets[i])
        return dataclasses.replace(state, rounds=1), Proposal(state.z, score)


def _finite(loss: Tensor) -> np.ndarray:
    return loss.double().nan_to_num(nan=_BAD, posinf=_BAD).clamp(max=_BAD).cpu().numpy()


@dataclass(frozen=True)
class CatCMA(AskTellSearch):
    """CatCMA with margin (Hamano et al. 2024, 2025) of the package `cmaes`, on codes alone.

    It begins with every code alike and cannot be told of a start, which therefore only counts as a candidate.
    """

    def population(self, positions: int) -> int:
        return int(optional("cmaes").CatCMAwM(c_space=[2] * positions).population_size)

    def teller(self, z: np.ndarray, loss: float, codes: int, seed: int, evaluations: int) -> Teller:
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

    def teller(self, z: np.ndarray, loss: float, codes: int, seed: int, evaluations: int) -> Teller:
        return _NevergradTeller(optional("nevergrad"), self.name, z, float(loss), codes, seed, evaluations)


class _NevergradTeller:
    """Codes as bins of equal probability of a normal number a position.

    That is what nevergrad's own ``TransitionChoice`` holds, and what its discrete mutations redraw from.
    A ``TransitionChoice`` of 512 codes also holds 512 parameters, and copying these at every question is
    slow.
    """

    def __init__(
        self, nevergrad: Any, name: str, z: np.ndarray, loss: float, codes: int, seed: int, evaluations: int
    ) -> None:
        array = nevergrad.p.Array(init=np.full(len(z), codes / 2)).set_bounds(0, codes, method="gaussian")
        array.random_state = np.random.RandomState(seed)
        make = nevergrad.optimizers.registry[name]
        self.optimizer, self.codes = make(parametrization=array, budget=evaluations, num_workers=1), codes
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

    def _codes(self, values: np.ndarray) -> np.ndarray:
        return np.floor(values).clip(0, self.codes - 1).astype(np.int64)[None]


def packages() -> dict[str, AskTellSearch]:
    """By name."""
    nevergrads = ("DiscreteOnePlusOne", "DiscreteLenglerOnePlusOne", "PortfolioDiscreteOnePlusOne")
    return {"CatCMA": CatCMA(), **{f"nevergrad {name}": Nevergrad(name) for name in nevergrads}}
