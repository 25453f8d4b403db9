"""What is seen of particles before some more of their positions are revealed."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

from latentsearch._codes import code_draws, rows_that_fit
from latentsearch.loop import take
from latentsearch.noise import Noise
from latentsearch.objective import Objective
from latentsearch.searchers.smc._proposal import outlook

_MOST = 1e4  # nats by which a particle is held to promise less than the best
_ORDER = 1  # stream of noise


class Look(NamedTuple):
    """What is seen of each particle before some positions are revealed.

    Attributes:
        promise: ``(M, N)`` float64, minus the log of the likelihood that is expected; from the least of each row on.
        prior: ``(M, N, n, K)``, log-probabilities of the codes at these positions.
        mass: ``(M, N, n)``, log of how likely the prior holds an allowed code there.
        rise: ``(M, N, n, K)``, of what is expected with each; 0 where nothing is known of it.
        shown: ``(M, N, P)``, how much the outputs show of each position; at random where nothing is known of it.
        z: ``(M, N, *S)``, the particles, with codes drawn by the prior where they are not revealed.
    """

    promise: Tensor
    prior: Tensor
    mass: Tensor
    rise: Tensor
    shown: Tensor
    z: Tensor

    def of(self, function: Callable[[Tensor], Tensor]) -> Look:
        """The same with a function of each part."""
        return Look(*map(function, self))


def look_at(
    objective: Objective,
    likelihood: Objective,
    z: Tensor,
    known: Tensor,
    here: Tensor,
    trust: float | None,
    noise: Noise,
) -> Look:
    """Look at U particles a row, as many at once as fit.

    Args:
        objective: Its prior is asked.
        likelihood: What should come out, without the prior.
        z: ``(M, U, *S)``, the particles.
        known: ``(M, *S)`` bool, which of their positions are revealed.
        here: ``(M, n)`` int64, the positions of which probabilities are kept.
        trust: How much of what is expected counts; None for as much as what is open leaves.
        noise: M rows.
    """
    space, flat = objective.grid, z.flatten(0, 1)
    row = torch.arange(len(z), device=z.device).repeat_interleave(z.shape[1])
    own, found = noise.split(z.shape[1]), []
    for part in torch.arange(len(row), device=z.device).split(rows_that_fit(space.shape, space.codebook_size)):
        serves, at = row[part], here[row[part]]
        prior, mass = objective.prior.conditionals_and_mass(flat[part], known[serves], serves)
        drawn = torch.where(known[serves], flat[part], code_draws(prior, 1, own[part])[:, 0])
        local, mass = take(prior.flatten(1, -2), at), mass.flatten(1).gather(1, at)
        if likelihood.goal.differentiable:
            soft = prior.exp().to(likelihood.codebook.vectors.dtype)
            score, gradient = likelihood.value_and_gradient(soft, serves)
            loss, rises, shown = outlook(score.loss, gradient.flatten(1, -2), soft.flatten(1, -2), trust)
            rise = take(rises, at).to(local.dtype)
        else:
            loss, rise = likelihood(drawn, serves).loss, torch.zeros_like(local)
            # Nothing of what is infinite is nothing.
            loss = (trust or 0.0) * loss.clamp(max=torch.finfo(loss.dtype).max)
            shown = own[part].fold(_ORDER).uniform(flat[0].numel())
        found.append((loss.double(), local, mass, rise, shown, drawn))
    whole = Look(*(torch.cat(parts).unflatten(0, z.shape[:2]) for parts in zip(*found, strict=True)))
    return whole._replace(promise=promise(whole.promise))


def usable(loss: Tensor) -> Tensor:
    """Losses ``(M, N)``; what is no number is as bad as can be, unless nothing else is there."""
    return torch.where(loss.isnan() & ~loss.isnan().all(1, keepdim=True), torch.inf, loss)


def promise(loss: Tensor) -> Tensor:
    """Losses ``(M, N)`` from the least of each row on, and finite: what weights lose by them they get back later."""
    loss = usable(loss)
    least = loss.amin(1, keepdim=True)
    return torch.where(least.isinf(), 0.0, (loss - least).clamp(max=_MOST))
