"""Elliptical slice sampling: a posterior over a Gaussian prior, with nothing to tune and no gradient."""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from latentsearch._rows import per_row
from latentsearch.goal import Score
from latentsearch.loop import Draw
from latentsearch.noise import Noise
from latentsearch.objective import Objective
from latentsearch.problem import Problem
from latentsearch.protocols import NormalBase
from latentsearch.result import Status
from latentsearch.searchers.sampling._chain import Chain, energy
from latentsearch.searchers.sampling._normal_base import normal_base
from latentsearch.spaces import Continuous, LatentSpace

_ELLIPSE, _LEVEL, _ANGLE, _SHRUNK = 1, 2, 3, 4  # streams of noise


@dataclass
class Slice:
    """Where each row looks for its next state.

    Attributes:
        other: ``(M, *E)``, the other axis of the ellipse.
        level: ``(M,)``, the energy that the next state must be below.
        low, high: ``(M,)``, the angles between which it is sought.
        angle: ``(M,)``, the one to try next.
    """

    other: Tensor
    level: Tensor
    low: Tensor
    high: Tensor
    angle: Tensor


@dataclass
class EllipticalSliceState:
    """Where each chain stands.

    Attributes:
        base: ``(M, *E)``, the state as standard normals.
        z: ``(M, *S)``, the state.
        score: Its score, ``(M,)`` each.
        energy: ``(M,)``, its loss without the prior.
        search: Where the next state is sought.
        transitions: ``(M,)`` int64, made so far.
        number: Steps taken.
    """

    base: Tensor
    z: Tensor
    score: dict[str, Tensor]
    energy: Tensor
    search: Slice
    transitions: Tensor
    number: int


