"""Gradient descent on logits over codes, hardened as it goes."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import ClassVar

import torch
from torch import Tensor

from latentsearch._checks import is_number, is_pair
from latentsearch._rows import share_of
from latentsearch.loop import IterativeSearcher, OptimizerFactory, Proposal, RowOptimizer, check_row_local
from latentsearch.noise import Noise
from latentsearch.objective import Objective
from latentsearch.problem import Problem
from latentsearch.relaxations import EstimatorOrFactory, SoftmaxRelaxation, require_estimator, resolve_estimator
from latentsearch.result import Status
from latentsearch.searchers._curvature import Curvature
from latentsearch.spaces import Discrete, LatentSpace

_STEPS = 100  # without a budget
_FADE = 0.5  # of earlier equations for the curvature; a check adds one, and checks are few


@dataclass
class RelaxedState:
    """Where each row stands.

    Attributes:
        logits: ``(M, *S, K)`` with their optimiser.
        fit: The curvature, fitted to what was measured.
        steps: ``(M,)`` int64, steps of the schedule.
        number: Steps taken.
    """

    logits: RowOptimizer
    fit: Curvature
    steps: Tensor
    number: int


@dataclass(frozen=True)
class RelaxedSearch(IterativeSearcher):
    r"""Descend on logits through a relaxation that hardens, checking hard codes as it goes.

    Every position p holds logits over the K codes, a distribution $q_p$ whose mean embedding
    $\bar e_p$ is decoded. A mean can do what no code can, and the arg-max loses that. Two
    things harden it over the schedule: a temperature that falls geometrically, and a penalty on the
    spread about the mean, whose weight rises linearly from 0 to ``curvature``:

    $$\mathbb{E}_q[L(e)] \approx L(\bar e) + \tfrac12 \lambda \sum_p \mathbb{E}_{q_p} \|e - \bar e_p\|^2,$$

    the expected loss to second order, with one number for all its curvature. $\lambda$ is fitted,
    row by row, on how much worse each hard check is than the mean beside it: it costs no evaluations, and
    adapts to the scale of any loss and any codebook.

    Every ``check_every`` steps, and at the end, the arg-max is decoded as it is: only these hard
    grids can become the answer. After its last step a row is FINISHED.

    Attributes:
        steps: Steps of the schedule, after which comes a last check; None for as many times
            ``check_every`` as the budget pays for, and 100 where there is none.
        temperature: First and last temperature.
        curvature: Last weight of the spread: 1 is the expansion above, 0 leaves it out.
        check_every: Steps between hard checks, of a relaxation that takes two evaluations a step. One that takes
            more is checked more often, so that checks take the same share of the evaluations.
        sharpness: Logit of the initial code, all others being 0.
        optimizer: A factory of torch optimisers.
        relaxation: An [Estimator][latentsearch.relaxations.Estimator], or a factory of them from the temperatures,
            ``(N, 1, ..., 1)``, one a row.
        restarts: Independent starts a problem.

    Example:
        >>> import latentsearch as ls
        >>> from latentsearch.testing import toys
        >>> toy = toys.codes()
        >>> result = ls.RelaxedSearch().search(toy.generator, toy.constraint, seed=0)
        >>> bool((result.score.loss <= toy.optimum).all())
        True
    """

    steps: int | None = None
    temperature: tuple[float, float] = (1.0, 0.05)
    curvature: float = 1.0
    check_every: int = 10
    sharpness: float = 1.0
    # With an eps of 1e-8, losses of another scale would be searched in another way.
    optimizer: OptimizerFactory = partial(torch.optim.Adam, lr=0.5, betas=(0.9, 0.9), eps=1e-20)
    relaxation: EstimatorOrFactory = SoftmaxRelaxation

    spaces: ClassVar[tuple[type, ...]] = (Discrete,)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.steps is not None:
            self._require_count("steps")
        self._require_count("check_every")
        self._require("curvature", is_number(self.curvature) and self.curvature >= 0, "a finite number of at least 0")
        sharp = is_number(self.sharpness) and self.sharpness > 0
        self._require("sharpness", sharp, "a positive number, so that the search starts at its init")
        good = is_pair(self.temperature) and min(self.temperature) > 0
        self._require("temperature", good, "two positive numbers, the first and the last")
        require_estimator("RelaxedSearch.relaxation", self.relaxation, torch.ones((), dtype=torch.float32))

    def step_cost(self, space: LatentSpace) -> int:
        return 1 + self._descent_cost(space)

    def _descent_cost(self, space: LatentSpace) -> int:
        """The evaluations that the relaxation takes for a step, besides the hard check."""
        assert isinstance(space, Discrete)
        return resolve_estimator(self.relaxation, torch.ones((), dtype=torch.float32)).evaluations(
            space.shape, space.codebook_size
        )

    def _between(self, space: LatentSpace) -> int:
        """Steps between hard checks."""
        return max(1, min(self.check_every, self.check_every * 2 // self._descent_cost(space)))

    def _stretch(self, space: LatentSpace) -> int:
        """What the steps from one hard check to the next cost, with the check."""
        return self._descent_cost(space) * self._between(space) + 1

    def evaluations_of(self, steps: int, space: LatentSpace) -> int:
        """What a schedule of so many steps costs, the last check with a step of no use included."""
        return -(-steps // self._between(space)) * self._stretch(space) + self.step_cost(space)

    def steps_within(self, evaluations: float, space: LatentSpace) -> int:
        """The steps of the longest schedule that so many evaluations pay for; 1 at least."""
        stretches = (evaluations - self.step_cost(space)) // self._stretch(space)
        return max(1, self._between(space) * int(stretches))

    def check(self, problem: Problem) -> None:
        super().check(problem)
        check_row_local("RelaxedSearch.optimizer", self.optimizer)

    def start(self, objective: Objective, z: Tensor, noise: Noise) -> RelaxedState:
        # Wide enough for squares of gradients, and for the epsilons of optimisers, which half precision takes for 0.
        wide = torch.promote_types(objective.generator.dtype, torch.float32)
        logits = RowOptimizer(self.optimizer, self.sharpness * objective.grid.one_hot(z, wide))
        return RelaxedState(logits, Curvature.unknown(objective, len(z)), self._schedule(objective), 0)

    def _schedule(self, objective: Objective) -> Tensor:
        """``(M,)``: the steps of each row's schedule."""
        left, space = objective.left, objective.generator.space
        if self.steps is not None:
            return torch.full_like(left, self.steps, dtype=torch.int64)
        every, stretch, last = self._between(space), self._stretch(space), self.step_cost(space)
        affordable = every * ((left - last) / stretch).floor()
        return torch.where(left.isinf(), _STEPS, affordable).clamp(min=1).long()

    def step(self, objective: Objective, state: RelaxedState, noise: Noise) -> tuple[RelaxedState, Proposal | None]:
        last = state.number == self.steps  # which the host knows only where it was told
        proposal = None
        if last or state.number % self._between(objective.generator.space) == 0:
            z = _hardened(objective, state.logits.value)
            ended = torch.where(state.number >= state.steps, Status.FINISHED, Status.RUNNING)
            proposal = Proposal(z, objective(z), ended)
        fit = state.fit if last else self._descend(objective, state, proposal, noise)
        return RelaxedState(state.logits, fit, state.steps, state.number + 1), proposal

    def _descend(self, objective: Objective, state: RelaxedState, check: Proposal | None, noise: Noise) -> Curvature:
        """Move the logits; what the curvature's fit has become."""
        first, final = self.temperature
        leaf = state.logits.leaf
        share = share_of(state.number, state.steps, leaf)
        temperature = (first * (final / first) ** share).view(-1, *[1] * (leaf.ndim - 1))
        loss = _SpreadPenalised(objective, state.fit, self.curvature * share if self.curvature else None, check)
        with torch.enable_grad():
            surrogate = resolve_estimator(self.relaxation, temperature)(leaf, loss, noise)
            (gradient,) = torch.autograd.grad(surrogate.sum(), leaf)
        state.logits.step(gradient)
        return loss.fit


