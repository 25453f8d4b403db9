"""What a method is: settings, how to start, and how to step. The loop does everything else."""

from __future__ import annotations

import dataclasses
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor

from latentsearch.algebra import Constraint
from latentsearch.errors import InvalidArgument
from latentsearch.loop.loop import Loop
from latentsearch.loop.method import Proposal
from latentsearch.noise import Noise
from latentsearch.objective import Objective
from latentsearch.protocols import Generator
from latentsearch.result import SearchResult
from latentsearch.run import Run
from latentsearch.spaces import Continuous, Discrete, LatentSpace


@dataclass(frozen=True)
class IterativeSearcher(ABC):
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

    def __post_init__(self) -> None:
        self._require_count("restarts")

    @abstractmethod
    def step_cost(self, space: LatentSpace) -> int:
        """The most rows that one step costs per row, in a space of this kind."""

    def next_step_cost(self, space: LatentSpace, state: Any) -> int:
        """The most evaluations that the step from this state, or any after it, costs per row.

        At most ``step_cost``, which it is unless a method says that its steps become cheaper.
        """
        return self.step_cost(space)

    @abstractmethod
    def start(self, objective: Objective, z: Tensor, noise: Noise) -> Any:
        """The state at hard latents ``z``, ``(M, *S)``; spends nothing."""

    @abstractmethod
    def step(self, objective: Objective, state: Any, noise: Noise) -> tuple[Any, Proposal | None]:
        """One step of all held rows. The first one proposes a score for the initial latents."""

    def validate(self, generator: Generator) -> None:
        """Raise if the settings cannot work on this generator; called before a run."""

    def search(
        self,
        generator: Generator,
        constraint: Constraint,
        *,
        init: Tensor | None = None,
        seed: int | Sequence[int] | None = None,
        run: Run = Run(),  # noqa: B008 - frozen, so sharing one is safe
    ) -> SearchResult:
        """Find latents whose outputs fulfil the constraint.

        Args:
            generator: A frozen decoder with its latent space.
            constraint: The wish, for B problems.
            init: Where to start: ``(B, *S)``, ``(B, R, *S)`` or ``(1, *S)`` hard latents; a draw
                from the generator's prior if not given.
            seed: One integer, or one a problem; None for fresh entropy.
            run: Budget, progress, callbacks, checkpoints, memory.

        Returns:
            The best found, with its trace and the reason why each problem ended.

        Raises:
            InvalidArgument: If something cannot work; before the first step.
            SearchFailed: If user code raises in mid-search; it carries the best so far.
        """
        with torch.no_grad():
            return Loop(self, generator, constraint, init, seed, run).run()

    def _require(self, name: str, holds: bool, expected: str) -> None:
        if not holds:
            raise InvalidArgument(f"{type(self).__name__}.{name}", got=repr(getattr(self, name)), expected=expected)

    def _require_count(self, name: str, least: int = 1) -> None:
        value = getattr(self, name)
        self._require(name, isinstance(value, int) and value >= least, f"a whole number of at least {least}")
