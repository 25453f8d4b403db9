"""Twisted sequential Monte Carlo: a population of grids, revealed part by part and weighed by what is to come out."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

import torch
from torch import Tensor

from latentsearch._checks import is_number
from latentsearch._codes import code_draws
from latentsearch.errors import Unsupported
from latentsearch.loop import Draw, IterativeSearcher, score_each, take
from latentsearch.noise import Noise
from latentsearch.objective import Objective, cost_of_pass
from latentsearch.problem import Problem
from latentsearch.protocols import Generator, Prior
from latentsearch.result import Status
from latentsearch.searchers._grid_posterior import check_grid_posterior, likelihood_of
from latentsearch.searchers.smc._look import Look, look_at, usable
from latentsearch.searchers.smc._proposal import twisted
from latentsearch.searchers.smc._resampling import ancestors, effective, evened
from latentsearch.spaces import Discrete, LatentSpace

# Streams of noise; each use folds a constant of its own.
_LOOK, _RESAMPLE, _CODES, _ANSWER = 1, 2, 3, 4


@dataclass
class SMCState:
    """Where each row's population stands.

    Attributes:
        z: ``(M, N, *S)``, the particles; where they are not revealed, codes that go with those that are.
        known: ``(M, *S)`` bool, the positions that are revealed.
        order: ``(M, P)`` int64, the positions in the order in which they are.
        weight: ``(M, N)`` float64, log weights, without what is expected of the outputs.
        answer: ``(M, *S)``, where the chain stands: a particle of the last pass, or of this one if it is the first.
        transitions: ``(M,)`` int64, passes of the schedule.
        number: Steps taken.
    """

    z: Tensor
    known: Tensor
    order: Tensor
    weight: Tensor
    answer: Tensor
    transitions: Tensor
    number: int


@dataclass(frozen=True)
class SMCSearch(IterativeSearcher):
    r"""Draw grids of codes from the posterior: many are revealed side by side, and what promises little is dropped.

    Sequential Monte Carlo with twisted proposals and particle Gibbs. The goal is as for
    [GibbsSearch][latentsearch.GibbsSearch]: likelihoods in nats, such as ``Matches(x, noise="decoder")``, and
    [LogPrior][latentsearch.LogPrior] of a [ConditionalPrior][latentsearch.ConditionalPrior]; without that term the
    generator's own prior counts. The target is $p(z) \, e^{-L(z)}$; a weight w of the prior counts as $L / w$. An
    answer is a draw, not the best that was seen: run ``restarts`` for several.

    A pass begins with N particles of which nothing is known, and has a few stages:

    1. The prior says of each particle which codes go with those that are revealed. Their expected embeddings are
       decoded, and the loss there and its slope tell about what $\psi = \mathbb{E}[e^{-L}]$ is to be expected, and how
       it changes with each code.
    2. Weights are multiplied by $\psi$, and divided by that of the stage before. Where the effective number of
       particles falls below half, they are resampled, systematically.
    3. Some positions are revealed, those that the outputs show best first: the code j of each is drawn from
       $q(j) \propto p(j \mid \text{revealed}) \, \psi(j)$, some of them from the prior alone, and weights are
       multiplied by $p / q$.

    At last all is decoded, the exact $e^{-L}$ takes the place of $\psi$, and one particle is chosen by its weight. The
    more particles, the nearer is its law to the posterior, whatever $\psi$ is. So far this is the twisted diffusion
    sampler [Wu et al., 2023](https://arxiv.org/abs/2306.17775) for codes, or Feynman-Kac steering with a difference
    potential [Singhal et al., 2025](https://arxiv.org/abs/2501.06848). In further passes the answer of the one
    before is among the particles and always kept, which leaves the posterior as it is with any number of particles:
    particle Gibbs [Andrieu, Doucet and Holenstein, 2010](https://doi.org/10.1111/j.1467-9868.2009.00736.x), with
    the conditional systematic resampling of [Chopin and Singh, 2015](https://arxiv.org/abs/1304.1887).

    Positions of one stage are taken to be independent under the prior given those before: with as many stages as
    positions nothing is neglected. A whole grid is drawn anew in every pass, so chains go from mode to mode where moves
    of single codes stay in one. A stage costs 2 evaluations and a pass of the prior for each particle, so a pass costs
    thousands where the prior's network is larger than the decoder: there GibbsSearch goes further.

    A goal without a gradient is tried on grids that the prior completes, at 1 evaluation each; there q is p, positions
    come in random order, and $\psi$ is $e^{-L t / T}$ of the completion in stage t of T.

    Attributes:
        particles: N.
        reveals: Stages in which all positions are revealed; at most as many as there are.
        trust: How much of the expected loss counts before the end: a share, such as 0.2, for images, and 1 for classes.
            None to set it in each stage, by how much the codes that are still open can change one measured number.
        transitions: Passes, after which a row is FINISHED; None for as many as the budget pays for, and 1 where there
            is none.
        restarts: Chains a problem.

    Example:
        >>> import latentsearch as ls
        >>> from latentsearch import zoo
        >>> generator = ls.wrap(zoo.load("mnist-vqvae-40"))
        >>> images = zoo.images()[0]
        >>> prior = ls.priors.HistogramPrior.from_codes(generator.encode(images), 40)
        >>> goal = ls.Matches(images[:1], noise=0.1) + ls.LogPrior(prior)
        >>> result = ls.SMCSearch(reveals=7, transitions=2).search(generator, goal, seed=0)
        >>> result.status[0].name, float(result.evaluations)
        ('FINISHED', 212.0)
    """

    particles: int = 8
    reveals: int = 12
    trust: float | None = 0.2
    transitions: int | None = None

    spaces: ClassVar[tuple[type, ...]] = (Discrete,)
    needs_gradient: ClassVar[bool] = False
    samples: ClassVar[bool] = True

    def __post_init__(self) -> None:
        super().__post_init__()
        self._require_count("particles", 2)
        self._require_count("reveals")
        share = self.trust is None or (is_number(self.trust) and 0 <= self.trust <= 1)
        self._require("trust", share, "a share from 0 to 1, or None")
        if self.transitions is not None:
            self._require_count("transitions")

    # -- what it costs -----------------------------------------------------------------------------

    def step_cost(self, space: LatentSpace) -> int:
        return self._looks(space) * 2 + self.particles

    def prior_cost(self, generator: Generator, prior: Prior) -> float:
        return self._looks(generator.space) * cost_of_pass(prior)

    def evaluations_of(self, transitions: int, space: Discrete, pass_cost: float, look_cost: int = 2) -> float:
        """What a chain of so many passes costs, beside a prior of which a pass costs so much.

        A look costs 2 evaluations, and 1 where there is no gradient.
        """
        looks = (self._most_stages(space) - 1) * self.particles + 1
        return transitions * (looks * (look_cost + pass_cost) + self.particles)

    def check(self, problem: Problem) -> None:
        super().check(problem)
        check_grid_posterior(type(self).__name__, problem)
        if problem.goal.limited:
            raise Unsupported(
                type(self).__name__,
                got=f"the hard limit {problem.goal.limit!r}",
                expected="none: what the prior reveals is hardly ever within one",
                hint="GibbsSearch begins within a limit, and stays there",
            )

    # -- the chain ---------------------------------------------------------------------------------

    def start(self, objective: Objective, z: Tensor, noise: Noise) -> SMCState:
        count = self.particles
        return SMCState(
            z=z[:, None].repeat(1, count, *(1,) * (z.ndim - 1)),
            known=torch.zeros_like(z, dtype=torch.bool),
            order=torch.zeros_like(z).flatten(1),
            weight=torch.zeros(len(z), count, dtype=torch.float64, device=z.device),
            answer=z,
            transitions=self._schedule(objective),
            number=0,
        )

    def step(self, objective: Objective, state: SMCState, noise: Noise) -> tuple[SMCState, Draw]:
        likelihood, stages = likelihood_of(objective), self._stages(objective)
        transition, stage = divmod(state.number, stages)
        keep, last = transition > 0, stage + 1 == stages
        state, look = self._looked(objective, likelihood, state, noise.fold(_LOOK))
        state, look = self._resampled(state, look, keep, noise.fold(_RESAMPLE))
        state = self._revealed(state, look, self._part(objective, state.order, stage), keep, noise.fold(_CODES))
        if last:
            loss = usable(score_each(likelihood, state.z).loss.double())
            state = replace(state, weight=evened(state.weight - loss))
        if last or not keep:
            chosen = noise.fold(_ANSWER).categorical(state.weight)[:, None]
            state = replace(state, answer=take(state.z, chosen)[:, 0])
        done = (transition + 1 >= state.transitions) & last
        ended = torch.where(done, Status.FINISHED, Status.RUNNING)
        return replace(state, number=state.number + 1), Draw(state.answer, status=ended)

    def _looked(
        self, objective: Objective, likelihood: Objective, state: SMCState, noise: Noise
    ) -> tuple[SMCState, Look]:
        """What is seen of the particles; where nothing is known of them yet, one look serves all."""
        stage = state.number % self._stages(objective)
        if stage:
            here = self._part(objective, state.order, stage)
            return state, look_at(
                objective, likelihood, state.z, state.known, here, self._trust(objective, stage), noise
            )
        every = torch.arange(state.order.shape[1], device=state.z.device).expand_as(state.order)
        nothing = torch.zeros_like(state.known)
        look = look_at(objective, likelihood, state.z[:, :1], nothing, every, self._trust(objective, 0), noise)
        shown, fixed = look.shown[:, 0], objective.prior.fixed
        shown = shown if fixed is None else shown.masked_fill(fixed.flatten(), -1)
        order = shown.argsort(dim=1, descending=True, stable=True)
        # Of every particle the positions that come first.
        here = self._part(objective, order, 0)
        parts = (look.prior, look.mass, look.rise)
        prior, mass, rise = (take(part[:, 0], here)[:, None] for part in parts)
        look = look._replace(prior=prior, mass=mass, rise=rise)
        look = look.of(lambda part: part.expand(-1, self.particles, *part.shape[2:]))
        return replace(state, known=nothing, order=order, weight=torch.zeros_like(state.weight)), look

    def _resampled(self, state: SMCState, look: Look, keep: bool, noise: Noise) -> tuple[SMCState, Look]:
        """The particles that go on, by their weights and what they promise; where these are even enough, all."""
        weight = evened(state.weight - look.promise)
        uneven = effective(weight)[:, None] < self.particles / 2
        every = torch.arange(self.particles, device=weight.device)
        index = torch.where(uneven, ancestors(weight, keep, noise), every)
        look = look.of(lambda part: take(part, index))
        # What a particle promises is taken off again in the next stage, and so given back here.
        return replace(state, weight=torch.where(uneven, 0.0, weight) + look.promise), look

    def _revealed(self, state: SMCState, look: Look, here: Tensor, keep: bool, noise: Noise) -> SMCState:
        """The particles with more positions ``here`` ``(M, n)``; the first has the chain's codes if it is kept."""
        proposal = twisted(look.prior, look.rise)
        rows = noise.split(self.particles)
        codes = code_draws(proposal.flatten(0, 1), 1, rows).view(proposal.shape[:3])
        if keep:
            codes = torch.cat([state.answer.flatten(1).gather(1, here)[:, None], codes[:, 1:]], 1)
        gained = (look.prior - proposal).gather(-1, codes[..., None])[..., 0] + look.mass
        z = look.z.flatten(2).scatter(2, here[:, None].expand_as(codes), codes).view_as(state.z)
        known = state.known.flatten(1).scatter(1, here, True).view_as(state.known)
        return replace(state, z=z, known=known, weight=state.weight + gained.double().sum(-1))

    # -- its parts ---------------------------------------------------------------------------------

    def _most_stages(self, space: LatentSpace) -> int:
        assert isinstance(space, Discrete)
        return min(self.reveals, space.positions)

    def _stages(self, objective: Objective) -> int:
        """Of a pass; fixed codes need none."""
        return max(min(self.reveals, len(objective.prior.free)), 1)

    def _part(self, objective: Objective, order: Tensor, stage: int) -> Tensor:
        """``(M, n)``: the positions that a stage reveals; those that are fixed come last, and with the last."""
        free, stages = len(objective.prior.free), self._stages(objective)
        last = stage + 1 == stages
        return order[:, free * stage // stages : order.shape[1] if last else free * (stage + 1) // stages]

    def _looks(self, space: LatentSpace) -> int:
        """The most that a step takes."""
        return self.particles if self._most_stages(space) > 1 else 1

    def _trust(self, objective: Objective, stage: int) -> float | None:
        """How much of what is expected counts in a stage; of grids that the prior completes the more, the later."""
        whole = objective.per_problem.likelihood.differentiable
        return self.trust if whole else stage / self._stages(objective)

    def _schedule(self, objective: Objective) -> Tensor:
        """``(M,)``: the passes of each row's schedule."""
        left = objective.left
        if self.transitions is not None:
            return torch.full_like(left, self.transitions, dtype=torch.int64)
        look_cost = 2 if objective.per_problem.likelihood.differentiable else 1
        each = self.evaluations_of(1, objective.grid, objective.prior.cost, look_cost)
        # Where not even one can be paid for, the chain goes on to the end of its budget.
        return torch.where(left.isinf(), 1, (left / each).floor()).clamp(min=1).long()
