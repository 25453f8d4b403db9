"""Markov chains that the gradient informs, cooled down."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from latentsearch.loop import IterativeSearcher, Proposal
from latentsearch.noise import Noise
from latentsearch.objective import Objective
from latentsearch.result import Status
from latentsearch.searchers.langevin._discrete_langevin import JumpKernel
from latentsearch.searchers.langevin._mala import DriftKernel
from latentsearch.searchers.langevin._metropolis import Kernel, Move, Pace, Point, metropolis
from latentsearch.spaces import Discrete, LatentSpace

_STEPS = 300  # where there is no budget to go by
# How fast the pace adapts: slower in long runs, where what is learnt can be more exact.
_RATE, _WINDOW = 0.3, 30
# Streams of noise; each use folds a constant of its own.
_SCALE, _MOVE = 1, 2


@dataclass
class LangevinState:
    """Where each row stands.

    Attributes:
        point: The latent and its slopes, so that a step linearises the proposal alone.
        scale: ``(M,)``, the loss that the temperature is measured in.
        pace: Inverse temperature, step size, and what was learnt.
        steps: ``(M,)`` int64, steps of the schedule.
        number: Steps taken.
    """

    point: Point
    scale: Tensor
    pace: Pace
    steps: Tensor
    number: int


@dataclass(frozen=True)
class LangevinSearch(IterativeSearcher):
    r"""Walk at random, as the gradient advises, at a temperature that falls.

    Each row is a Markov chain. A proposal z' is drawn from a law $q(z' \mid z)$ that knows the
    gradient at z, and accepted with probability

    $$\min\Bigl(1, e^{-\beta (L(z') - L(z))} \frac{q(z \mid z')}{q(z' \mid z)}\Bigr),$$

    so that at a constant temperature $1/\beta$ latents are visited in proportion to
    $e^{-\beta L(z)}$. The temperature falls geometrically. It is measured in the loss itself: in
    what replacing one code, or all the numbers, would typically change at the initial latent, to
    first order. Nothing depends on the scale of the loss or of the codebook.

    **Numbers** take a Langevin step, $z' \sim N(z - \tfrac{\alpha}{2} \beta \nabla L, \alpha)$:
    MALA [Roberts and Tweedie 1996].

    **Codes** jump, any number of them at once, as in the discrete Langevin proposal [Zhang, Liu and
    Liu 2022, section 4](https://arxiv.org/abs/2206.09914). With $\delta_j = e_j - e_{z_p}$, code j at
    position p has the weight

    $$\varepsilon \exp\bigl(-w (g_p \cdot \delta_j + \tfrac{\lambda}{2} \|\delta_j\|^2)\bigr)$$

    as against 1 for staying. The curvature $\lambda$, which sets that paper's step size
    $\alpha = 1/(w \lambda)$, is fitted row by row on what the moves really cost;
    $1/w = 2/\beta + \sigma/4$, where $\sigma$ is the typical error of these predictions. At least
    one code changes. As $\varepsilon \to 0$ exactly one does: Gibbs with gradients [Grathwohl et al.
    2021](https://arxiv.org/abs/2102.04509).

    The step size, $\sqrt\alpha$ or $\varepsilon$, is adapted row by row to the rate of acceptance, whose
    best value is 0.574 for both [Roberts and Rosenthal 1998; Sun, Dai and Schuurmans
    2022](https://arxiv.org/abs/2209.08183). For samples rather than an optimum set both
    temperatures alike; as adaptation never quite ends they are close to the distribution, not exact.

    Within a [hard limit][latentsearch.Within] codes change one at a time: what several jumps at once
    would leave, one stays within.

    A step linearises the proposal and costs 2 rows. After the last one a row is FINISHED. On codes
    a step holds K numbers a position.

    Attributes:
        steps: Steps of the schedule, of which the first scores the initial latent; None for as many
            as the row budget pays for, and 300 where there is none.
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

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.steps is not None:
            self._require_count("steps")
        pair = isinstance(self.temperature, Sequence) and len(self.temperature) == 2
        self._require("temperature", pair and min(self.temperature) > 0, "two positive numbers, the first and the last")
        self._require("acceptance", 0 < self.acceptance < 1, "a number between 0 and 1")

    def step_cost(self, space: LatentSpace) -> int:
        return 2

    def start(self, objective: Objective, z: Tensor, noise: Noise) -> LangevinState:
        # The first step fills this in: to linearise costs rows.
        dtype = torch.promote_types(objective.generator.dtype, torch.float32)
        unknown = torch.zeros(len(z), dtype=dtype, device=z.device)
        nothing = unknown.new_zeros(len(z), 0)
        return LangevinState(
            Point(z, unknown, nothing, nothing), unknown, Pace(unknown, unknown, nothing), self._schedule(objective), 0
        )

    def _schedule(self, objective: Objective) -> Tensor:
        """``(M,)``: the steps of each row's schedule."""
        left = objective.left
        if self.steps is not None:
            return torch.full_like(left, self.steps, dtype=torch.int64)
        return (
            torch.where(left.isinf(), _STEPS, (left / self.step_cost(objective.generator.space)).floor())
            .clamp(min=1)
            .long()
        )

    def step(self, objective: Objective, state: LangevinState, noise: Noise) -> tuple[LangevinState, Proposal]:
        kernel: Kernel = JumpKernel() if isinstance(objective.generator.space, Discrete) else DriftKernel()
        advance = self._begin if state.number == 0 else self._walk
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
        pace = kernel.first_pace(objective, point, 1 / (self.temperature[0] * scale))
        return replace(state, point=point, scale=scale, pace=pace), Proposal(point.z, score)

    def _walk(
        self, kernel: Kernel, objective: Objective, state: LangevinState, noise: Noise
    ) -> tuple[LangevinState, Proposal]:
        """Make one move, and learn from it."""
        first, last = self.temperature
        share = (state.number / state.steps).clamp(max=1).to(state.scale.dtype)
        temperature = first * (last / first) ** share
        pace = replace(state.pace, beta=1 / (temperature * state.scale))
        move = metropolis(kernel, objective, state.point, pace, noise.fold(_MOVE))
        rate = (_WINDOW / state.steps).clamp(max=_RATE).to(state.scale.dtype)
        fit = kernel.learned(objective, pace.fit, state.point, move.there, 1 - rate[:, None])
        pace = Pace(pace.beta, pace.log_step + rate * self._longer(move), fit)
        return replace(state, point=move.point, pace=pace), Proposal(move.there.z, move.score)

    def _longer(self, move: Move) -> Tensor:
        """By how much the acceptance exceeds what is wanted; not below 0 where shorter steps are no remedy."""
        excess = move.chance - self.acceptance
        return torch.where(move.reducible, excess, excess.clamp(min=0))