def _hardened(objective: Objective, logits: Tensor) -> Tensor:
    """The arg-max; within a hard limit, with the codes that are farthest ahead of the centre's."""

    def ahead(center: Tensor) -> Tensor:
        return logits.amax(-1) - logits.gather(-1, center[..., None])[..., 0]

    return objective.project(logits.argmax(-1), priority=ahead)


class _SpreadPenalised:
    """The loss that an estimator sees: of hard codes as it is, of mixtures with a penalty on their spread.

    At a mixture that is one code already, as straight-through estimators decode it, the penalty is 0
    and its gradient with respect to the share of code j is λ/2 times the squared distance to j.

    Attributes:
        fit: What is known of the curvature, with the hard check taken in once a mixture has been scored.
    """

    def __init__(self, objective: Objective, fit: Curvature, weight: Tensor | None, check: Proposal | None) -> None:
        self.objective, self.fit, self._weight, self._check = objective, fit, weight, check

    def __call__(self, z: Tensor, row: Tensor) -> Tensor:
        if z.is_floating_point():
            z = z.to(self.objective.generator.dtype)
        z = self.objective.project(z, row)
        loss = self.objective(z, row).loss
        if self._weight is None or not z.requires_grad:
            return loss
        if self._check is not None and len(z) == len(self.fit.sums):
            self._learn(z, loss, self._check)
            self._check = None
        codebook = self.objective.codebook
        mean = self.objective.embed(z)
        spread = (z * codebook.squares).sum(-1) - mean.square().sum(-1)
        penalty = 0.5 * self._weight * self.fit.value.to(loss.dtype)
        return loss + penalty[row] * spread.flatten(1).sum(1)

    def neighbourhood(self, z: Tensor, code: Tensor | None) -> Tensor:
        """Losses of single swaps, ``(M, P, C)``, as an estimator asks for them; patches where they are cheaper."""
        rows, positions = z.flatten(1).shape
        if code is None:
            size = self.objective.grid.codebook_size
            code = torch.arange(size, device=z.device).expand(rows, positions, size)
        position = torch.arange(positions, device=z.device).repeat_interleave(code.shape[-1]).expand(rows, -1)
        return self.objective.swaps(z, position, code.flatten(1)).loss.view(code.shape)

    def _learn(self, z: Tensor, loss: Tensor, check: Proposal) -> None:
        """One more equation for λ: the hard loss is that of the mean, a first-order change and a quadratic term."""
        (gradient,) = torch.autograd.grad(loss.sum(), z, retain_graph=True)
        with torch.no_grad():
            apart = (self.objective.embed(check.latent) - self.objective.embed(z)).to(self.fit.sums.dtype)
            linear = (gradient.gather(-1, check.latent[..., None])[..., 0] - (gradient * z).sum(-1)).flatten(1).sum(1)
            quadratic = check.score.loss - loss - linear
            self.fit = self.fit.observe(quadratic, 0.5 * apart.square().flatten(1).sum(1), _FADE)
