"""Gibbs sampling of grids of codes: the prior proposes, the likelihood decides."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from latentsearch._checks import is_pair
from latentsearch._rows import share_of
from latentsearch.loop import Draw
from latentsearch.noise import Noise
from latentsearch.objective import Objective, cost_of_pass
from latentsearch.protocols import Generator, Prior
from latentsearch.result import Status
from latentsearch.searchers._grid_posterior import likelihood_of
from latentsearch.searchers.gibbs._blocks import blocks, largest
from latentsearch.searchers.gibbs._choice import distinct, guided, log_ways, weights_of
from latentsearch.searchers.gibbs._refill import STEPS, Refill, descend, drawn, masked
from latentsearch.searchers.gibbs._start import GridSampler, Start, has_an_anchor, wide
from latentsearch.searchers.gibbs._turns import turn
from latentsearch.spaces import Discrete, LatentSpace

_SWEEPS = 4  # without a budget
_FEW, _ENOUGH = 2, 3  # sweeps: a budget for fewer is warned of, and what is advised
# Streams of noise; each use folds a constant of its own.
_CANDIDATES, _CHOICE, _MASK, _REFILL = 3, 4, 5, 6


@dataclass
class GibbsState:
    """Where each chain stands.

    Attributes:
        start: How it begins.
        z: ``(M, *S)``, where the chain stands.
        loss: ``(M,)``, the likelihood's part of it; infinite before the first sweep.
        regret: ``(M, *S)``, how much likelier, by the prior, another code would have been when each was last drawn.
        refill: The codes that are drawn anew.
        sweeps: ``(M,)`` int64, sweeps of the schedule.
        number: Steps taken.
    """

    start: Start
    z: Tensor
    loss: Tensor
    regret: Tensor
    refill: Refill
    sweeps: Tensor
    number: int


@dataclass(frozen=True)
class GibbsSearch(GridSampler):
    r"""Draw grids of codes from the posterior: candidates come from the prior, and the outputs decide among them.

    The goal is likelihoods in nats, such as ``Matches(x, noise="decoder")``, and
    [LogPrior][latentsearch.LogPrior] of a [ConditionalPrior][latentsearch.ConditionalPrior]; without that term
    the generator's own prior counts. The target is $p(z) \, e^{-L(z)}$, with L the loss of the other terms; a weight w
    of the prior counts as $L / w$. An answer is a draw, not the best that was seen: run ``restarts`` for several.

    A chain has five parts:

    1. A relaxation, as of [RelaxedSearch][latentsearch.RelaxedSearch], finds a grid whose outputs are right, with what
       the prior says of single codes as the only term beside the likelihood. It is no likely grid.
    2. Around this anchor the loss is expanded to second order, for every position by itself: it rises by about
       $S_p(j)$ where position p takes code j. For sums of squares the second order is that of Gauss and Newton, by
       random probes; of codes that the outputs do not show there is none.
    3. Positions are revealed, those that the outputs show best first, several a pass: each is drawn from
       $p(z_p = j \mid \text{those revealed}) \, e^{-\eta S_p(j)}$. What is seen is kept, and the rest is filled in.
    4. Sweeps over all positions make up for the expansion. Of each, codes $j_1, \dots, j_m$ are drawn from
       $q(j) \propto p(j \mid \text{others}) \, e^{-\eta S_p(j)}$, with the first order of S where the others stand
       now and the position at its anchor; a tenth of q is the prior alone. No code is drawn twice, nor the present one,
       and each decode tells something new. One of these and the present code is chosen in proportion to
       $p(j \mid \text{others}) \, e^{-L}$ times how likely the other ones of the set are to join it: as q does not
       depend on the present code this leaves the conditional distribution as it is. With codes that may come twice it
       would be i-SIR [Andrieu, Lee and Vihola, *Uniform ergodicity of the iterated conditional SMC*, Bernoulli
       2018](https://arxiv.org/abs/1312.6432). One pass of the prior serves a
       block of positions that are ``spacing`` apart; within a block they are taken to be independent under the prior.
       With a spacing of at least the grid's sides, each position is a block, and nothing is neglected.
    5. After each of the first sweeps a third of the positions is masked, mostly those whose codes the prior likes
       least, and drawn anew, all at once, from the product of distributions that is nearest to the posterior given
       what is kept: of wrong codes, which hold each other in place, single moves do not get rid. It is a jump to a
       better start and no draw, and ``refills`` ends them; the sweeps after the last draw.

    A goal without a gradient, or with a [hard limit][latentsearch.Within], begins at its initial latents and goes
    straight to sweeps, with candidates from the prior alone.

    Attributes:
        explore: Evaluations for the relaxation; 0 begins the expansion at the initial latents, such as those of an
            encoder.
        probes: Of the curvature, for sums of squares.
        reveals: Passes of the prior in which all positions are revealed; 0 sweeps from where the chain begins.
        candidates: m, codes that are tried at each position beside the present one.
        trust: $\eta$, how much of the expansion counts in what is proposed: it overstates.
        temperature: Of the sweeps, the first and the last; between them it changes evenly. At 1 the answer is a draw;
            below it is more likely than draws are, and at 0 the best candidate is taken.
        sweeps: How many; None for as many as the budget pays for, and 4 where there is none.
        refills: How many there are at most; the last sweep comes after the last of them. With a budget for ten sweeps
            five are better than one.
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

    candidates: int = 2
    temperature: tuple[float, float] = (1.0, 1.0)
    sweeps: int | None = None
    refills: int = 1
    spacing: int = 3

    def __post_init__(self) -> None:
        super().__post_init__()
        for name, least in (("candidates", 1), ("refills", 0), ("spacing", 1)):
            self._require_count(name, least)
        if self.sweeps is not None:
            self._require_count("sweeps", 0)
        good = is_pair(self.temperature) and min(self.temperature) >= 0
        self._require("temperature", good, "two numbers of at least 0, first and last")

    # -- what it costs -----------------------------------------------------------------------------

    def step_cost(self, space: LatentSpace) -> int:
        assert isinstance(space, Discrete)
        block = largest(space.shape, self.spacing) * self._tried(space) + 3
        # A refill ends with the loss of what was drawn and its expansion.
        return max(block, 1 + self._start_step_cost(space))

    def evaluations_of(self, sweeps: int, space: Discrete, pass_cost: float) -> float:
        """What a chain of so many sweeps costs, beside a prior of which a pass costs so much."""
        refills = min(max(sweeps - 1, 0), self.refills)
        drawing = sweeps * self._sweep_cost(space, pass_cost) + refills * self._refill_cost(pass_cost)
        return self._start_cost(space, pass_cost) + drawing

    def _refill_cost(self, pass_cost: float) -> float:
        """A pass, the descent, and the loss of what was drawn and its expansion."""
        return pass_cost + 2 * STEPS + 3 + self.probes

    def _sweep_cost(self, space: Discrete, pass_cost: float, free: frozenset[int] | None = None) -> float:
        found = blocks(space.shape, self.spacing, free)
        return sum(map(len, found)) * self._tried(space) + len(found) * (pass_cost + self._slope_cost)

    def prior_cost(self, generator: Generator, prior: Prior) -> float:
        return cost_of_pass(prior)

    # -- the chain ---------------------------------------------------------------------------------

    def start(self, objective: Objective, z: Tensor, noise: Noise) -> GibbsState:
        start, dtype = self._start(objective, z, noise), wide(objective)
        loss = torch.full((len(z),), torch.inf, dtype=dtype, device=z.device)
        refill = Refill.none(z, start.first_order)
        return GibbsState(start, z, loss, torch.zeros_like(z, dtype=dtype), refill, self._schedule(objective), 0)

    def step(self, objective: Objective, state: GibbsState, noise: Noise) -> tuple[GibbsState, Draw]:
        likelihood, number = likelihood_of(objective), state.number
        _, before = self._steps_before(objective)
        if number < before:
            start, z = self._begin(objective, state.start, state.z, number, noise)
            state = replace(state, start=start, z=z)
        else:
            state = self._draw(objective, likelihood, state, number - before, noise)
        # Sweeps that end with this step.
        swept = turn(number + 1 - before, *self._turns(likelihood)).sweep if number + 1 >= before else 0
        ended = torch.where((swept >= state.sweeps) & (number + 1 >= before), Status.FINISHED, Status.RUNNING)
        return replace(state, number=number + 1), Draw(state.z, status=ended)

    def _draw(
        self, objective: Objective, likelihood: Objective, state: GibbsState, number: int, noise: Noise
    ) -> GibbsState:
        """A block of a sweep, or a step of a refill."""
        if self.sweeps == 0 or objective.grid.codebook_size == 1:
            return state
        now = turn(number, *self._turns(likelihood))
        if number == 0:
            state = replace(state, loss=likelihood(state.z).loss.to(state.loss.dtype))
        if now.block is not None:
            return self._sweep(objective, likelihood, state, now.sweep, now.block, noise)
        return self._refilled(objective, likelihood, state, now.step, noise)

    def _sweep(
        self, objective: Objective, likelihood: Objective, state: GibbsState, sweep: int, part: int, noise: Noise
    ) -> GibbsState:
        """One block of positions, drawn one after another given all others."""
        positions = self._blocks(objective)[part]
        block = torch.tensor(positions, device=state.z.device)
        outside = torch.ones(state.z[0].numel(), dtype=torch.bool, device=block.device).index_fill(0, block, False)
        known = outside.view(state.z.shape[1:]).expand_as(state.z)
        prior = objective.prior.conditionals(state.z, known).to(state.loss.dtype)
        rise = self._rise(likelihood, state.start, state.z, ~known)
        proposal = (prior if rise is None else guided(prior, rise)).flatten(1, -2)[:, block]
        prior = prior.flatten(1, -2)[:, block]
        temperature = self._temperature(state, sweep)
        z, loss = state.z.flatten(1), state.loss
        codes = distinct(proposal, z[:, block], self._tried(objective.grid), noise.fold(_CANDIDATES))
        for index, position in enumerate(positions):
            new = codes[:, index]
            score = likelihood.swaps(z.view_as(state.z), torch.full_like(new, position), new)
            tried = torch.cat([z[:, position, None], new], 1)
            losses = torch.cat([loss[:, None], score.loss.to(loss.dtype)], 1)
            ways = log_ways(proposal[:, index], tried)
            weights = weights_of(prior[:, index].gather(1, tried), ways, losses, temperature)
            chosen = noise.fold(_CHOICE).fold(position).perturbed(weights)
            best = torch.where(temperature[:, None] > 0, chosen, weights).argmax(1, keepdim=True)
            z = z.index_copy(1, block[index : index + 1], tried.gather(1, best))
            loss = losses.gather(1, best)[:, 0]
        worse = prior.amax(-1) - prior.gather(-1, z[:, block, None])[..., 0]
        regret = state.regret.flatten(1).index_copy(1, block, worse).view_as(state.regret)
        return replace(state, z=z.view_as(state.z), loss=loss, regret=regret)

    def _refilled(
        self, objective: Objective, likelihood: Objective, state: GibbsState, step: int, noise: Noise
    ) -> GibbsState:
        """A step of drawing the least likely codes anew."""
        if step == 0:
            state = replace(state, refill=masked(objective.prior, state.z, state.regret, noise.fold(_MASK)))
        if step < STEPS:
            descend(likelihood, state.z, state.refill, (step + 1) / STEPS, noise)
            return state
        z = drawn(state.z, state.refill, noise.fold(_REFILL))
        loss = likelihood(z).loss.to(state.loss.dtype)
        return replace(state, z=z, loss=loss, start=self._expand(likelihood, state.start, z, noise))

    # -- its parts ---------------------------------------------------------------------------------

    def _turns(self, likelihood: Objective) -> tuple[int, int]:
        """Blocks of a sweep, and how many sweeps a refill comes after."""
        return len(self._blocks(likelihood)), self.refills if has_an_anchor(likelihood.goal) else 0

    def _blocks(self, objective: Objective) -> list[list[int]]:
        """Of a sweep; a fixed code is never drawn."""
        return blocks(objective.grid.shape, self.spacing, objective.prior.free)

    def _schedule(self, objective: Objective) -> Tensor:
        """``(M,)``: the sweeps of each row's schedule."""
        left = objective.left
        if self.sweeps is not None:
            return torch.full_like(left, self.sweeps, dtype=torch.int64)
        before, sweep, refill = self._costs(objective)
        paid = left - before
        # With a refill between any two sweeps, and with all refills there are.
        few, many = ((paid + refill) / (sweep + refill)).floor(), ((paid - self.refills * refill) / sweep).floor()
        affordable = torch.where(few > self.refills, many, few)
        # Where not even one can be paid for, the chain goes on to the end of its budget.
        return torch.where(left.isinf(), _SWEEPS, affordable).clamp(min=1).long()

    def _costs(self, objective: Objective) -> tuple[float, float, float]:
        """Evaluations that a chain must have beside those of its sweeps, those of a sweep, and those of a refill."""
        space, pass_cost = objective.grid, objective.prior.cost
        anchored = has_an_anchor(objective.per_problem.likelihood)
        before = self._start_cost(space, pass_cost) if anchored else 0
        sweep = self._sweep_cost(space, pass_cost, objective.prior.free)
        refill = self._refill_cost(pass_cost) if anchored else 0
        # The last step begins only if the dearest one could be paid for.
        smallest = min(map(len, self._blocks(objective)))
        kept = self.whole_step_cost(objective) - (smallest * self._tried(space) + self._slope_cost + pass_cost)
        return before + kept, sweep, refill

    def shortage(self, objective: Objective) -> str:
        left = float(objective.left.min())
        before, sweep, refill = self._costs(objective)
        paid = max((left - before + refill) // (sweep + refill), 0)
        if math.isinf(left) or paid >= (_FEW if self.sweeps is None else min(self.sweeps, _FEW)):
            return ""
        enough = math.ceil(self.restarts * (before + _ENOUGH * sweep + min(_ENOUGH - 1, self.refills) * refill))
        return (
            f"a pass of the prior costs {objective.prior.cost:.3g} evaluations, and {left * self.restarts:g} a problem "
            f"pay for {paid:g} sweeps of each of {self.restarts} chains; Run(evaluations={enough}) pays for {_ENOUGH}"
        )

    def _tried(self, space: Discrete) -> int:
        """Codes that are tried at each position: there are no more than all others."""
        return min(self.candidates, space.codebook_size - 1)

    def _temperature(self, state: GibbsState, sweep: int) -> Tensor:
        """``(M,)``, of the sweep in each row's schedule."""
        first, last = self.temperature
        share = share_of(sweep, (state.sweeps - 1).clamp(min=1), state.loss)
        # The last sweep is that of the last temperature, the only one included.
        share = torch.where(state.sweeps <= 1, 1, share)
        return first + (last - first) * share
