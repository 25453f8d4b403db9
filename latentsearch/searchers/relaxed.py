"""Gradient descent on logits over codes, hardened as it goes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import ClassVar

import torch
from torch import Tensor

from latentsearch.noise import Noise
from latentsearch.objective import Objective
from latentsearch.protocols import Generator
from latentsearch.relaxations import Estimator, SoftmaxRelaxation
from latentsearch.result import Status
from latentsearch.searchers._iterative import IterativeSearcher, Proposal
from latentsearch.searchers._optimizer import OptimizerFactory, RowOptimizer, check_row_local
from latentsearch.spaces import Discrete


@dataclass
class RelaxedState:
    """The logits ``(M, *S, K)`` with their optimiser, and how many steps were taken."""

    logits: RowOptimizer
    number: int


@dataclass(frozen=True)
class RelaxedSearch(IterativeSearcher):
    r"""Descend on logits through a relaxation whose temperature falls, checking hard codes as it goes.

    Every position holds logits over the K codes. Each step decodes their relaxation and moves them
    by the optimiser; the temperature falls geometrically over ``steps`` steps. Every ``check_every``
    steps, and at the end, the arg-max is decoded as it is: only these hard grids can become the
    answer, since a soft optimum that dies at arg-max is no answer. After its last step a row is
    FINISHED.

    Attributes:
        steps: Steps of the schedule; the last one only checks.
        temperature: First and last temperature.
        check_every: Steps between hard checks.
        sharpness: Logit of the initial code, all others being 0.
        optimizer: A factory of torch optimisers.
        relaxation: From a temperature to an [Estimator][latentsearch.relaxations.Estimator].
        restarts: Independent starts a problem.

    Example:
        >>> from latentsearch.testing import toys
        >>> toy = toys.codes()
        >>> result = RelaxedSearch().search(toy.generator, toy.constraint, seed=0)
        >>> bool((result.score.loss <= toy.optimum).all())
        True
    """

    steps: int = 100
    temperature: tuple[float, float] = (1.0, 0.05)
    check_every: int = 10
    sharpness: float = 1.0
    optimizer: OptimizerFactory = partial(torch.optim.Adam, lr=1.0)
    relaxation: Callable[[float], Estimator] = SoftmaxRelaxation

    spaces: ClassVar[tuple[type, ...]] = (Discrete,)

    def __post_init__(self) -> None:
        super().__post_init__()
        self._require_count("steps")
        self._require_count("check_every")
        self._require("sharpness", self.sharpness > 0, "a positive number, so that the search starts at its init")
        pair = isinstance(self.temperature, Sequence) and len(self.temperature) == 2
        self._require("temperature", pair and min(self.temperature) > 0, "two positive numbers, the first and the last")

    @property
    def step_rows(self) -> int:
        return 3

    def validate(self, generator: Generator) -> None:
        check_row_local("RelaxedSearch.optimizer", self.optimizer)

    def start(self, objective: Objective, z: Tensor, noise: Noise) -> RelaxedState:
        space, dtype = objective.generator.space, objective.generator.dtype
        assert isinstance(space, Discrete)
        return RelaxedState(RowOptimizer(self.optimizer, self.sharpness * space.one_hot(z, dtype)), 0)

    def step(self, objective: Objective, state: RelaxedState, noise: Noise) -> tuple[RelaxedState, Proposal | None]:
        last = state.number >= self.steps
        proposal = None
        if last or state.number % self.check_every == 0:
            z = state.logits.value.argmax(-1)
            ended = torch.full((len(z),), Status.FINISHED if last else Status.RUNNING, device=z.device)
            proposal = Proposal(z, objective(z), ended)
        if not last:
            self._descend(objective, state, noise)
        return RelaxedState(state.logits, state.number + 1), proposal

    def _descend(self, objective: Objective, state: RelaxedState, noise: Noise) -> None:
        first, final = self.temperature
        estimator = self.relaxation(first * (final / first) ** (state.number / self.steps))
        leaf = state.logits.leaf
        with torch.enable_grad():
            surrogate = estimator(leaf, lambda z, row: objective(z, row).loss, noise)
            (gradient,) = torch.autograd.grad(surrogate.sum(), leaf)
        state.logits.step(gradient)
