"""Gibbs sampling of grids of codes: the prior proposes, the likelihood decides."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import ClassVar

import torch
from torch import Tensor

from latentsearch._codes import code_draws
from latentsearch.errors import InvalidArgument, Unsupported
from latentsearch.goal import Goal
from latentsearch.loop import Draw, IterativeSearcher
from latentsearch.noise import Noise
from latentsearch.objective import Objective, cost_of_pass
from latentsearch.problem import Problem
from latentsearch.protocols import ConditionalPrior, Generator, Prior
from latentsearch.result import Status
from latentsearch.searchers.gibbs._blocks import blocks, largest
from latentsearch.searchers.gibbs._choice import guided, weights_of
from latentsearch.searchers.gibbs._evidence import expansion, slope
from latentsearch.searchers.gibbs._single_codes import SingleCodes
from latentsearch.searchers.relaxed import RelaxedSearch, RelaxedState
from latentsearch.spaces import Discrete, LatentSpace

_SWEEPS = 4  # without a budget
_FEW, _ENOUGH = 2, 3  # sweeps: a budget for fewer is warned of, and what is advised
# Streams of noise; each use folds a constant of its own.
_PROBES, _REVEAL, _CANDIDATES, _CHOICE = 1, 2, 3, 4


@dataclass
class GibbsState:
    """Where each chain stands.

    Attributes:
        relaxed: The relaxation with which it begins.
        anchor: ``(M, *S)``, the grid around which the loss is expanded.
        second_order: ``(M, *S, K)``, the second order of the loss there; 0 before it is expanded.
        first_order: ``(M, *S, K)``, its first order.
        z: ``(M, *S)``, where the chain stands.
        loss: ``(M,)``, the likelihood's part of it; infinite before the first sweep.
        known: ``(M, *S)`` bool, the positions drawn so far.
        sweeps: ``(M,)`` int64, sweeps of the schedule.
        number: Steps taken.
    """

    relaxed: RelaxedState
    anchor: Tensor
    second_order: Tensor
    first_order: Tensor
    z: Tensor
    loss: Tensor
    known: Tensor
    sweeps: Tensor
    number: int


@dataclass(frozen=True)
class GibbsSearch(IterativeSearcher):
    r"""Draw grids of codes from the posterior: candidates come from the prior, and the outputs decide among them.

    The goal is likelihoods in nats, such as ``Matches(x, noise="decoder")``, and
    [LogPrior][latentsearch.LogPrior] of a [ConditionalPrior][latentsearch.ConditionalPrior]; without that term
    the generator's own prior counts. The target is $p(z) \, e^{-L(z)}$, with L the loss of the other terms; a weight w
    of the prior counts as $L / w$. An answer is a draw, not the best that was seen: run ``restarts`` for several.

    A chain has four parts:

    1. A relaxation, as of [RelaxedSearch][latentsearch.RelaxedSearch], finds a grid whose outputs are right, with what
       the prior says of single codes as the only term beside the likelihood. It is no likely grid.
    2. Around this anchor the loss is expanded to second order, for every position by itself: it rises by about
       $S_p(j)$ where position p takes code j. For sums of squares the second order is that of Gauss and Newton, by
       random probes; of codes that the outputs do not show there is none.
    3. Positions are revealed, those that the outputs show best first, several a pass: each is drawn from
       $p(z_p = j \mid \text{those revealed}) \, e^{-\eta S_p(j)}$. What is seen is kept, and the rest is filled in.
    4. Sweeps over all positions make up for the expansion. Of each, codes $j_1, \dots, j_m$ are drawn from
       $q(j) \propto p(j \mid \text{others}) \, e^{-\eta S_p(j)}$, with the first order of S where the others stand
       now and the position at its anchor; a tenth of them are drawn from the prior alone. Their outputs are decoded,
       and one of these and the present code is chosen in proportion to $p(j \mid \text{others}) \, e^{-L} / q(j)$.
       Since q does not depend on the present code this leaves the conditional distribution as it is [i-SIR: Andrieu,
       Lee and Vihola, *Uniform ergodicity of the iterated conditional SMC*, Bernoulli
       2018](https://arxiv.org/abs/1312.6432). One pass of the prior serves a block of positions that are ``spacing``
       apart; within a block they are taken to be independent under the prior. With a spacing of at least the grid's
       sides, each position is a block, and nothing is neglected.

    A goal without a gradient, or with a [hard limit][latentsearch.Within], begins at its initial latents and goes
    straight to sweeps, with candidates from the prior alone.

    Attributes:
        explore: Evaluations for the relaxation; 0 begins the expansion at the initial latents, such as those of an
            encoder.
        probes: Of the curvature, for sums of squares.
        reveals: Passes of the prior in which all positions are revealed; 0 sweeps from where the chain begins.
        candidates: m, codes that are tried at each position.
        trust: $\eta$, how much of the expansion counts in what is proposed: it overstates.
        temperature: Of the sweeps, the first and the last; between them it changes evenly. At 1 the answer is a draw;
            below it is more likely than draws are, and at 0 the best candidate is taken.
        sweeps: How many; None for as many as the budget pays for, and 4 where there is none.
        spacing: Between positions of a block, along each axis.
        restarts: Chains a problem.

    Example:
        >>> import torch
        >>> import latentsearch as ls
        >>> from latentsearch import zoo
        >>> generator = ls.wrap(zoo.load("mnist-vqvae-40"))
        >>> images = zoo.images()[0]
        >>> prior = ls.priors.HistogramPrior.from_codes(generator.encode(images), 40)
        >>> goal = ls.Matches(images[:1], noise=0.05) + ls.LogPrior(prior)
        >>> result = ls.GibbsSearch(sweeps=1).search(generator, goal, seed=0)
        >>> result.status[0].name
        'FINISHED'
    """

    explore: int = 150
    probes: int = 24
    reveals: int = 16
    candidates: int = 3
    trust: float = 0.2
    temperature: tuple[float, float] = (1.0, 1.0)
    sweeps: int | None = None
    spacing: int = 3

    spaces: ClassVar[tuple[type, ...]] = (Discrete,)
    needs_gradient: ClassVar[bool] = False
    samples: ClassVar[bool] = True

    def __post_init__(self) -> None:
        super().__post_init__()
        for name, least in (("explore", 0), ("probes", 1), ("reveals", 0), ("candidates", 1), ("spacing", 1)):
            self._require_count(name, least)
        if self.sweeps is not None:
            self._require_count("sweeps", 0)
        self._require("trust", 0 <= self.trust <= 1, "a share from 0 to 1")
        pair = isinstance(self.temperature, Sequence) and len(self.temperature) == 2
        self._require("temperature", pair and min(self.temperature) >= 0, "two numbers of at least 0, first and last")

    # -- what it costs -----------------------------------------------------------------------------

    def step_cost(self, space: LatentSpace) -> int:
        assert isinstance(space, Discrete)
        block = largest(space.shape, self.spacing) * self.candidates + 3
        return max(block, 2 + self.probes, self._relaxation(space).step_cost(space))

    def evaluations_of(self, sweeps: int, space: Discrete, pass_cost: float) -> float:
        """What a chain of so many sweeps costs, beside a prior of which a pass costs so much."""
        relaxation = self._relaxation(space)
        explored = relaxation.evaluations_of(relaxation.steps or 0, space) if self.explore else 0
        before = explored + 2 + self.probes + self.reveals * pass_cost
        turns = len(blocks(space.shape, self.spacing))
        return before + sweeps * (space.positions * self.candidates + turns * (pass_cost + self._slope_cost))

    def prior_cost(self, generator: Generator, prior: Prior) -> float:
        return cost_of_pass(prior)

    def check(self, problem: Problem) -> None:
        super().check(problem)
        name = type(self).__name__
        if problem.goal.prior is None and any(term.priors for term in problem.goal.constraints):
            hint = "one prior can be made of several: fit it to data of both kinds"
            raise Unsupported(name, got="terms of several priors", expected="one prior to draw from", hint=hint)
        if not isinstance(problem.prior, ConditionalPrior):
            raise Unsupported(
                name,
                got=f"a {type(problem.prior).__name__}, which cannot say what goes with some codes",
                expected="a ConditionalPrior",
                hint="ls.fit_prior(generator, images) trains one; for a prior that only has log_prob, "
                "AutoSearch and LangevinSearch take it as a term",
            )
        if not problem.goal.likelihood.terms:
            hint = "prior.sample(noise) draws from a prior alone"
            raise Unsupported(name, got="a prior and nothing else", expected="a term beside it", hint=hint)
        weighed = problem.goal.prior_weight != 1
        for weight, term in problem.goal.likelihood.terms:
            if not (term.in_nats or weighed or weight != 1):
                raise InvalidArgument(
                    term.name,
                    got="a mean, beside a prior in nats that would outweigh it",
                    expected="a likelihood in nats",
                    hint=f"write {term.name}(..., noise='decoder'), or noise=0.05 for a standard deviation; a distance "
                    f"that has none is weighed, 100 * {term.name}(...)",
                )
        if problem.goal.prior_weight <= 0:
            got = f"a prior of weight {problem.goal.prior_weight:g}"
            raise Unsupported(name, got=got, expected="a positive weight, 1 for a posterior")

    # -- the chain ---------------------------------------------------------------------------------

    def start(self, objective: Objective, z: Tensor, noise: Noise) -> GibbsState:
        space, likelihood = objective.grid, self._likelihood(objective)
        relaxed = self._relaxation(space).start(likelihood, z, noise)
        wide = torch.promote_types(objective.generator.dtype, torch.float32)
        nothing = torch.zeros(*z.shape, space.codebook_size, dtype=wide, device=z.device)
        loss = torch.full((len(z),), torch.inf, dtype=wide, device=z.device)
        return GibbsState(
            relaxed, z, nothing, nothing, z, loss, torch.ones_like(z, dtype=torch.bool), self._schedule(objective), 0
        )

    def step(self, objective: Objective, state: GibbsState, noise: Noise) -> tuple[GibbsState, Draw]:
        likelihood, number = self._likelihood(objective), state.number
        anchored = _has_an_anchor(likelihood.goal)
        explored = self._relaxation(objective.grid).steps + 1 if anchored and self.explore else 0  # type: ignore[operator]
        revealed = explored + 1 + self.reveals if anchored else 0
        if number < explored:
            state = self._explore(objective, likelihood, state, noise)
        elif number == explored and anchored:
            state = self._expand(likelihood, state, noise.fold(_PROBES))
        elif number < revealed:
            state = self._reveal(objective, state, number - explored - 1, noise.fold(_REVEAL))
        else:
            state = self._sweep(objective, likelihood, state, number - revealed, noise)
        done = number + 1 - revealed >= state.sweeps * len(blocks(objective.grid.shape, self.spacing))
        ended = torch.where(done & (number + 1 >= revealed), Status.FINISHED, Status.RUNNING)
        return replace(state, number=number + 1), Draw(state.z, status=ended)

    def _explore(self, objective: Objective, likelihood: Objective, state: GibbsState, noise: Noise) -> GibbsState:
        """One step of the relaxation, beside the prior of single codes: that of grids is not made for mixtures."""
        goal = likelihood.per_problem + SingleCodes(objective.prior.marginals)
        method = self._relaxation(objective.grid)
        relaxed, proposal = method.step(likelihood.scoring(goal), state.relaxed, noise)
        return replace(state, relaxed=relaxed, z=state.z if proposal is None else proposal.latent)

    def _expand(self, likelihood: Objective, state: GibbsState, noise: Noise) -> GibbsState:
        dtype = state.loss.dtype
        first, second = expansion(likelihood, state.z, self.probes, state.relaxed.fit.value, noise)
        known = torch.zeros_like(state.known) if self.reveals else state.known
        return replace(state, anchor=state.z, first_order=first.to(dtype), second_order=second.to(dtype), known=known)

    def _reveal(self, objective: Objective, state: GibbsState, stage: int, noise: Noise) -> GibbsState:
        """Draw a part of the positions that are not known, given those that are."""
        rise = state.first_order + state.second_order
        logits = objective.prior.conditionals(state.z, state.known) - self.trust * rise
        drawn = code_draws(logits.log_softmax(-1), 1, noise)[:, 0]
        # What the outputs show comes first: there the codes on average cost most.
        shown = state.second_order.mean(-1).masked_fill(state.known, -torch.inf).flatten(1)
        positions = shown.shape[1]
        count = positions * (stage + 1) // self.reveals - positions * stage // self.reveals
        now = torch.zeros_like(shown, dtype=torch.bool).scatter(1, shown.topk(count, 1).indices, True).view_as(state.z)
        return replace(state, z=torch.where(now, drawn, state.z), known=state.known | now)

    def _sweep(
        self, objective: Objective, likelihood: Objective, state: GibbsState, number: int, noise: Noise
    ) -> GibbsState:
        """One block of positions, drawn one after another given all others."""
        parts = blocks(objective.grid.shape, self.spacing)
        positions = parts[number % len(parts)]
        block = torch.tensor(positions, device=state.z.device)
        if number == 0:
            state = replace(state, loss=likelihood(state.z).loss.to(state.loss.dtype))
        outside = torch.ones(state.z[0].numel(), dtype=torch.bool, device=block.device).index_fill(0, block, False)
        known = outside.view(state.z.shape[1:]).expand_as(state.z)
        prior = objective.prior.conditionals(state.z, known).to(state.loss.dtype)
        proposal = self._proposal(likelihood, state, prior, known).flatten(1, -2)[:, block]
        prior = prior.flatten(1, -2)[:, block]
        codes = code_draws(proposal, self.candidates, noise.fold(_CANDIDATES))  # (M, m, n)
        temperature = self._temperature(state, number // len(parts))
        z, loss = state.z.flatten(1), state.loss
        for index, position in enumerate(positions):
            new = codes[..., index]
            score = likelihood.swaps(z.view_as(state.z), torch.full_like(new, position), new)
            tried = torch.cat([z[:, position, None], new], 1)
            losses = torch.cat([loss[:, None], score.loss.to(loss.dtype)], 1)
            own, drawn = (table[:, index].gather(1, tried) for table in (prior, proposal))
            weights = weights_of(own, drawn, losses, temperature)
            chosen = noise.fold(_CHOICE).fold(position).perturbed(weights)
            best = torch.where(temperature[:, None] > 0, chosen, weights).argmax(1, keepdim=True)
            z = z.index_copy(1, block[index : index + 1], tried.gather(1, best))
            loss = losses.gather(1, best)[:, 0]
        return replace(state, z=z.view_as(state.z), loss=loss)

    def _proposal(self, likelihood: Objective, state: GibbsState, prior: Tensor, known: Tensor) -> Tensor:
        """``(M, *S, K)``, log q of positions that are not known; nothing in it depends on the codes they have now."""
        if not (self.trust and _has_an_anchor(likelihood.goal)):
            return prior
        slopes = slope(likelihood, torch.where(known, state.z, state.anchor))
        return guided(prior, self.trust * (slopes.to(prior.dtype) + state.second_order))

    # -- its parts ---------------------------------------------------------------------------------

    def _likelihood(self, objective: Objective) -> Objective:
        """The goal without its prior, in units of the prior's weight."""
        goal = objective.per_problem
        return objective.scoring(goal.likelihood.times(1 / goal.prior_weight))

    def _relaxation(self, space: Discrete) -> RelaxedSearch:
        return RelaxedSearch(steps=RelaxedSearch().steps_within(self.explore, space))

    def _schedule(self, objective: Objective) -> Tensor:
        """``(M,)``: the sweeps of each row's schedule."""
        left = objective.left
        if self.sweeps is not None:
            return torch.full_like(left, self.sweeps, dtype=torch.int64)
        before, each = self._before_and_each(objective)
        affordable = ((left - before) / each).floor()
        # Where not even one can be paid for, the chain goes on to the end of its budget.
        return torch.where(left.isinf(), _SWEEPS, affordable).clamp(min=1).long()

    def _before_and_each(self, objective: Objective) -> tuple[float, float]:
        """Evaluations that a chain must have beside those of its sweeps, and those of a sweep."""
        space, pass_cost = objective.grid, objective.prior.cost
        before = self.evaluations_of(0, space, pass_cost)
        each = self.evaluations_of(1, space, pass_cost) - before
        # The last step begins only if the dearest one could be paid for.
        smallest = min(map(len, blocks(space.shape, self.spacing)))
        kept = self.whole_step_cost(objective) - (smallest * self.candidates + self._slope_cost + pass_cost)
        return before + kept, each

    def shortage(self, objective: Objective) -> str:
        left = float(objective.left.min())
        before, each = self._before_and_each(objective)
        paid = max((left - before) // each, 0)
        if paid >= (_FEW if self.sweeps is None else min(self.sweeps, _FEW)):
            return ""
        enough = math.ceil(self.restarts * (before + _ENOUGH * each))
        return (
            f"a pass of the prior costs {objective.prior.cost:.3g} evaluations, and {left * self.restarts:g} a problem "
            f"pay for {paid:g} sweeps of each of {self.restarts} chains; Run(evaluations={enough}) pays for {_ENOUGH}"
        )

    @property
    def _slope_cost(self) -> int:
        """Evaluations that a block takes for its slope."""
        return 2 if self.trust else 0

    def _temperature(self, state: GibbsState, sweep: int) -> Tensor:
        """``(M,)``, of the sweep in each row's schedule."""
        first, last = self.temperature
        share = (sweep / (state.sweeps - 1).clamp(min=1)).clamp(max=1).to(state.loss.dtype)
        # The last sweep is that of the last temperature, the only one included.
        share = torch.where(state.sweeps <= 1, 1, share)
        return first + (last - first) * share


def _has_an_anchor(goal: Goal) -> bool:
    """Whether the loss can be expanded, and any grid may be revealed."""
    return goal.differentiable and not goal.limited
