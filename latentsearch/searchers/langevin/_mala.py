"""The chain on numbers: a step against the gradient, and a kick."""

from __future__ import annotations

import torch
from torch import Tensor

from latentsearch._rows import mean_rows, per_row, sum_rows
from latentsearch.algebra import Score
from latentsearch.noise import Noise
from latentsearch.objective import Objective
from latentsearch.searchers.langevin._metropolis import Kernel, Pace, Point


class DriftKernel(Kernel):
    """All numbers move at once; the step is the standard deviation of the kick."""

    def at(self, objective: Objective, z: Tensor) -> tuple[Score, Point]:
        score, gradient = objective.value_and_gradient(z)
        return score, Point(z, score.loss, gradient, gradient.new_zeros(len(z), 0))

    def typical_change(self, objective: Objective, point: Point, noise: Noise) -> Tensor:
        way = objective.prior.sample(noise).to(point.z.dtype) - point.z
        change = point.gradient * way
        # Squares of very large or very small losses leave the range of floating point.
        largest = change.abs().flatten(1).amax(1).clamp(min=torch.finfo(change.dtype).tiny)
        return largest * sum_rows((change / per_row(largest, change)).square()).sqrt()

    def first_pace(self, objective: Objective, point: Point, beta: Tensor) -> Pace:
        # Bold: the kick to each number then changes β times the loss by about 1.
        gradient = point.gradient.to(beta.dtype)
        steepness = mean_rows((per_row(beta, gradient) * gradient).square())
        # Where the loss is flat, nothing says how far to go: as far as numbers of order one.
        log_step = -0.5 * steepness.clamp(min=1.0).log()
        return Pace(beta, log_step, beta.new_zeros(len(beta), 0))

    def law(self, objective: Objective, point: Point, pace: Pace) -> DriftLaw:
        step = per_row(pace.log_step.exp(), point.z)
        return DriftLaw(point.z - 0.5 * step.square() * per_row(pace.beta, point.z) * point.gradient, step)

    def learned(self, objective: Objective, fit: Tensor, here: Point, there: Point, keep: Tensor) -> Tensor:
        return fit


class DriftLaw:
    """A normal distribution about one step of gradient descent.

    Attributes:
        mean: ``(M, *S)``.
        step: ``(M, 1, ...)``, the standard deviation.
    """

    def __init__(self, mean: Tensor, step: Tensor) -> None:
        self.mean, self.step = mean, step

    @property
    def reducible(self) -> Tensor:
        return torch.ones(len(self.mean), dtype=torch.bool, device=self.mean.device)

    def draw(self, noise: Noise) -> Tensor:
        return self.mean + self.step * noise.normal(*self.mean.shape[1:], dtype=self.mean.dtype)

    def log_prob(self, z: Tensor) -> Tensor:
        return -sum_rows(0.5 * ((z - self.mean) / self.step).square())
