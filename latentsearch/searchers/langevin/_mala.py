"""MALA, the chain on continuous latents: a step against the gradient, and normal noise."""

from __future__ import annotations

import torch
from torch import Tensor

from latentsearch._rows import mean_rows, per_row, sum_rows
from latentsearch.goal import Score
from latentsearch.noise import Noise
from latentsearch.objective import Objective
from latentsearch.searchers.langevin._metropolis import Kernel, Point, StepState


class MALAKernel(Kernel):
    """All entries move at once; the step is the standard deviation of the noise."""

    def at(self, objective: Objective, z: Tensor) -> tuple[Score, Point]:
        score, gradient = objective.value_and_gradient(z)
        return score, Point(z, score.loss, gradient, gradient.new_zeros(len(z), 0))

    def typical_change(self, objective: Objective, point: Point, noise: Noise) -> Tensor:
        move = objective.prior.sample(noise).to(point.z.dtype) - point.z
        change = point.gradient * move
        # Squares of very large or very small losses leave the range of floating point.
        largest = change.abs().flatten(1).amax(1).clamp(min=torch.finfo(change.dtype).tiny)
        return largest * sum_rows((change / per_row(largest, change)).square()).sqrt()

    def init(self, objective: Objective, point: Point, beta: Tensor) -> StepState:
        # Large: the noise in each entry then changes β times the loss by about 1.
        gradient = point.gradient.to(beta.dtype)
        steepness = mean_rows((per_row(beta, gradient) * gradient).square())
        # Where the loss is flat, nothing says how far to go: as far as entries of order one.
        log_step = -0.5 * steepness.clamp(min=1.0).log()
        return StepState(beta, log_step, beta.new_zeros(len(beta), 0))

    def proposal(self, objective: Objective, point: Point, step: StepState) -> NormalProposal:
        deviation = per_row(step.log_step.exp(), point.z)
        mean = point.z - 0.5 * deviation.square() * per_row(step.beta, point.z) * point.gradient
        return NormalProposal(mean, deviation)

    def observe(self, objective: Objective, fit: Tensor, here: Point, there: Point, fade: Tensor) -> Tensor:
        return fit


class NormalProposal:
    """A normal distribution about one step of gradient descent.

    Attributes:
        mean: ``(M, *S)``.
        deviation: ``(M, 1, ...)``.
    """

    def __init__(self, mean: Tensor, deviation: Tensor) -> None:
        self.mean, self.deviation = mean, deviation

    @property
    def reducible(self) -> Tensor:
        return torch.ones(len(self.mean), dtype=torch.bool, device=self.mean.device)

    def sample(self, noise: Noise) -> Tensor:
        return self.mean + self.deviation * noise.normal(*self.mean.shape[1:], dtype=self.mean.dtype)

    def log_prob(self, z: Tensor) -> Tensor:
        return -sum_rows(0.5 * ((z - self.mean) / self.deviation).square())