@dataclass(frozen=True)
class EllipticalSliceSearch(Chain):
    r"""Draw from a posterior over a Gaussian prior: nothing to tune, no gradient, no rejected transitions.

    Murray, Adams and MacKay, *Elliptical slice sampling* (AISTATS 2010,
    [arXiv:1001.0175](https://arxiv.org/abs/1001.0175)), figure 2: the next state is sought on an ellipse through this
    one and a fresh draw of the prior, among the points that are likely enough, by a bracket of angles that shrinks
    to here. It leaves $N(z; 0, I) \, e^{-L(z)}$ as it is.

    The likelihood is the goal without its [LogPrior][latentsearch.LogPrior], and should be in nats:
    ``Matches(..., noise=sigma)``. The prior is that of the LogPrior, else the generator's: a StandardNormal, or
    one with ``decode(base)`` and ``encode(latents)``, as a flow has, whose standard normals are then the state.

    **The answer of a row is where its chain ends**, not the best that it saw: a draw. So say ``restarts=16``, and
    ``run=Run(evaluations=None)`` since chains share a budget, and read ``result.candidates.latent``, ``(B, 16, *S)``;
    ``result.latent`` is the first of them.

    A step tries one angle, and costs 1 evaluation; a transition takes a few. A row is FINISHED after so many
    transitions. One that runs out of budget before, or is stopped by a threshold, ends with what it has, which is not
    quite a draw.

    Attributes:
        transitions: How long a chain is.
        restarts: Independent chains a problem.

    Example:
        >>> import latentsearch as ls
        >>> from latentsearch.testing import toys
        >>> toy = toys.bowl()
        >>> sampler = ls.EllipticalSliceSearch(transitions=10, restarts=3)
        >>> result = sampler.search(toy.generator, 50 * toy.constraint, seed=0)
        >>> result.candidates.latent.shape, {status.name for status in result.status}
        (torch.Size([2, 3, 4]), {'FINISHED'})
    """

    transitions: int = 100

    spaces: ClassVar[tuple[type, ...]] = (Continuous,)

    def __post_init__(self) -> None:
        super().__post_init__()
        self._require_count("transitions")

    def check(self, problem: Problem) -> None:
        super().check(problem)
        normal_base(type(self).__name__, problem.prior)

    def step_cost(self, space: LatentSpace) -> int:
        return 1

    def _base(self, objective: Objective) -> NormalBase:
        return normal_base(type(self).__name__, objective.prior.prior)

    def start(self, objective: Objective, z: Tensor, noise: Noise) -> EllipticalSliceState:
        base = self._base(objective).encode(z.to(torch.promote_types(z.dtype, torch.float32)))
        # The first step fills this in: to score costs an evaluation.
        unknown, nothing = torch.zeros_like(base.flatten(1)[:, 0]), torch.zeros_like(base)
        search = Slice(nothing, unknown, unknown.clone(), unknown.clone(), unknown.clone())
        score = {"loss": unknown.clone(), "satisfied": torch.zeros_like(unknown, dtype=torch.bool)}
        return EllipticalSliceState(base, z, score, unknown, search, torch.zeros_like(unknown, dtype=torch.int64), 0)

    def step(
        self, objective: Objective, state: EllipticalSliceState, noise: Noise
    ) -> tuple[EllipticalSliceState, Draw]:
        advance = self._begin if state.number == 0 else self._tried
        state = advance(objective, state, noise)
        ended = torch.where(state.transitions >= self.transitions, Status.FINISHED, Status.RUNNING)
        return state, Draw(state.z, Score(**state.score), ended)

    def _begin(self, objective: Objective, state: EllipticalSliceState, noise: Noise) -> EllipticalSliceState:
        """Score the initial latents."""
        score = objective(state.z)
        found = energy(objective, score, state.z)
        held = {"loss": score.loss, "satisfied": score.passed}
        return dataclasses.replace(state, score=held, energy=found, search=_sliced(state.base, found, noise), number=1)

    def _tried(self, objective: Objective, state: EllipticalSliceState, noise: Noise) -> EllipticalSliceState:
        """Try one angle a row: the next state where it is likely enough, else a smaller bracket."""
        search = state.search
        cosine, sine = (per_row(part, state.base) for part in (search.angle.cos(), search.angle.sin()))
        base = cosine * state.base + sine * search.other
        z = self._base(objective).decode(base).to(state.z.dtype)
        score = objective(z)
        found = energy(objective, score, z)
        accepted = found < search.level
        # Where rounding, or an infinite loss here, leaves nothing that is likelier, the state is its own successor.
        ended = accepted | (search.high - search.low < torch.finfo(base.dtype).eps)
        held = {"loss": score.loss, "satisfied": score.passed}
        base = torch.where(per_row(accepted, base), base, state.base)
        found = torch.where(accepted, found, state.energy)
        return EllipticalSliceState(
            base=base,
            z=torch.where(per_row(accepted, z), z, state.z),
            score={name: torch.where(accepted, new, state.score[name]) for name, new in held.items()},
            energy=found,
            search=_either(ended, _sliced(base, found, noise), _shrunk(search, noise)),
            transitions=state.transitions + ended,
            number=state.number + 1,
        )


def _either(rows: Tensor, a: Slice, b: Slice) -> Slice:
    """``a`` in the rows given, ``b`` in the others."""
    names = [field.name for field in dataclasses.fields(Slice)]
    pairs = {name: (getattr(a, name), getattr(b, name)) for name in names}
    return Slice(**{name: torch.where(per_row(rows, x), x, y) for name, (x, y) in pairs.items()})


def _sliced(base: Tensor, energy: Tensor, noise: Noise) -> Slice:
    """A fresh ellipse through ``(M, *E)``, level, and bracket about all of it."""
    other = noise.fold(_ELLIPSE).normal(*base.shape[1:], dtype=base.dtype)
    level = energy - noise.fold(_LEVEL).uniform(dtype=energy.dtype).log()
    angle = 2 * math.pi * noise.fold(_ANGLE).uniform(dtype=base.dtype)
    return Slice(other, level, angle - 2 * math.pi, angle, angle)


def _shrunk(search: Slice, noise: Noise) -> Slice:
    """The bracket without what is beyond the angle tried, as seen from 0, and an angle within it."""
    low = torch.where(search.angle < 0, search.angle, search.low)
    high = torch.where(search.angle < 0, search.high, search.angle)
    angle = low + (high - low) * noise.fold(_SHRUNK).uniform(dtype=low.dtype)
    return Slice(search.other, search.level, low, high, angle)
