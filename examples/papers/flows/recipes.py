"""Ways to train a flow onto the target: as published, mended, and everything between."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Literal

import torch
from torch import Tensor

from flows.coupling import Flows, Shape
from flows.targets import Target
from latentsearch.noise import Noise

Coordinates = Literal["log-ratios", "softmax", "as they are"]
BATCH, EVERY = 256, 5  # samples a step, and steps between two points of a curve


@dataclass(frozen=True)
class Recipe:
    """How a flow is trained. The first five can each be a cause of failure (priors.md, 5.1).

    Attributes:
        whiten: 1. Begin at the Gaussian of the target's moments and bound the scale of a block, or at the base.
        logarithms: 2. Take log-densities of logarithms, or of points of the simplex in float32.
        coordinates: 3. K - 1 log-ratios a position; K numbers that a softmax puts on the simplex, which has no
            determinant; or the K numbers as they are, put into the formula of the density.
        mean: 4. Of the base.
        path: 5. Path gradients, or all of the gradient, with the score in it.
        optimizer: Takes parameters.
        clip: The largest norm of a gradient; None leaves it as it is.
        average: Of the weights, how much of the old is kept at a step; 0 keeps the last.
    """

    whiten: bool
    logarithms: bool
    coordinates: Coordinates
    mean: float
    path: bool
    optimizer: Callable[..., torch.optim.Optimizer]
    clip: float | None
    average: float


def nesterov(parameters: list[Tensor], lr: float) -> torch.optim.Optimizer:
    return torch.optim.SGD(parameters, lr=lr, momentum=0.9, nesterov=True)


def published(mean: float, optimizer: str, reading: Coordinates, lr: float = 1e-3) -> Recipe:
    make = partial(torch.optim.Adam if optimizer == "Adam" else nesterov, lr=lr)
    return Recipe(False, False, reading, mean, False, make, None, 0.0)


def mended(optimizer: str) -> Recipe:
    make = partial(torch.optim.Adam, lr=2e-3) if optimizer == "Adam" else partial(nesterov, lr=1e-1)
    return Recipe(True, True, "log-ratios", 0.0, True, make, 1.0, 0.98)


CAUSES: dict[str, dict[str, tuple[object, object]]] = {
    "1 scale": {"whiten": (False, True)},
    "2 underflow": {"logarithms": (False, True)},
    "3 off the simplex": {"coordinates": ("softmax", "log-ratios")},
    "4 shifted base": {"mean": (5.0, 0.0)},
    "5 score term": {"path": (False, True)},
}


def with_cause(recipe: Recipe, cause: str, *, present: bool) -> Recipe:
    """A recipe with one cause of failure put in, or taken away."""
    return replace(recipe, **{name: ways[0 if present else 1] for name, ways in CAUSES[cause].items()})  # type: ignore[arg-type]


@dataclass(frozen=True)
class Outcome:
    """What became of M flows.

    Attributes:
        flows: With averaged weights.
        curve: ``(T, M)``: the objective a coordinate every few steps, NaN from where it broke.
        finite: Per flow, whether all steps were finite.
    """

    flows: Flows
    curve: list[list[float]]
    finite: list[bool]


class Problem:
    """One target in the coordinates of a recipe."""

    def __init__(self, target: Target, recipe: Recipe) -> None:
        self.target, self.recipe = target, recipe
        self.free = recipe.coordinates != "log-ratios"
        self.size = target.positions * target.codes if self.free else target.size

    def affine(self) -> tuple[Tensor, Tensor]:
        """Where the flow begins, after its base."""
        if not self.recipe.whiten:
            return torch.eye(self.size), torch.zeros(self.size)
        if self.free:
            scale = math.pi / math.sqrt(6) / self.target.temperature
            return scale * torch.eye(self.size), self.target.logits.flatten() / self.target.temperature
        return self.target.whitening()

    def log_prob(self, x: Tensor) -> Tensor:
        """What the recipe takes for the log-density of its target: ``(M, N, D)`` to ``(M, N)``."""
        target, recipe = self.target, self.recipe
        if recipe.coordinates == "as they are":
            return target.log_prob_published(x.unflatten(-1, (target.positions, target.codes)))
        logits = x.unflatten(-1, (target.positions, -1))
        if not self.free:
            logits = torch.cat([logits, torch.zeros_like(logits[..., :1])], -1)
        log_y = logits.log_softmax(-1) if recipe.logarithms else logits.softmax(-1).log()
        # The density on the simplex for K numbers, that of log-ratios for K - 1.
        return target.log_prob_log(log_y) - (log_y.sum((-2, -1)) if self.free else 0.0)

    def codes(self, x: Tensor) -> Tensor:
        """``(M, N, P)``: the largest entries."""
        logits = x.unflatten(-1, (self.target.positions, -1))
        return (logits if self.free else torch.cat([logits, torch.zeros_like(logits[..., :1])], -1)).argmax(-1)


def train(target: Target, recipe: Recipe, seeds: list[int], steps: int) -> Outcome:
    """Minimise the reverse KL divergence, all seeds side by side."""
    problem = Problem(target, recipe)
    gentle = recipe.whiten
    shape = Shape(problem.size, bound=1.0 if gentle else None, rotate=gentle)
    flows = Flows(shape, seeds, recipe.mean, problem.affine())
    parameters = list(flows.parameters())
    optimizer = recipe.optimizer(parameters)
    decay = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps) if recipe.average else None
    averaged, curve = copy.deepcopy(flows), []
    finite = torch.ones(len(seeds), dtype=torch.bool)
    for step in range(steps):
        noise = Noise.from_seed([1000 * seed + 7 for seed in seeds], len(seeds)).fold(step)
        loss, value = _objective(flows, problem, noise.normal(BATCH, problem.size))
        finite &= value.isfinite()
        if step % EVERY == 0:
            curve.append(torch.where(finite, value / problem.size, torch.nan).tolist())
        if not bool(finite.any()):
            break
        optimizer.zero_grad()
        loss.backward()
        if recipe.clip is not None:
            _clip(parameters, recipe.clip)
        optimizer.step()
        if decay is not None:
            decay.step()
        with torch.no_grad():
            for slow, fast in zip(averaged.parameters(), parameters, strict=True):
                slow.lerp_(fast, 1 - recipe.average)
    return Outcome(averaged, curve, finite.tolist())


def _objective(flows: Flows, problem: Problem, eps: Tensor) -> tuple[Tensor, Tensor]:
    """What is differentiated, of all flows together, and the reverse KL divergence ``(M,)`` as estimated."""
    if not problem.recipe.path:
        x, log_q = flows(eps)
        value = (log_q - problem.log_prob(x)).mean(1)
        return value.sum(), value.detach()
    x, log_q, score = flows.with_score(eps)
    leaf = x.detach().requires_grad_()
    log_p = problem.log_prob(leaf)
    (pull,) = torch.autograd.grad(log_p.sum(), leaf)
    return ((score - pull).detach() * x).sum(-1).mean(1).sum(), (log_q - log_p).mean(1).detach()


def _clip(parameters: list[Tensor], most: float) -> None:
    """Each flow's gradient by itself."""
    grads = [p.grad for p in parameters if p.grad is not None]
    norm = torch.stack([grad.flatten(1).square().sum(1) for grad in grads]).sum(0).sqrt()
    for grad in grads:
        grad.mul_((most / norm.clamp(min=most)).view(-1, *(1,) * (grad.ndim - 1)))
