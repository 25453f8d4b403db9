"""Reveal codes from the most certain to the least, by the prior and what is measured together."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, NamedTuple

import torch
from torch import Tensor

import latentsearch as ls
from codes_bench.pairs import Pairs
from latentsearch.loop import Draw, IterativeSearcher
from latentsearch.noise import Noise
from latentsearch.objective import Objective, cost_of_pass
from latentsearch.protocols import Generator, Prior

_DRAW, _AGAIN = 1, 2  # streams of noise
_CERTAIN = 0.02  # nats of entropy; bits below it may be drawn with anything


@dataclass(frozen=True)
class Slopes:
    """What the outputs say of each code, by the slope of the loss at the expected grid: of any goal that has one.

    Called with the objective and log-probabilities ``(M, *S, K)`` under the prior, where known codes are certain; it
    gives a log-likelihood of each code, up to a constant.

    Attributes:
        rounds: Times that the expectation is taken again with the slopes at hand.
        trust: What of a slope counts.
    """

    rounds: int = 1
    trust: float = 0.2

    def __call__(self, objective: Objective, logs: Tensor) -> Tensor:
        evidence = torch.zeros_like(logs)
        likelihood = objective.scoring(objective.per_problem.likelihood)
        for _ in range(self.rounds):
            soft = (logs + evidence).softmax(-1)
            slope = likelihood.value_and_gradient(soft)[1]
            evidence = -self.trust * (slope - slope[..., :1])
        return evidence

    @property
    def cost(self) -> int:
        """Evaluations."""
        return 2 * self.rounds


@dataclass(frozen=True)
class Messages:
    """The same by belief propagation: of pairs of bits.

    Attributes:
        sweeps: Over all pairs.
    """

    sweeps: int = 8

    def __call__(self, objective: Objective, logs: Tensor) -> Tensor:
        objective.charge(self.cost)
        odds = (logs[..., 1].clamp(min=-30) - logs[..., 0].clamp(min=-30)).flatten(1)
        told = pairs_of(objective).evidence(odds, self.sweeps).view(logs.shape[:-1])
        return torch.stack([torch.zeros_like(told), told], -1)

    @property
    def cost(self) -> int:
        """Evaluations: a sweep goes over every pair twice, where an evaluation goes once."""
        return 2 * self.sweeps


def pairs_of(objective: Objective) -> Pairs:
    """The one term that is about pairs."""
    (found,) = (term for term in objective.goal.constraints if isinstance(term, Pairs))
    return found


class Choice(NamedTuple):
    """What is drawn in a stage, ``(M, P)``: the codes, and which of them are kept."""

    codes: Tensor
    now: Tensor


@dataclass
class UnmaskingState:
    """Where each row stands.

    Attributes:
        z: ``(M, *S)``.
        known: ``(M, *S)`` bool.
        stage: ``(M,)`` int64, of the round.
        round: ``(M,)`` int64.
    """

    z: Tensor
    known: Tensor
    stage: Tensor
    round: Tensor


@dataclass(frozen=True)
class Unmasking(IterativeSearcher):
    """Draw a grid of bits by a masked model, every bit given those drawn and what was measured.

    A stage takes one pass of the prior, asks what the measurements say if the other bits are as the prior has them, and
    draws the bits of which both together are surest, up to an even share of the entropy that is left [as Ben-Hamu et
    al., *Accelerated Sampling from Masked Diffusion Models via Entropy Bounded Unmasking*,
    2025](https://arxiv.org/abs/2505.24857). No two bits of a pair are drawn at once unless they are certain. Later
    rounds hide a share of the bits again and draw them given the rest: a Gibbs step with a block of hundreds of bits.

    Attributes:
        evidence: What the measurements say.
        stages: Of a round, about.
        rounds: After the first one.
        hidden: Share of the bits that a later round draws again.
        temperature: Of the draws, in the first round and the last; at 0 the likelier bit is taken.
    """

    evidence: Slopes | Messages = Messages()
    stages: int = 64
    rounds: int = 0
    hidden: float = 0.5
    temperature: tuple[float, float] = (1.0, 1.0)

    spaces: ClassVar[tuple[type, ...]] = (ls.Discrete,)
    samples: ClassVar[bool] = True

    def step_cost(self, space: ls.LatentSpace) -> int:
        return self.evidence.cost

    def prior_cost(self, generator: Generator, prior: Prior) -> float:
        return cost_of_pass(prior)

    def start(self, objective: Objective, z: Tensor, noise: Noise) -> UnmaskingState:
        none = torch.zeros(len(z), dtype=torch.int64, device=z.device)
        return UnmaskingState(z, torch.zeros_like(z, dtype=torch.bool), none, none)

    def step(self, objective: Objective, state: UnmaskingState, noise: Noise) -> tuple[UnmaskingState, Draw]:
        prior = objective.prior.conditionals(state.z, state.known)
        logs = (prior + self.evidence(objective, prior)).log_softmax(-1)
        codes, now = self._choice(objective, state, logs, noise)
        z = torch.where(now, codes, state.z)
        known = state.known | now
        whole = known.flatten(1).all(1)
        ended = torch.where(whole & (state.round >= self.rounds), ls.Status.FINISHED, ls.Status.RUNNING)
        # What is not drawn yet is shown as it seems.
        draw = Draw(torch.where(known, z, logs.argmax(-1)), status=ended)
        again = noise.fold(_AGAIN).uniform(*z.shape[1:]) < self.hidden
        known = torch.where(whole.view(-1, *(1,) * (z.ndim - 1)), ~again, known)
        stage = torch.where(whole, 0, state.stage + 1)
        return UnmaskingState(z, known, stage, state.round + whole), draw

    def _choice(self, objective: Objective, state: UnmaskingState, logs: Tensor, noise: Noise) -> Choice:
        unknown = ~state.known.flatten(1)
        entropy = torch.where(unknown, -(logs.exp() * logs.clamp(min=-50)).sum(-1).flatten(1), torch.inf)
        order = entropy.argsort(stable=True, dim=1)
        rank = order.argsort(1)
        own = torch.where(unknown, entropy, 0).double()
        before = own.gather(1, order).cumsum(1).gather(1, rank) - own
        share = own.sum(1) / (self.stages - state.stage).clamp(min=1)
        chosen = unknown & ((before + own <= share[:, None]) | (rank == 0) | (own < _CERTAIN))
        unsure = chosen & (own >= _CERTAIN)
        kept = pairs_of(objective).apart(unsure, rank) | (chosen & ~unsure)
        heat = self._heat(state)[:, None, None, None]
        drawn = noise.fold(_DRAW).perturbed(logs / heat.clamp(min=1e-3)).argmax(-1)
        codes = torch.where(heat[..., 0] > 0, drawn, logs.argmax(-1))
        return Choice(codes, kept.view_as(codes))

    def _heat(self, state: UnmaskingState) -> Tensor:
        first, last = self.temperature
        return first + (last - first) * state.round / max(self.rounds, 1)
