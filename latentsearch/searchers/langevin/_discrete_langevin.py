"""Discrete Langevin, the chain on codes: any number of them change at once, but at least one.

The proposal weighs code j at position p, against 1 for staying, by

    step * exp(-w (g_p·δ + λ/2 |δ|²)),    δ = e_j - e_current,

the change that the gradient and one number λ for all curvature predict. With w = β/2 this is
the discrete Langevin proposal with its α at 1/(wλ), and in the limit of small steps Gibbs with
gradients. The curvature is fitted on what past proposals cost, and so is the typical error of these
predictions: it adds to the temperature in w, lest a cold chain propose the same mistake for ever.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from latentsearch._rows import per_row, sum_rows
from latentsearch.goal import Score
from latentsearch.noise import Noise
from latentsearch.objective import Objective
from latentsearch.searchers.langevin._metropolis import Kernel, Point, StepState

# Streams of noise; each use folds a constant of its own.
_FIRST, _OTHERS, _CODES = 1, 2, 3
# The share of the typical error that counts as temperature.
_DAMPING = 0.25


class DiscreteLangevinKernel(Kernel):
    """Positions change independently of each other, at a rate that the step scales.

    The fit sums up four things over past proposals: the quadratic term of the change times half the squared
    distance, the latter squared, the error of the prediction squared, and codes changed.
    """

    def at(self, objective: Objective, z: Tensor) -> tuple[Score, Point]:
        score, gradient, table = objective.linearise(z)
        return score, Point(z, score.loss, gradient, gradient.new_zeros(len(z), 0) if table is None else table)

    def typical_change(self, objective: Objective, point: Point, noise: Noise) -> Tensor:
        first_order = objective.codebook.products(point.gradient)
        if point.table.numel():
            first_order = first_order + point.table
        return first_order.var(-1, correction=0).flatten(1).mean(1).sqrt()

    def init(self, objective: Objective, point: Point, beta: Tensor) -> StepState:
        # Large, since nothing is lost yet: a code that changes nothing is K times as likely as staying.
        log_step = torch.full_like(beta, math.log(objective.grid.codebook_size))
        return StepState(beta, log_step, beta.new_zeros(len(beta), 4))

    def proposal(self, objective: Objective, point: Point, step: StepState) -> ProductProposal | SingleSwapProposal:
        dtype = step.beta.dtype
        codebook = objective.codebook.to(dtype)
        curvature, error = fitted(step.fit)
        weight = 1 / (2 / step.beta + _DAMPING * error)
        e = objective.embed(point.z).to(dtype)
        # One product serves gradient and distance; what all codes share cancels against the current one.
        pull = per_row(weight, e) * (per_row(curvature, e) * e - point.gradient)
        logits = codebook.products(pull)
        logits -= per_row(0.5 * weight * curvature, logits) * codebook.squares
        if point.table.numel():
            logits -= per_row(weight, logits) * point.table
        current = point.z[..., None]
        logits += per_row(step.log_step, logits) - logits.gather(-1, current)
        # A code that stands for another would count as often as there are such.
        logits = codebook.without_others(logits.scatter_(-1, current, -torch.inf), -torch.inf)
        if not objective.limit.couples:
            return ProductProposal(point.z, logits)
        return SingleSwapProposal(point.z, logits.masked_fill_(~objective.movable(point.z)[..., None], -torch.inf))

    def observe(self, objective: Objective, fit: Tensor, here: Point, there: Point, fade: Tensor) -> Tensor:
        move = (objective.embed(there.z) - objective.embed(here.z)).to(fit.dtype)
        half_distance = 0.5 * sum_rows(move.square())
        first_order = sum_rows(here.gradient * move)
        if here.table.numel():
            entries = here.table.gather(-1, there.z[..., None]) - here.table.gather(-1, here.z[..., None])
            first_order = first_order + sum_rows(entries)
        quadratic = there.loss.to(fit.dtype) - here.loss - first_order
        error = quadratic - fitted(fit)[0] * half_distance
        changes = sum_rows(there.z != here.z)
        news = torch.stack([quadratic * half_distance, half_distance.square(), error.square(), changes], 1)
        # An infinite loss teaches nothing.
        return torch.where(news.isfinite().all(1, keepdim=True), fade * fit + news, fit)


def fitted(fit: Tensor) -> tuple[Tensor, Tensor]:
    """The curvature λ, at least 0, and the typical error a code, ``(M,)`` each; 0 before the first proposal."""
    curvature, error = (fit[:, 0::2] / fit[:, 1::2]).nan_to_num(0.0, 0.0, 0.0).clamp(min=0).unbind(1)
    return curvature, error.sqrt()


class ProductProposal:
    """Positions change independently of each other, given that at least one does.

    Attributes:
        z: ``(M, *S)``, the codes held.
        logits: ``(M, *S, K)``, log odds of each code against staying; ``-inf`` at the current code.
        odds: ``(M, P)``, log odds of any change at each position.
        rate: ``(M,)``, minus the log-probability that nothing would change; about the number of
            changes where these are rare.
    """

    def __init__(self, z: Tensor, logits: Tensor) -> None:
        self.z, self.logits = z, logits
        self.odds = logits.logsumexp(-1).flatten(1)
        self.rate = F.softplus(self.odds).sum(1)

    @property
    def reducible(self) -> Tensor:
        return self.rate > 1

    def sample(self, noise: Noise) -> Tensor:
        change, stay = -F.softplus(-self.odds), -F.softplus(self.odds)
        # The first position to change is drawn given that there is one; those behind it are free.
        first = noise.fold(_FIRST).categorical(stay.cumsum(1) - stay + change)[:, None]
        position = torch.arange(change.shape[1], device=change.device)
        free = noise.fold(_OTHERS).uniform(len(position), dtype=change.dtype).log() < change
        changes = (position == first) | ((position > first) & free)
        codes = noise.fold(_CODES).categorical(self.logits)
        return torch.where(changes.view_as(self.z), codes, self.z)

    def log_prob(self, z: Tensor) -> Tensor:
        chosen = self.logits.gather(-1, z[..., None])[..., 0]
        chosen = sum_rows(torch.where(z == self.z, 0, chosen))
        # Where changes are rare 1 - exp(-rate) would round to 0.
        some_change = torch.where(self.rate > 1e-6, (-torch.expm1(-self.rate)).log(), self.odds.logsumexp(1))
        return chosen - self.rate - some_change


class SingleSwapProposal:
    """Exactly one position changes: Gibbs with gradients. Several changes at once would leave the feasible set.

    Attributes:
        z: ``(M, *S)``, the codes held.
        log_probs: ``(M, P * K)``, of each swap; ``-inf`` where it is none, or not feasible.
    """

    def __init__(self, z: Tensor, logits: Tensor) -> None:
        self.z, self.size = z, logits.shape[-1]
        self.log_probs = logits.flatten(1).log_softmax(1)

    @property
    def reducible(self) -> Tensor:
        return torch.zeros(len(self.z), dtype=torch.bool, device=self.z.device)

    def sample(self, noise: Noise) -> Tensor:
        swap = noise.fold(_CODES).categorical(self.log_probs)[:, None]
        return self.z.flatten(1).scatter(1, swap // self.size, swap % self.size).view_as(self.z)

    def log_prob(self, z: Tensor) -> Tensor:
        changed = (z != self.z).flatten(1)
        position = changed.byte().argmax(1, keepdim=True)
        swap = position * self.size + z.flatten(1).gather(1, position)
        return torch.where(changed.sum(1) == 1, self.log_probs.gather(1, swap)[:, 0], -torch.inf)
