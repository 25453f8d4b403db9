"""Gradient descent in a continuous latent space."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import ClassVar

import torch
from torch import Tensor

from latentsearch.loop import IterativeSearcher, OptimizerFactory, Proposal, RowOptimizer, check_row_local
from latentsearch.noise import Noise
from latentsearch.objective import Objective
from latentsearch.protocols import Generator
from latentsearch.result import Status
from latentsearch.spaces import Continuous, LatentSpace


@dataclass
class GradientState:
    """Where each row stands, and its loss one step ago."""

    z: RowOptimizer
    previous: Tensor


@dataclass(frozen=True)
class GradientSearch(IterativeSearcher):
    r"""Move the latent against the gradient of the loss.

    With plain SGD and a tolerance this is Algorithm 1 of *Exploring Test Time Optimization for
    Discrete Neural Representation Learners* (appendix A.4):
    $z_{i+1} = z_i - \alpha \nabla L(z_i)$ until $|L_i - L_{i-1}| \le \lambda$.

    Attributes:
        optimizer: A factory of torch optimisers, ``[tensor] -> optimizer``; one that treats each
            number by itself, which is proved on two rows before the run.
        tolerance: $\lambda$; a row whose loss changes by no more is STALLED. None: go on.
        restarts: Independent starts a problem.

    Example:
        >>> import latentsearch as ls
        >>> from latentsearch.testing import toys
        >>> toy = toys.bowl()
        >>> result = ls.GradientSearch().search(toy.generator, toy.constraint, seed=0)
        >>> bool((result.score.loss < 1e-3).all())
        True
    """

    optimizer: OptimizerFactory = partial(torch.optim.Adam, lr=0.1)
    tolerance: float | None = None

    spaces: ClassVar[tuple[type, ...]] = (Continuous,)

    def __post_init__(self) -> None:
        super().__post_init__()
        self._require("tolerance", self.tolerance is None or self.tolerance >= 0, "None, or a number >= 0")

    def step_cost(self, space: LatentSpace) -> int:
        return 2

    def validate(self, generator: Generator) -> None:
        check_row_local("GradientSearch.optimizer", self.optimizer)

    def start(self, objective: Objective, z: Tensor, noise: Noise) -> GradientState:
        # L_0 of Algorithm 1 is INTMAX.
        previous = torch.full((len(z),), torch.inf, dtype=z.dtype, device=z.device)
        return GradientState(RowOptimizer(self.optimizer, z), previous)

    def step(self, objective: Objective, state: GradientState, noise: Noise) -> tuple[GradientState, Proposal]:
        z = state.z.value.clone()
        score, gradient = objective.value_and_gradient(z)
        state.z.step(gradient)
        if objective.limit is not None:
            state.z.value.copy_(objective.project(state.z.value))
        status = None
        if self.tolerance is not None:
            settled = (score.loss - state.previous).abs() <= self.tolerance
            status = torch.where(settled, Status.STALLED, Status.RUNNING)
        return GradientState(state.z, score.loss), Proposal(z, score, status)
