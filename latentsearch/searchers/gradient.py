"""Gradient descent in a continuous latent space."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import ClassVar

import torch
from torch import Tensor

from latentsearch._checks import is_number
from latentsearch.loop import IterativeSearcher, OptimizerFactory, Proposal, RowOptimizer, check_row_local
from latentsearch.noise import Noise
from latentsearch.objective import Objective
from latentsearch.problem import Problem
from latentsearch.result import Status
from latentsearch.spaces import Continuous, LatentSpace


@dataclass
class GradientState:
    """Where each row stands, at least in float32, and its loss one step ago."""

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
            element by itself, which a preflight check on two rows confirms.
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
        good = self.tolerance is None or (is_number(self.tolerance) and self.tolerance >= 0)
        self._require("tolerance", good, "a number of at least 0, or None")

    def step_cost(self, space: LatentSpace) -> int:
        return 2

    def check(self, problem: Problem) -> None:
        super().check(problem)
        check_row_local("GradientSearch.optimizer", self.optimizer)

    def start(self, objective: Objective, z: Tensor, noise: Noise) -> GradientState:
        # L_0 of Algorithm 1 is INTMAX.
        previous = torch.full((len(z),), torch.inf, dtype=z.dtype, device=z.device)
        # Half precision is too coarse for an optimiser's state: Adam's eps is 0 there.
        return GradientState(RowOptimizer(self.optimizer, z.to(torch.promote_types(z.dtype, torch.float32))), previous)

    def step(self, objective: Objective, state: GradientState, noise: Noise) -> tuple[GradientState, Proposal]:
        dtype = objective.generator.dtype
        z = state.z.value.to(dtype, copy=True)
        score, gradient = objective.value_and_gradient(z)
        state.z.step(gradient.to(state.z.value.dtype))
        _keep_feasible(objective, state.z.value)
        status = None
        if self.tolerance is not None:
            settled = (score.loss - state.previous).abs() <= self.tolerance
            status = torch.where(settled, Status.STALLED, Status.RUNNING)
        return GradientState(state.z, score.loss), Proposal(z, score, status)


def _keep_feasible(objective: Objective, value: Tensor) -> None:
    """Project latents ``(M, *S)`` in place; those that are feasible keep the digits that the decoder does not see."""
    seen = value.to(objective.generator.dtype)
    projected = objective.project(seen)
    value.copy_(torch.where(projected == seen, value, projected.to(value.dtype)))
