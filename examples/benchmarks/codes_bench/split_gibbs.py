"""SGDD as released: split Gibbs sampling with uniform noise and uniformly drawn moves."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import ClassVar

import torch
from torch import Tensor

import latentsearch as ls
from latentsearch.loop import Draw, IterativeSearcher
from latentsearch.noise import Noise
from latentsearch.objective import Objective, cost_of_pass
from latentsearch.protocols import Generator, Prior

_START, _ORDER, _CODES, _PLACES, _MOVES, _ACCEPT = range(1, 7)  # streams of noise
_LEAST, _MOST = 1e-4, 20.0  # total noise, of SEDD's geometric schedule


@dataclass
class SplitGibbsState:
    """Where each row stands.

    Attributes:
        z: ``(M, *S)``, the grid that fits what is measured.
        number: Rounds taken.
    """

    z: Tensor
    number: int


@dataclass(frozen=True)
class SplitGibbs(IterativeSearcher):
    r"""Take turns between a grid x that is likely and a grid z that fits, tied by noise that fades [Chu et al., *Split
    Gibbs Discrete Diffusion Posterior Sampling*, NeurIPS 2025](https://arxiv.org/abs/2503.01161).

    With total noise $\sigma$ a code is kept with probability $e^{-\sigma}$ and drawn from all K otherwise. A round
    draws x given z, the reverse of this noise, and then z given x and the measurement, by Metropolis moves of one code
    each to a uniformly drawn one. As in the authors' release a changed code is weighed by $\alpha / (1 - \alpha)$ with
    $\alpha = (1 - e^{-\sigma})(1 - 1/K)$, which for K > 2 is K - 1 times too lenient, and a move changes one code.

    What is other than in the release: the prior is a masked model. Of x, codes are revealed in random order, each drawn
    from the model's conditional given those revealed, times what the noise says of the code that z has there.

    Attributes:
        rounds: From the most noise to the least.
        passes: Of the prior in a round.
        moves: Of z in a round, an evaluation each.
        scale: Times the noise, in the moves.
    """

    rounds: int = 50
    passes: int = 32
    moves: int = 2000
    scale: float = 1.0

    spaces: ClassVar[tuple[type, ...]] = (ls.Discrete,)
    needs_gradient: ClassVar[bool] = False
    samples: ClassVar[bool] = True

    def step_cost(self, space: ls.LatentSpace) -> int:
        return self.moves + 1

    def prior_cost(self, generator: Generator, prior: Prior) -> float:
        return self.passes * cost_of_pass(prior)

    def start(self, objective: Objective, z: Tensor, noise: Noise) -> SplitGibbsState:
        return SplitGibbsState(z, 0)

    def step(self, objective: Objective, state: SplitGibbsState, noise: Noise) -> tuple[SplitGibbsState, Draw]:
        time = 1 - state.number / max(self.rounds - 1, 1)
        sigma = _LEAST ** (1 - time) * _MOST**time
        z, space = state.z, objective.grid
        if state.number == 0:
            z = noise.fold(_START).integers(space.codebook_size, *space.shape)
        x = self._likely(objective, z, sigma, noise)
        z = self._fitting(objective, x, sigma * self.scale, noise)
        ended = ls.Status.FINISHED if state.number + 1 >= self.rounds else ls.Status.RUNNING
        return replace(state, z=z, number=state.number + 1), Draw(z, status=torch.full((len(z),), int(ended)))

    def _likely(self, objective: Objective, z: Tensor, sigma: float, noise: Noise) -> Tensor:
        """x given z: what the noise may have been added to."""
        positions, size = z[0].numel(), objective.grid.codebook_size
        other = -math.expm1(-sigma) / size
        own = torch.nn.functional.one_hot(z, size).bool()
        told = torch.where(own, math.log(math.exp(-sigma) + other), math.log(other))
        group = noise.fold(_ORDER).uniform(positions).argsort(1).argsort(1).view_as(z) * self.passes // positions
        x = z
        for stage in range(min(self.passes, positions)):
            logs = objective.prior.conditionals(x, group < stage) + told
            drawn = noise.fold(_CODES).fold(stage).categorical(logs)
            x = torch.where(group == stage, drawn, x)
        return x

    def _fitting(self, objective: Objective, x: Tensor, sigma: float, noise: Noise) -> Tensor:
        """z given x and what is measured."""
        size, positions = objective.grid.codebook_size, x[0].numel()
        likelihood = objective.scoring(objective.per_problem.likelihood)
        alpha = -math.expm1(-sigma) * (1 - 1 / size)
        changed = math.log(alpha + 1e-5) - math.log1p(-alpha)
        places = noise.fold(_PLACES).integers(positions, self.moves)
        codes = noise.fold(_MOVES).integers(size, self.moves)
        thresholds = noise.fold(_ACCEPT).uniform(self.moves).log()
        z, loss = x.flatten(1), likelihood(x).loss
        source = z
        for place, code, most in zip(places.mT[..., None], codes.mT[..., None], thresholds.mT, strict=True):
            now, was = z.gather(1, place), source.gather(1, place)
            new = likelihood.swaps(z.view_as(x), place, code).loss[:, 0]
            further = ((code != was).long() - (now != was).long())[:, 0]
            taken = most < loss - new + changed * further
            z = z.scatter(1, place, torch.where(taken[:, None], code, now))
            loss = torch.where(taken, new, loss)
        return z.view_as(x)
