"""Adam on the sphere."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from latentsearch._checks import in_short, is_number
from latentsearch._rows import per_row, share_of
from latentsearch.constraints import Sphere
from latentsearch.errors import InvalidArgument, Unsupported
from latentsearch.loop import IterativeSearcher, Proposal
from latentsearch.noise import Noise
from latentsearch.objective import Objective
from latentsearch.problem import Problem
from latentsearch.result import Status
from latentsearch.searchers.spherical._walk import geodesic, tangent, transported, unit
from latentsearch.searchers.spherical.schedules import Schedule, warmup_cosine
from latentsearch.spaces import Continuous, LatentSpace

_STEPS = 100  # without a budget, as in PULSE
_MOMENTUM, _MEMORY = 0.9, 0.999  # Adam's two rates
_NOISELESS = 0.75  # the share of the steps after which no noise is left, as in StyleGAN2's projector


@dataclass
class SphericalState:
    """Where each row stands, and Adam's moments there.

    Attributes:
        z: ``(M, *S)``, what is scored next.
        direction: ``(M, L, d)`` unit vectors, where that is on the sphere, or near which with noise.
        first: ``(M, L, d)``, the mean of past gradients, in the tangent plane.
        second: ``(M, L, 1)``, the mean of their squared lengths.
        steps: ``(M,)`` int64, steps of the schedule.
        number: Steps taken.
    """

    z: Tensor
    direction: Tensor
    first: Tensor
    second: Tensor
    steps: Tensor
    number: int


@dataclass(frozen=True)
class SphericalSearch(IterativeSearcher):
    r"""Move the latent over a sphere, against the gradient of the loss.

    Draws of a standard normal prior in many dimensions lie near a sphere of radius $\sqrt d$, and a decoder has
    seen little else; a search that stays there cannot buy its loss with latents that no draw looks like. This is
    *PULSE: Self-Supervised Photo Upsampling via Latent Space Exploration of Generative Models* (CVPR 2020,
    [arXiv:2003.03808](https://arxiv.org/abs/2003.03808)), section 3.2.

    PULSE takes a step in space and scales the latent back. Here the gradient is projected to the tangent plane,
    the step follows a great circle, and Adam's first moment is carried along; its second is one number a
    vector: *Riemannian Adaptive Optimization Methods* (Bécigneul and Ganea, ICLR 2019,
    [arXiv:1810.00760](https://arxiv.org/abs/1810.00760)). So a learning rate is an angle in radians, and serves any
    loss, radius and dimension.

    The first step scores the initial latent as it is, and moves on from its projection: an ``init`` off the
    sphere is still the answer if nothing on it is better. Add the [Sphere][latentsearch.Sphere] to the goal where
    no answer may be off it. For several vectors, such as a StyleGAN's, take ``Sphere(dims=1)`` and add
    [Geocross][latentsearch.constraints.Geocross]. To stop early, say ``goal.below(eps)``; to try several
    starts, ``restarts``. After the last step a row is FINISHED. A step costs 2 evaluations.

    Attributes:
        sphere: Where to search; None for the goal's limit if that is a sphere, else ``Sphere()``.
        lr: The largest angle of a step, in radians. PULSE has 0.4.
        schedule: The share of it that each step has; a function of the share of steps taken, ``(M,)`` to ``(M,)``.
            PULSE has ``one_cycle``.
        steps: Steps of the schedule; None for as many as the budget pays for, and 100 where there is none.
        noise: The angle, in radians, by which latents to be scored are moved off at random; it falls to 0
            over the first three quarters of the steps.
        restarts: Independent starts a problem.

    Example:
        >>> import latentsearch as ls
        >>> from latentsearch.testing import toys
        >>> toy = toys.bowl()
        >>> found = ls.SphericalSearch().search(toy.generator, toy.constraint, seed=0).latent
        >>> ls.Sphere().contains(found)
        tensor([True, True])
    """

    sphere: Sphere | None = None
    lr: float = 0.8
    schedule: Schedule = warmup_cosine
    steps: int | None = None
    noise: float = 0.0

    spaces: ClassVar[tuple[type, ...]] = (Continuous,)

    def __post_init__(self) -> None:
        super().__post_init__()
        self._require("sphere", self.sphere is None or isinstance(self.sphere, Sphere), "a Sphere, or None")
        turn = is_number(self.lr) and 0 < self.lr <= math.pi / 2
        self._require("lr", turn, "an angle above 0, of at most a quarter of a turn")
        self._require("schedule", callable(self.schedule), "a function, such as warmup_cosine")
        if self.steps is not None:
            self._require_count("steps")
        moved = is_number(self.noise) and 0 <= self.noise < math.pi
        self._require("noise", moved, "an angle of at least 0, below half a turn")

    def check(self, problem: Problem) -> None:
        super().check(problem)
        limit, own = problem.goal.limit, self.sphere
        same = isinstance(limit, Sphere) and (own is None or (own.radius, own.dims) == (limit.radius, limit.dims))
        if problem.goal.limited and not same:
            raise Unsupported(
                type(self).__name__,
                got=f"the hard limit {limit!r}",
                expected="none, or a Sphere" if own is None else f"none, or {own!r}",
                hint="GradientSearch keeps within any limit",
            )
        self._check_schedule(problem.generator.device)

    def _check_schedule(self, device: torch.device) -> None:
        """Raise unless the schedule gives a share for each of three rows."""
        what, expected = "SphericalSearch.schedule", "a function of (M,) shares of the steps to (M,) shares of lr"
        try:
            share: object = self.schedule(torch.linspace(0, 1, 3, device=device))
        except Exception as error:
            got = f"a function that fails with {type(error).__name__}: {error}"
            raise InvalidArgument(what, got=got, expected=expected) from error
        if not isinstance(share, Tensor) or share.shape != (3,):
            hint = "torch.ones_like(done) is a constant one"
            raise InvalidArgument(what, got=f"a function that gives {in_short(share)}", expected=expected, hint=hint)

    def step_cost(self, space: LatentSpace) -> int:
        return 2

    def start(self, objective: Objective, z: Tensor, noise: Noise) -> SphericalState:
        direction = self._sphere(objective).directions(z)
        zero = torch.zeros_like(direction)
        return SphericalState(z, direction, zero, zero[..., :1].clone(), self._planned(objective), 0)

    def _sphere(self, objective: Objective) -> Sphere:
        if self.sphere is not None:
            return self.sphere
        limit = objective.per_problem.limit
        return limit if isinstance(limit, Sphere) else Sphere()

    def _planned(self, objective: Objective) -> Tensor:
        """``(M,)``: the steps of each row's schedule."""
        left = objective.left
        if self.steps is not None:
            return torch.full_like(left, self.steps, dtype=torch.int64)
        affordable = (left / self.whole_step_cost(objective)).floor()
        return torch.where(left.isinf(), _STEPS, affordable).clamp(min=1).long()

    def step(self, objective: Objective, state: SphericalState, noise: Noise) -> tuple[SphericalState, Proposal]:
        sphere, z = self._sphere(objective), state.z
        score, gradient = objective.value_and_gradient(z)
        done = share_of(state.number, state.steps, state.first)
        state = self._moved(state, gradient.reshape(state.first.shape).to(state.first.dtype), done)
        state.z = sphere.at(self._blurred(state.direction, done, noise), z)
        ended = torch.where(state.number >= state.steps, Status.FINISHED, Status.RUNNING)
        return state, Proposal(z, score, ended)

    def _moved(self, state: SphericalState, gradient: Tensor, done: Tensor) -> SphericalState:
        """The state a step on: Adam's in the tangent plane, along a great circle."""
        here, number = state.direction, state.number + 1
        slope = tangent(here, gradient)
        first = torch.lerp(slope, state.first, _MOMENTUM)
        second = torch.lerp(slope.square().sum(-1, keepdim=True), state.second, _MEMORY)
        scale = math.sqrt(1 - _MEMORY**number) / (1 - _MOMENTUM**number)
        # No eps: it would be a loss's own scale.
        along = scale * first / second.sqrt().clamp(min=torch.finfo(second.dtype).tiny ** 0.5)
        there = geodesic(here, -self.lr * per_row(self.schedule(done), along) * along)
        return SphericalState(state.z, there, transported(first, here, there), second, state.steps, number)

    def _blurred(self, direction: Tensor, done: Tensor, noise: Noise) -> Tensor:
        """Directions ``(M, L, d)``, moved off at random by the angle of the noise that is left."""
        if not self.noise:
            return direction
        left = (1 - done / _NOISELESS).clamp(min=0).square()
        random = noise.normal(*direction.shape[1:], dtype=direction.dtype)
        return geodesic(direction, self.noise * per_row(left, random) * unit(tangent(direction, random)))
