"""MALA as a sampler: the step size is learnt first and then left alone."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

import torch
from torch import Tensor

from latentsearch.constraints import LogPrior, Sphere
from latentsearch.errors import Unsupported
from latentsearch.goal import Score
from latentsearch.loop import Draw, IterativeSearcher
from latentsearch.noise import Noise
from latentsearch.objective import Objective
from latentsearch.problem import Problem
from latentsearch.result import Status
from latentsearch.searchers.langevin._mala import MALAKernel
from latentsearch.searchers.langevin._metropolis import Point, StepState, metropolis_hastings
from latentsearch.spaces import Continuous, LatentSpace

_LARGEST = 0.3  # the first share of an excess of acceptance by which the log step grows


@dataclass
class MALAState:
    """Where each chain stands.

    Attributes:
        point: The latent with its loss and gradient.
        satisfied: ``(M,)`` bool, there.
        step: The step size.
        number: Steps taken.
    """

    point: Point
    satisfied: Tensor
    step: StepState
    number: int


@dataclass(frozen=True)
class MALASearch(IterativeSearcher):
    r"""Draw from a posterior with the help of the gradient: the Metropolis-adjusted Langevin algorithm.

    Roberts and Tweedie, *Exponential convergence of Langevin distributions and their discrete approximations*
    (Bernoulli 1996). The goal is the posterior, in nats: ``Matches(..., noise=sigma) + LogPrior(prior)``, and latents
    are visited in proportion to $e^{-\mathrm{loss}}$. The step size is adapted row by row to an acceptance of 0.574
    [Roberts and Rosenthal 1998] in the burn-in, and fixed after it, so that the chain is exact from there on; this is
    what [LangevinSearch][latentsearch.LangevinSearch], which cools down and keeps the best, never is.

    **The answer of a row is where its chain ends**, a draw and not the best that it saw: ``result.candidates.latent``
    has one for each of the restarts. For few dimensions
    [EllipticalSliceSearch][latentsearch.EllipticalSliceSearch] needs no gradient. A step costs 2 evaluations.

    Attributes:
        burn_in: Steps in which the step size is learnt.
        transitions: Steps after them; then a row is FINISHED.
        restarts: Independent chains a problem.

    Example:
        >>> import latentsearch as ls
        >>> from latentsearch.testing import toys
        >>> toy = toys.bowl()
        >>> posterior = 50 * toy.constraint + ls.LogPrior(toy.generator.prior)
        >>> result = ls.MALASearch(restarts=3).search(toy.generator, posterior, seed=0, run=ls.Run(evaluations=None))
        >>> result.candidates.latent.shape, result.steps
        (torch.Size([2, 3, 4]), 201)
    """

    burn_in: int = 100
    transitions: int = 100

    spaces: ClassVar[tuple[type, ...]] = (Continuous,)
    samples: ClassVar[bool] = True

    def __post_init__(self) -> None:
        super().__post_init__()
        self._require_count("burn_in", 0)
        self._require_count("transitions")

    def check(self, problem: Problem) -> None:
        super().check(problem)
        goal = problem.goal
        if not any(isinstance(term, LogPrior) for term in goal.constraints):
            raise Unsupported(
                "MALASearch",
                got=f"{goal!r}, which has no prior",
                expected="a posterior in nats",
                hint="add ls.LogPrior(generator.prior)",
            )
        if isinstance(goal.limit, Sphere):
            got = f"the hard limit {goal.limit!r}, off which every step leads"
            raise Unsupported("MALASearch", got=got, expected="none, or a ball: Within")

    def step_cost(self, space: LatentSpace) -> int:
        return 2

    def start(self, objective: Objective, z: Tensor, noise: Noise) -> MALAState:
        # The first step fills this in: a gradient costs evaluations.
        unknown = torch.zeros(len(z), dtype=torch.promote_types(z.dtype, torch.float32), device=z.device)
        point = Point(z, unknown, torch.zeros_like(z), unknown.new_zeros(len(z), 0))
        step = StepState(unknown + 1, unknown.clone(), unknown.new_zeros(len(z), 0))
        return MALAState(point, torch.zeros_like(unknown, dtype=torch.bool), step, 0)

    def step(self, objective: Objective, state: MALAState, noise: Noise) -> tuple[MALAState, Draw]:
        advance = self._begin if state.number == 0 else self._transition
        state = replace(advance(objective, state, noise), number=state.number + 1)
        last = state.number > self.burn_in + self.transitions
        ended = torch.full_like(state.satisfied, Status.FINISHED if last else Status.RUNNING, dtype=torch.int64)
        score = Score(state.point.loss, state.satisfied)
        return state, Draw(state.point.z, score, ended)

    def _begin(self, objective: Objective, state: MALAState, noise: Noise) -> MALAState:
        kernel = MALAKernel()
        score, point = kernel.at(objective, state.point.z)
        return replace(state, point=point, satisfied=score.passed, step=kernel.init(objective, point, state.step.beta))

    def _transition(self, objective: Objective, state: MALAState, noise: Noise) -> MALAState:
        move = metropolis_hastings(MALAKernel(), objective, state.point, state.step, noise)
        learning = max(1 - state.number / self.burn_in, 0.0) if self.burn_in else 0.0
        longer = _LARGEST * learning**0.5 * (move.acceptance - 0.574)
        step = replace(state.step, log_step=state.step.log_step + longer)
        satisfied = torch.where(move.accepted, move.score.passed, state.satisfied)
        return replace(state, point=move.point, satisfied=satisfied, step=step)
