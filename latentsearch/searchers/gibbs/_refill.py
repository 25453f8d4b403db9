"""The least likely codes of a grid are masked and drawn anew, as the outputs and what is kept would have them."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from latentsearch._codes import code_draws
from latentsearch.loop import RowOptimizer
from latentsearch.noise import Noise
from latentsearch.objective import ChargedPrior, Objective
from latentsearch.relaxations import GumbelSoftmax
from latentsearch.searchers.relaxed import RelaxedSearch

STEPS = 30  # of the descent; each costs 2 evaluations
_SHARE = 0.35  # of the positions
_TEMPERATURE = (1.0, 0.3)  # of soft draws, first and last
_LEAST = -1e3  # nats; a code that never occurs counts as this likely, so that mixtures have a gradient


@dataclass
class Refill:
    r"""What is known of the codes that are to be drawn: of each a distribution q.

    It descends $\mathbb{E}_q[L] + \mathrm{KL}(q \,\|\, p)$, with p the prior's conditionals given what is kept and soft
    draws of q in the place of codes: of all distributions under which positions are independent, the one that is
    nearest to the posterior.

    Attributes:
        logits: ``(M, *S, K)`` of q, with their optimiser.
        prior: ``(M, *S, K)``, log p.
        kept: ``(M, *S)`` bool, the positions that stay.
    """

    logits: RowOptimizer
    prior: Tensor
    kept: Tensor

    @classmethod
    def none(cls, z: Tensor, nothing: Tensor) -> Refill:
        """Of grids that stay as they are; ``nothing`` is zeros ``(M, *S, K)``."""
        return cls(RowOptimizer(RelaxedSearch.optimizer, nothing), nothing, torch.ones_like(z, dtype=torch.bool))


def masked(prior: ChargedPrior, z: Tensor, regret: Tensor, noise: Noise) -> Refill:
    """Mask a share of the positions, drawn in proportion to the exponential of their regret; one pass of the prior.

    Args:
        prior: What is asked, at a charge.
        z: ``(M, *S)`` grids.
        regret: ``(M, *S)``, how much likelier another code would be there, in nats.
        noise: M rows.
    """
    count = max(int(_SHARE * z[0].numel()), 1)
    worst = (regret.flatten(1) - noise.gumbel(z[0].numel(), dtype=regret.dtype)).topk(count, 1).indices
    kept = torch.ones_like(regret, dtype=torch.bool).flatten(1).scatter(1, worst, False).view_as(z)
    logs = prior.conditionals(z, kept).clamp(min=_LEAST).to(regret.dtype)
    return Refill(RowOptimizer(RelaxedSearch.optimizer, logs), logs, kept)


def descend(likelihood: Objective, z: Tensor, refill: Refill, share: float, noise: Noise) -> None:
    """Move q a step.

    Args:
        likelihood: What is searched for, without the prior.
        z: ``(M, *S)`` grids.
        refill: Whose logits are moved.
        share: Of the descent that is behind, from 0 to 1.
        noise: M rows.
    """
    leaf, (first, last) = refill.logits.leaf, _TEMPERATURE
    kept = refill.kept[..., None]
    own = likelihood.grid.one_hot(z, likelihood.generator.dtype)

    def loss(soft: Tensor, row: Tensor) -> Tensor:
        return likelihood(torch.where(kept, own, soft.to(own.dtype)), row).loss.to(leaf.dtype)

    with torch.enable_grad():
        expected = GumbelSoftmax(first * (last / first) ** share)(leaf, loss, noise)
        logs = leaf.log_softmax(-1)
        divergence = torch.where(kept, 0, logs.exp() * (logs - refill.prior))
        (gradient,) = torch.autograd.grad(expected.sum() + divergence.sum(), leaf)
    refill.logits.step(gradient)


def drawn(z: Tensor, refill: Refill, noise: Noise) -> Tensor:
    """``(M, *S)``: the grids with what is masked drawn from q."""
    return torch.where(refill.kept, z, code_draws(refill.logits.value, 1, noise)[:, 0])
