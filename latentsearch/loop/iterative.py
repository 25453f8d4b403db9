"""What a method is: settings, how to start, and how to step. The loop does everything else."""

from __future__ import annotations

import dataclasses
import math
from abc import abstractmethod
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor

from latentsearch._checks import require_count
from latentsearch._context import kept
from latentsearch._lock import locked
from latentsearch.errors import InvalidArgument
from latentsearch.goal import Goal
from latentsearch.loop.arguments import check_needs
from latentsearch.loop.draws import drawn_from
from latentsearch.loop.loop import Loop
from latentsearch.loop.method import Draw, Proposal
from latentsearch.loop.searcher import BaseSearcher
from latentsearch.noise import Noise
from latentsearch.objective import Objective
from latentsearch.problem import Problem
from latentsearch.protocols import Generator, Prior
from latentsearch.result import SearchResult
from latentsearch.run import Run
from latentsearch.spaces import Continuous, Discrete, LatentSpace


@dataclass(frozen=True)
class IterativeSearcher(BaseSearcher):
    """Base of the methods: settings, and two functions of a state.

    A state is a dataclass of tensors with rows first (and whole numbers that serve all rows alike),
    so the loop can drop rows, save and resume any method without knowing it.

    Attributes:
        restarts: R, independent starts a problem. They share its budget, and the best one counts.
            With ``init`` of one latent a problem the first restart starts there, the others from
            the prior.
    """

    restarts: int = dataclasses.field(default=1, kw_only=True)

    spaces: ClassVar[tuple[type, ...]] = (Continuous, Discrete)
    needs_gradient: ClassVar[bool] = True
    needs_least_squares: ClassVar[bool] = False
    needs_loss_map: ClassVar[bool] = False
    linearises: ClassVar[bool] = False  # a step of it takes what `Objective.linearise` says of the whole goal
    meets_requirements: ClassVar[bool] = False  # whether what it ranks first is the least loss that meets thresholds
    samples: ClassVar[bool] = False  # its answer is a draw: where a chain stands, and not the best it has been

    def __post_init__(self) -> None:
        self._require_count("restarts")

    @abstractmethod
    def step_cost(self, space: LatentSpace) -> int:
        """The most evaluations that one step costs per row, in a space of this kind."""

    def prior_cost(self, generator: Generator, prior: Prior) -> float:
        """The most evaluations that one step spends on a prior, per row; `cost_of_draw` and `cost_of_pass` tell."""
        return 0

    def next_step_cost(self, space: LatentSpace, state: Any) -> int:
        """The most evaluations that the step from this state, or any after it, costs per row.

        At most ``step_cost``, which it is unless a method says that its steps become cheaper.
        """
        return self.step_cost(space)

    def whole_step_cost(self, objective: Objective, state: Any = None) -> float:
        """The most evaluations that one step costs per row, the prior's included; from a state, if given."""
        space, prior = objective.generator.space, objective.prior.prior
        own = self.step_cost(space) if state is None else self.next_step_cost(space, state)
        return own + self.prior_cost(objective.generator, prior) + self._swap_cost(objective.per_problem)

    def _swap_cost(self, goal: Goal) -> float:
        """Evaluations that a step spends on terms that know more of swaps than their gradient."""
        return goal.swap_cost if self.linearises else 0.0

    def shortage(self, objective: Objective) -> str:
        """What a budget that pays for a step is still too small for, in words; empty where it is not. It is logged."""
        return ""

    @abstractmethod
    def start(self, objective: Objective, z: Tensor, noise: Noise) -> Any:
        """The state at hard latents ``z``, ``(M, *S)``; spends nothing."""

    @abstractmethod
    def step(self, objective: Objective, state: Any, noise: Noise) -> tuple[Any, Proposal | Draw | None]:
        """One step of all held rows. The first one proposes a score for the initial latents, or draws."""

    @property
    def leaves(self) -> int:
        return 1

    def check(self, problem: Problem) -> None:
        """Raise if this problem cannot be searched with these settings; before a run, and nothing is decoded for it.

        One that overrides it calls this one first.
        """
        check_needs(self, problem)

    def least_evaluations(self, problem: Problem) -> int:
        prior = drawn_from(problem, samples=self.samples)
        own = self.step_cost(problem.generator.space) + self.prior_cost(problem.generator, prior)
        own += self._swap_cost(problem.goal.goal)
        return math.ceil(own * self.restarts)

    def _search(self, problem: Problem, run: Run) -> SearchResult:
        def found() -> SearchResult:
            return kept(locked("Run.checkpoint", run.checkpoint), lambda: Loop(self, problem, run).run())

        return kept(torch.no_grad(), found)

    def _require(self, name: str, holds: bool, expected: str) -> None:
        if not holds:
            raise InvalidArgument(f"{type(self).__name__}.{name}", got=repr(getattr(self, name)), expected=expected)

    def _require_count(self, name: str, least: int = 1) -> None:
        require_count(f"{type(self).__name__}.{name}", getattr(self, name), least)
