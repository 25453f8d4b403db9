"""Markov chains that the gradient informs, cooled down."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

import torch
from torch import Tensor

from latentsearch._checks import is_number, is_pair
from latentsearch._rows import share_of
from latentsearch.constraints import Sphere
from latentsearch.errors import Unsupported
from latentsearch.loop import IterativeSearcher, Proposal
from latentsearch.noise import Noise
from latentsearch.objective import Objective, cost_of_draw
from latentsearch.problem import Problem
from latentsearch.protocols import Generator, Prior
from latentsearch.result import Status
from latentsearch.searchers.langevin._discrete_langevin import DiscreteLangevinKernel
from latentsearch.searchers.langevin._mala import MALAKernel
from latentsearch.searchers.langevin._metropolis import Kernel, Point, StepState, Transition, metropolis_hastings
from latentsearch.spaces import Continuous, Discrete, LatentSpace

_STEPS = 300  # without a budget
# How fast the step size adapts: slower in long runs, where what is learnt can be more exact.
_RATE, _WINDOW = 0.3, 30
# Streams of noise; each use folds a constant of its own.
_SCALE, _MOVE = 1, 2


@dataclass
class LangevinState:
    """Where each row stands.

    Attributes:
        point: The latent and its gradient, so that a step linearises the proposal alone.
        scale: ``(M,)``, the loss that the temperature is measured in.
        step: Inverse temperature, step size, and what was learnt.
        steps: ``(M,)`` int64, steps of the schedule.
        number: Steps taken.
    """

    point: Point
    scale: Tensor
    step: StepState
    steps: Tensor
    number: int


@dataclass(frozen=True)
class LangevinSearch(IterativeSearcher):
    r"""Simulated annealing by Markov chains that the gradient informs.

    Each row is a Markov chain. A proposal z' is drawn from a distribution $q(z' \mid z)$ that knows the
    gradient at z, and accepted with probability

    $$\min\Bigl(1, e^{-\beta (L(z') - L(z))} \frac{q(z \mid z')}{q(z' \mid z)}\Bigr),$$

    so that at a constant temperature $1/\beta$ latents are visited in proportion to
    $e^{-\beta L(z)}$. The temperature falls geometrically. It is measured in the loss itself: in
    what replacing one code, or all of a continuous latent, would typically change at the initial latent, to
    first order. Nothing depends on the scale of the loss or of the codebook.

    **Continuous latents** take a Langevin step, $z' \sim N(z - \tfrac{\alpha}{2} \beta \nabla L, \alpha)$:
    MALA [Roberts and Tweedie 1996].

    **Codes** change, any number of them at once, as in the discrete Langevin proposal [Zhang, Liu and
    Liu 2022, section 4](https://arxiv.org/abs/2206.09914). With $\delta_j = e_j - e_{z_p}$, code j at
    position p has the weight

    $$\varepsilon \exp\bigl(-w (g_p \cdot \delta_j + \tfrac{\lambda}{2} \|\delta_j\|^2)\bigr)$$

    as against 1 for staying. The curvature $\lambda$, which sets that paper's step size
    $\alpha = 1/(w \lambda)$, is fitted row by row on what past proposals really cost;
    $1/w = 2/\beta + \sigma/4$, where $\sigma$ is the typical error of these predictions. At least
    one code changes. As $\varepsilon \to 0$ exactly one does: Gibbs with gradients [Grathwohl et al.
    2021](https://arxiv.org/abs/2102.04509).

    The step size, $\sqrt\alpha$ or $\varepsilon$, is adapted row by row to the rate of acceptance, whose
    best value is 0.574 for both [Roberts and Rosenthal 1998; Sun, Dai and Schuurmans
    2022](https://arxiv.org/abs/2209.08183). For samples rather than an optimum set both
    temperatures alike; as adaptation never quite ends they are close to the distribution, not exact.

    Within a [hard limit][latentsearch.Within] codes change one at a time: several changes at once
    would leave it. On a [Sphere][latentsearch.Sphere] no step would end, so that one is refused.

    A step linearises the proposal and costs 2 evaluations. After the last one a row is FINISHED. On codes
    a step holds K elements a position.

    Attributes:
        steps: Steps of the schedule, of which the first scores the initial latent; None for as many
            as the budget pays for, and 300 where there is none.
        temperature: First and last temperature, in units of a typical change.
        acceptance: The rate of acceptance that the step size is adapted to.
        restarts: Independent chains a problem.

    Example:
        >>> import latentsearch as ls
        >>> from latentsearch.testing import toys
        >>> toy = toys.codes()
        >>> result = ls.LangevinSearch().search(toy.generator, toy.constraint, seed=0)
        >>> bool((result.score.loss <= toy.optimum).all())
        True
    """

    steps: int | None = None
    temperature: tuple[float, float] = (0.03, 1e-4)
    acceptance: float = 0.574

    linearises: ClassVar[bool] = True

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.steps is not None:
            self._require_count("steps")
        good = is_pair(self.temperature) and min(self.temperature) > 0
        self._require("temperature", good, "two positive numbers, the first and the last")
        self._require("acceptance", is_number(self.acceptance) and 0 < self.acceptance < 1, "a number between 0 and 1")

    def check(self, problem: Problem) -> None:
        super().check(problem)
        if isinstance(problem.goal.limit, Sphere):
            raise Unsupported(
                type(self).__name__,
                got=f"the hard limit {problem.goal.limit!r}, off which every step leads",
                expected="none, or a ball: Within",
                hint="take SphericalSearch, or a Shell in place of the Sphere",
            )

    def step_cost(self, space: LatentSpace) -> int:
        return 2

    def prior_cost(self, generator: Generator, prior: Prior) -> float:
        # The first step of a chain on continuous latents is scaled by a draw.
        return cost_of_draw(prior) if isinstance(generator.space, Continuous) else 0

    def start(self, objective: Objective, z: Tensor, noise: Noise) -> LangevinState:
        # The first step fills this in: to linearise costs evaluations.
        dtype = torch.promote_types(objective.generator.dtype, torch.float32)
        unknown = torch.zeros(len(z), dtype=dtype, device=z.device)
        nothing = unknown.new_zeros(len(z), 0)
        point, step = Point(z, unknown, nothing, nothing), StepState(unknown, unknown, nothing)
        return LangevinState(point, unknown, step, self._schedule(objective), 0)

    def _schedule(self, objective: Objective) -> Tensor:
        """``(M,)``: the steps of each row's schedule."""
        left = objective.left
        if self.steps is not None:
            return torch.full_like(left, self.steps, dtype=torch.int64)
        affordable = (left / self.whole_step_cost(objective)).floor()
        return torch.where(left.isinf(), _STEPS, affordable).clamp(min=1).long()

    def step(self, objective: Objective, state: LangevinState, noise: Noise) -> tuple[LangevinState, Proposal]:
        discrete = isinstance(objective.generator.space, Discrete)
        kernel: Kernel = DiscreteLangevinKernel() if discrete else MALAKernel()
        advance = self._begin if state.number == 0 else self._transition
        state, proposal = advance(kernel, objective, state, noise)
        state = replace(state, number=state.number + 1)
        ended = torch.where(state.number >= state.steps, Status.FINISHED, Status.RUNNING)
        return state, proposal._replace(status=ended)

    def _begin(
        self, kernel: Kernel, objective: Objective, state: LangevinState, noise: Noise
    ) -> tuple[LangevinState, Proposal]:
        """Score the initial latents, and measure the loss there."""
        score, point = kernel.at(objective, state.point.z)
        dtype = state.scale.dtype
        limits = torch.finfo(dtype)
        scale = kernel.typical_change(objective, point, noise.fold(_SCALE)).to(dtype)
        # Where the loss is flat there is nothing to measure: cold, but not so that β overflows.
        scale = torch.maximum(scale, limits.eps * point.loss.abs()).clamp(min=limits.tiny**0.5)
        step = kernel.init(objective, point, 1 / (self.temperature[0] * scale))
        return replace(state, point=point, scale=scale, step=step), Proposal(point.z, score)

    def _transition(
        self, kernel: Kernel, objective: Objective, state: LangevinState, noise: Noise
    ) -> tuple[LangevinState, Proposal]:
        """Propose, accept or reject, and learn from it."""
        first, last = self.temperature
        share = share_of(state.number, state.steps, state.scale)
        temperature = first * (last / first) ** share
        step = replace(state.step, beta=1 / (temperature * state.scale))
        move = metropolis_hastings(kernel, objective, state.point, step, noise.fold(_MOVE))
        rate = share_of(_WINDOW, state.steps, state.scale).clamp(max=_RATE)
        fit = kernel.observe(objective, step.fit, state.point, move.proposed, 1 - rate[:, None])
        step = StepState(step.beta, step.log_step + rate * self._longer(move), fit)
        return replace(state, point=move.point, step=step), Proposal(move.proposed.z, move.score)

    def _longer(self, move: Transition) -> Tensor:
        """By how much the acceptance exceeds its target; not below 0 where shorter steps are no remedy."""
        excess = move.acceptance - self.acceptance
        return torch.where(move.reducible, excess, excess.clamp(min=0))
