"""G2D2: at every stage of an unmasking, a distribution of codes that gradients fit to what is measured."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

import latentsearch as ls
from latentsearch.loop import Draw, IterativeSearcher
from latentsearch.noise import Noise
from latentsearch.objective import Objective, cost_of_pass
from latentsearch.protocols import Generator, Prior

_GUMBEL, _DRAW, _HIDE = 1, 2, 3  # streams of noise
_LEAST = -10.0  # nats; a code that is known keeps all but this much of the prior


@dataclass
class G2D2State:
    """Where each row stands.

    Attributes:
        z: ``(M, *S)``.
        known: ``(M, *S)`` bool, what the next stage goes by.
        logits: ``(M, *S, K)``, of the last stage.
        number: Stages taken.
    """

    z: Tensor
    known: Tensor
    logits: Tensor
    number: int


@dataclass(frozen=True)
class G2D2(IterativeSearcher):
    r"""Gradient-guided discrete diffusion [Murata et al., *G2D2: Gradient-Guided Discrete Diffusion for Inverse Problem
    Solving*, TMLR 2025](https://arxiv.org/abs/2410.14710).

    In each of ``stages`` RAdam fits a factorised q over whole grids: the mean loss at Gumbel-softmax draws of it, plus
    a small multiple of its divergence from what the prior says given the codes that are known. Then a grid is drawn
    from q, and a share of it is hidden anew, which falls from stage to stage: whatever was known before (the
    star-shaped process).

    Attributes:
        scale: From nats to the units of the loss.
        divergence: Weight of the divergence, 3e-4 in the paper.
        stages: 100 in the paper.
        iterations: Of RAdam in each; 2 evaluations each.
        learning_rate: 10 to 15 in the paper.
        kept: Of the last stage's logits in the next one's start, 0.3 in the paper.
    """

    scale: float
    divergence: float = 3e-4
    stages: int = 100
    iterations: int = 30
    learning_rate: float = 10.0
    kept: float = 0.3

    spaces: ClassVar[tuple[type, ...]] = (ls.Discrete,)
    samples: ClassVar[bool] = True

    def step_cost(self, space: ls.LatentSpace) -> int:
        return 2 * self.iterations

    def prior_cost(self, generator: Generator, prior: Prior) -> float:
        return cost_of_pass(prior)

    def start(self, objective: Objective, z: Tensor, noise: Noise) -> G2D2State:
        nothing = torch.zeros(*z.shape, objective.grid.codebook_size)
        return G2D2State(z, torch.zeros_like(z, dtype=torch.bool), nothing, 0)

    def step(self, objective: Objective, state: G2D2State, noise: Noise) -> tuple[G2D2State, Draw]:
        prior = objective.prior.conditionals(state.z, state.known).clamp(min=_LEAST).log_softmax(-1)
        kept = self.kept if state.number else 0.0
        logits = self._fitted(objective, kept * state.logits + (1 - kept) * prior, prior, noise.fold(_GUMBEL))
        z, left = noise.fold(_DRAW).categorical(logits), self.stages - state.number - 1
        known = noise.fold(_HIDE).uniform(*z.shape[1:]) >= left / self.stages
        ended = torch.full((len(z),), int(ls.Status.RUNNING if left else ls.Status.FINISHED))
        return G2D2State(z, known, logits, state.number + 1), Draw(z, status=ended)

    def _fitted(self, objective: Objective, logits: Tensor, prior: Tensor, noise: Noise) -> Tensor:
        """``(M, *S, K)`` log-probabilities."""
        likelihood = objective.scoring(objective.per_problem.likelihood)
        leaf = logits.log_softmax(-1).detach().requires_grad_()
        # Elementwise: rows do not mix.
        optimizer = torch.optim.RAdam([leaf], lr=self.learning_rate)
        for number in range(self.iterations):
            with torch.enable_grad():
                logs = leaf.log_softmax(-1)
                soft = (logs + noise.fold(number).gumbel(*logs.shape[1:])).softmax(-1)
                apart = (logs.exp() * (logs - prior)).flatten(1).sum(1)
                loss = self.scale * likelihood(soft).loss + self.divergence * apart
                (leaf.grad,) = torch.autograd.grad(loss.sum(), leaf)
            optimizer.step()
            leaf.data = leaf.detach().log_softmax(-1)
        return leaf.detach()
