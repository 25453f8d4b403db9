"""Split Gibbs sampling of grids of codes: the prior and the likelihood take turns, at less and less noise between."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import ClassVar

import torch
from torch import Tensor

from latentsearch._rows import per_row
from latentsearch.goal import Goal
from latentsearch.loop import Draw, IterativeSearcher, score_each, take
from latentsearch.noise import Noise
from latentsearch.objective import Objective, cost_of_pass
from latentsearch.problem import Problem
from latentsearch.protocols import Generator, Prior
from latentsearch.result import Status
from latentsearch.searchers._grid_posterior import check_grid_posterior, likelihood_of
from latentsearch.searchers.gibbs._evidence import expansion, slope
from latentsearch.searchers.gibbs._infill import infill
from latentsearch.searchers.gibbs._reveal import part_of, reveal
from latentsearch.searchers.gibbs._start import explored, has_an_anchor
from latentsearch.searchers.relaxed import RelaxedSearch, RelaxedState
from latentsearch.spaces import Discrete, LatentSpace

_ITERATIONS = 100  # without a budget
# Streams of noise; each use folds a constant of its own.
_PROBES, _REVEAL, _MASK, _INFILL, _CHOICE = 1, 2, 3, 4, 5


@dataclass
class SplitGibbsState:
    """Where each chain stands.

    Attributes:
        relaxed: The relaxation with which it begins.
        anchor: ``(M, *S)``, the grid around which the loss is expanded.
        second_order: ``(M, *S, K)``, the second order of the loss there; 0 before it is expanded.
        first_order: ``(M, *S, K)``, its first order.
        known: ``(M, *S)`` bool, the positions drawn so far.
        z: ``(M, *S)``, where the chain stands.
        loss: ``(M,)``, the likelihood's part of it; infinite before the first iteration.
        iterations: ``(M,)`` int64, those of the schedule.
        number: Steps taken.
    """

    relaxed: RelaxedState
    anchor: Tensor
    second_order: Tensor
    first_order: Tensor
    known: Tensor
    z: Tensor
    loss: Tensor
    iterations: Tensor
    number: int


@dataclass(frozen=True)
class SplitGibbsSearch(IterativeSearcher):
    r"""Draw grids of codes from the posterior: parts of a grid are masked, drawn anew, and chosen among by the outputs.

    Split Gibbs sampling with a diffusion prior: [Chu et al., *Split Gibbs Discrete Diffusion Posterior Sampling*,
    2025](https://arxiv.org/abs/2503.01161) alternates $x \sim p(x) \, \rho_\eta(x, z)$ and
    $z \sim \rho_\eta(x, z) \, e^{-L(z)}$, with a noise $\eta$ between the two that falls. There the noise puts random
    codes in the place of others, and the second step is many of Metropolis's with codes drawn at random. Here the noise
    is absorbing, as a masked prior wants it, and moves are informed:

    1. Every position is masked by itself, with a probability that falls from the first to the last of ``masked``.
    2. ``candidates`` grids x are drawn from $q(x) \propto p(x \mid \text{what is kept}) \, e^{-t S(x)}$, with t the
       trust and S the expansion of the loss that [GibbsSearch][latentsearch.GibbsSearch] has; a tenth of each comes
       from the prior alone.
    3. One of these and the present grid is chosen in proportion to $p(x \mid \text{what is kept}) \, e^{-L(x)} / q(x)$.

    Since the mask and q do not depend on the codes that are masked, this leaves the posterior as it is at any noise,
    and not at the end alone. Positions drawn in one of the ``passes`` of the prior are taken to be independent, which
    is less and less wrong as fewer are masked together; but a last share far below the default wastes passes on next
    to nothing.

    The goal is that of GibbsSearch, and so is the beginning: a relaxation, and a draw around it in ``reveals`` passes.
    An answer is a draw. A pass and a slope serve all that is masked, so that an iteration costs less than a sweep of
    GibbsSearch; but one choice is made for all of it, where GibbsSearch chooses code by code.

    Attributes:
        explore: Evaluations for the relaxation; 0 begins the expansion at the initial latents.
        probes: Of the curvature, for sums of squares.
        reveals: Passes of the prior in which all positions are first drawn; 0 begins at the relaxation's grid.
        candidates: Grids that are tried in an iteration.
        masked: The share of positions that are drawn anew, at first and at last; between them it falls geometrically.
        passes: Of the prior, for one candidate.
        trust: How much of the expansion counts in what is proposed.
        iterations: How many; None for as many as the budget pays for, and 100 where there is none.
        restarts: Chains a problem.

    Example:
        >>> import latentsearch as ls
        >>> from latentsearch import zoo
        >>> generator = ls.wrap(zoo.load("mnist-vqvae-40"))
        >>> images = zoo.images()[0]
        >>> prior = ls.priors.HistogramPrior.from_codes(generator.encode(images), 40)
        >>> goal = ls.Matches(images[:1], noise=0.05) + ls.LogPrior(prior)
        >>> result = ls.SplitGibbsSearch(iterations=20).search(generator, goal, seed=0)
        >>> result.status[0].name
        'FINISHED'
    """

    explore: int = 150
    probes: int = 24
    reveals: int = 16
    candidates: int = 4
    masked: tuple[float, float] = (0.5, 0.1)
    passes: int = 1
    trust: float = 0.2
    iterations: int | None = None

    spaces: ClassVar[tuple[type, ...]] = (Discrete,)
    needs_gradient: ClassVar[bool] = False
    samples: ClassVar[bool] = True

    def __post_init__(self) -> None:
        super().__post_init__()
        for name, least in (("explore", 0), ("probes", 1), ("reveals", 0), ("candidates", 1), ("passes", 1)):
            self._require_count(name, least)
        if self.iterations is not None:
            self._require_count("iterations")
        self._require("trust", 0 <= self.trust <= 1, "a share from 0 to 1")
        pair = isinstance(self.masked, Sequence) and len(self.masked) == 2
        inside = pair and all(0 < share <= 1 for share in self.masked)
        self._require("masked", inside, "two shares above 0, first and last")

    # -- what it costs -----------------------------------------------------------------------------

    def step_cost(self, space: LatentSpace) -> int:
        assert isinstance(space, Discrete)
        # The first iteration scores the grid that it begins with.
        return max(self.candidates + self._slope_cost + 1, 2 + self.probes, self._relaxation(space).step_cost(space))

    def _swap_cost(self, goal: Goal) -> float:
        return goal.likelihood.swap_cost

    def prior_cost(self, generator: Generator, prior: Prior) -> float:
        return self._passes_cost(cost_of_pass(prior))

    def evaluations_of(self, iterations: int, space: Discrete, pass_cost: float) -> float:
        """What a chain of so many iterations costs, beside a prior of which a pass costs so much."""
        relaxation = self._relaxation(space)
        first = relaxation.evaluations_of(relaxation.steps or 0, space) if self.explore else 0
        return first + 2 + self.probes + self.reveals * pass_cost + iterations * self._iteration_cost(pass_cost)

    def _iteration_cost(self, pass_cost: float) -> float:
        return self.candidates + self._slope_cost + self._passes_cost(pass_cost)

    def _passes_cost(self, pass_cost: float) -> float:
        """The first pass serves all candidates; each later one serves them and the present grid."""
        return pass_cost * (1 + (self.passes - 1) * (self.candidates + 1))

    def check(self, problem: Problem) -> None:
        super().check(problem)
        check_grid_posterior(type(self).__name__, problem)

    # -- the chain ---------------------------------------------------------------------------------

    def start(self, objective: Objective, z: Tensor, noise: Noise) -> SplitGibbsState:
        space = objective.grid
        relaxed = self._relaxation(space).start(likelihood_of(objective), z, noise)
        wide = torch.promote_types(objective.generator.dtype, torch.float32)
        nothing = torch.zeros(*z.shape, space.codebook_size, dtype=wide, device=z.device)
        loss = torch.full((len(z),), torch.inf, dtype=wide, device=z.device)
        known = torch.ones_like(z, dtype=torch.bool)
        return SplitGibbsState(relaxed, z, nothing, nothing, known, z, loss, self._schedule(objective), 0)

    def step(self, objective: Objective, state: SplitGibbsState, noise: Noise) -> tuple[SplitGibbsState, Draw]:
        likelihood, number = likelihood_of(objective), state.number
        searched, before = self._steps_before(objective)
        if number < searched:
            relaxed, z = explored(self._relaxation(objective.grid), objective, state.relaxed, state.z, noise)
            state = replace(state, relaxed=relaxed, z=z)
        elif number == searched and before:
            state = self._expand(likelihood, state, noise.fold(_PROBES))
        elif number < before:
            state = self._reveal(objective, state, number - searched - 1, noise.fold(_REVEAL))
        else:
            state = self._iterate(objective, likelihood, state, number - before, noise)
        done = number + 1 - before >= state.iterations
        ended = torch.where(done, Status.FINISHED, Status.RUNNING)
        return replace(state, number=number + 1), Draw(state.z, status=ended)

    def _expand(self, likelihood: Objective, state: SplitGibbsState, noise: Noise) -> SplitGibbsState:
        dtype = state.loss.dtype
        first, second = expansion(likelihood, state.z, self.probes, state.relaxed.fit.value, noise)
        known = torch.zeros_like(state.known) if self.reveals else state.known
        return replace(state, anchor=state.z, first_order=first.to(dtype), second_order=second.to(dtype), known=known)

    def _reveal(self, objective: Objective, state: SplitGibbsState, stage: int, noise: Noise) -> SplitGibbsState:
        rise, shown = self.trust * (state.first_order + state.second_order), state.second_order.mean(-1)
        count = part_of(objective.grid.positions, stage, self.reveals)
        z, known = reveal(objective.prior, state.z, state.known, rise, shown, count, noise)
        return replace(state, z=z, known=known)

    def _iterate(
        self, objective: Objective, likelihood: Objective, state: SplitGibbsState, number: int, noise: Noise
    ) -> SplitGibbsState:
        """Mask some positions, let the prior fill them in, and choose by the outputs."""
        if number == 0:
            state = replace(state, loss=likelihood(state.z).loss.to(state.loss.dtype))
        share = self._share(state, number)
        masked = noise.fold(_MASK).uniform(*state.z.shape[1:]) < per_row(share, state.z)
        rise = self._rise(likelihood, state, masked)
        found = infill(objective.prior, state.z, masked, rise, self.candidates, self.passes, noise.fold(_INFILL))
        tried = score_each(likelihood, found.z[:, 1:]).loss
        losses = torch.cat([state.loss[:, None], tried.to(state.loss.dtype)], 1)
        impossible = found.prior.isneginf() | ~losses.isfinite()
        # Where nothing is possible, what is there stays.
        weights = torch.where(impossible, -torch.inf, found.prior - found.proposal - losses)
        chosen = noise.fold(_CHOICE).perturbed(weights).argmax(1, keepdim=True)
        return replace(state, z=take(found.z, chosen)[:, 0], loss=losses.gather(1, chosen)[:, 0])

    def _rise(self, likelihood: Objective, state: SplitGibbsState, masked: Tensor) -> Tensor | None:
        """``(M, *S, K)``: the rise of the loss by each code; nothing in it depends on the codes that are masked."""
        if not (self.trust and has_an_anchor(likelihood.goal)):
            return None
        slopes = slope(likelihood, torch.where(masked, state.anchor, state.z))
        return self.trust * (slopes.to(state.loss.dtype) + state.second_order)

    # -- its parts ---------------------------------------------------------------------------------

    def _relaxation(self, space: Discrete) -> RelaxedSearch:
        return RelaxedSearch(steps=RelaxedSearch().steps_within(self.explore, space))

    def _steps_before(self, objective: Objective) -> tuple[int, int]:
        """Steps of the relaxation; and those before the first iteration, with the expansion and what is revealed."""
        if not has_an_anchor(objective.per_problem.likelihood):
            return 0, 0
        steps = self._relaxation(objective.grid).steps
        assert steps is not None
        searched = steps + 1 if self.explore else 0
        return searched, searched + 1 + self.reveals

    @property
    def _slope_cost(self) -> int:
        """Evaluations that an iteration takes for its slope."""
        return 2 if self.trust else 0

    def _schedule(self, objective: Objective) -> Tensor:
        """``(M,)``: the iterations of each row's schedule."""
        left, space = objective.left, objective.grid
        if self.iterations is not None:
            return torch.full_like(left, self.iterations, dtype=torch.int64)
        pass_cost, anchored = objective.prior.cost, has_an_anchor(objective.per_problem.likelihood)
        before = self.evaluations_of(0, space, pass_cost) if anchored else 0
        each = self._iteration_cost(pass_cost)
        # The last step begins only if the dearest one could be paid for.
        kept = self.whole_step_cost(objective) - each
        affordable = ((left - before - kept) / each).floor()
        return torch.where(left.isinf(), _ITERATIONS, affordable).clamp(min=1).long()

    def _share(self, state: SplitGibbsState, number: int) -> Tensor:
        """``(M,)``: the share of positions that is masked in an iteration of each row's schedule."""
        first, last = self.masked
        passed = (number / (state.iterations - 1).clamp(min=1)).clamp(max=1).to(state.loss.dtype)
        return first * (last / first) ** torch.where(state.iterations <= 1, 1, passed)
