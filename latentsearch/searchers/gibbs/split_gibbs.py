"""Split Gibbs sampling of grids of codes: the prior and the likelihood take turns, at less and less noise between."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from latentsearch._checks import is_pair
from latentsearch._rows import per_row, share_of
from latentsearch.loop import Draw, score_each, take
from latentsearch.noise import Noise
from latentsearch.objective import Objective, cost_of_pass
from latentsearch.protocols import Generator, Prior
from latentsearch.result import Status
from latentsearch.searchers._grid_posterior import likelihood_of
from latentsearch.searchers.gibbs._infill import infill
from latentsearch.searchers.gibbs._start import GridSampler, Start, has_an_anchor, wide
from latentsearch.spaces import Discrete, LatentSpace

_ITERATIONS = 100  # without a budget
# Streams of noise; each use folds a constant of its own.
_MASK, _INFILL, _CHOICE = 3, 4, 5


@dataclass
class SplitGibbsState:
    """Where each chain stands.

    Attributes:
        start: How it begins.
        z: ``(M, *S)``, where the chain stands.
        loss: ``(M,)``, the likelihood's part of it; infinite before the first iteration.
        iterations: ``(M,)`` int64, those of the schedule.
        number: Steps taken.
    """

    start: Start
    z: Tensor
    loss: Tensor
    iterations: Tensor
    number: int


@dataclass(frozen=True)
class SplitGibbsSearch(GridSampler):
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

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("candidates", "passes"):
            self._require_count(name)
        if self.iterations is not None:
            self._require_count("iterations")
        inside = is_pair(self.masked) and all(0 < share <= 1 for share in self.masked)
        self._require("masked", inside, "two shares above 0, first and last")

    # -- what it costs -----------------------------------------------------------------------------

    def step_cost(self, space: LatentSpace) -> int:
        assert isinstance(space, Discrete)
        # The first iteration scores the grid that it begins with.
        return max(self.candidates + self._slope_cost + 1, self._start_step_cost(space))

    def prior_cost(self, generator: Generator, prior: Prior) -> float:
        return self._passes_cost(cost_of_pass(prior))

    def evaluations_of(self, iterations: int, space: Discrete, pass_cost: float) -> float:
        """What a chain of so many iterations costs, beside a prior of which a pass costs so much."""
        return self._start_cost(space, pass_cost) + iterations * self._iteration_cost(pass_cost)

    def _iteration_cost(self, pass_cost: float) -> float:
        return self.candidates + self._slope_cost + self._passes_cost(pass_cost)

    def _passes_cost(self, pass_cost: float) -> float:
        """The first pass serves all candidates; each later one serves them and the present grid."""
        return pass_cost * (1 + (self.passes - 1) * (self.candidates + 1))

    # -- the chain ---------------------------------------------------------------------------------

    def start(self, objective: Objective, z: Tensor, noise: Noise) -> SplitGibbsState:
        loss = torch.full((len(z),), torch.inf, dtype=wide(objective), device=z.device)
        return SplitGibbsState(self._start(objective, z, noise), z, loss, self._schedule(objective), 0)

    def step(self, objective: Objective, state: SplitGibbsState, noise: Noise) -> tuple[SplitGibbsState, Draw]:
        likelihood, number = likelihood_of(objective), state.number
        _, before = self._steps_before(objective)
        if number < before:
            start, z = self._begin(objective, state.start, state.z, number, noise)
            state = replace(state, start=start, z=z)
        else:
            state = self._iterate(objective, likelihood, state, number - before, noise)
        done = number + 1 - before >= state.iterations
        ended = torch.where(done, Status.FINISHED, Status.RUNNING)
        return replace(state, number=number + 1), Draw(state.z, status=ended)

    def _iterate(
        self, objective: Objective, likelihood: Objective, state: SplitGibbsState, number: int, noise: Noise
    ) -> SplitGibbsState:
        """Mask some positions, let the prior fill them in, and choose by the outputs."""
        if number == 0:
            state = replace(state, loss=likelihood(state.z).loss.to(state.loss.dtype))
        share = self._share(state, number)
        masked = noise.fold(_MASK).uniform(*state.z.shape[1:]) < per_row(share, state.z)
        rise = self._rise(likelihood, state.start, state.z, masked)
        found = infill(objective.prior, state.z, masked, rise, self.candidates, self.passes, noise.fold(_INFILL))
        tried = score_each(likelihood, found.z[:, 1:]).loss
        losses = torch.cat([state.loss[:, None], tried.to(state.loss.dtype)], 1)
        impossible = found.prior.isneginf() | ~losses.isfinite()
        # Where nothing is possible, what is there stays.
        weights = torch.where(impossible, -torch.inf, found.prior - found.proposal - losses)
        chosen = noise.fold(_CHOICE).perturbed(weights).argmax(1, keepdim=True)
        return replace(state, z=take(found.z, chosen)[:, 0], loss=losses.gather(1, chosen)[:, 0])

    def _schedule(self, objective: Objective) -> Tensor:
        """``(M,)``: the iterations of each row's schedule."""
        left, space = objective.left, objective.grid
        if self.iterations is not None:
            return torch.full_like(left, self.iterations, dtype=torch.int64)
        pass_cost, anchored = objective.prior.cost, has_an_anchor(objective.per_problem.likelihood)
        before = self._start_cost(space, pass_cost) if anchored else 0
        each = self._iteration_cost(pass_cost)
        # The last step begins only if the dearest one could be paid for.
        kept = self.whole_step_cost(objective) - each
        affordable = ((left - before - kept) / each).floor()
        return torch.where(left.isinf(), _ITERATIONS, affordable).clamp(min=1).long()

    def _share(self, state: SplitGibbsState, number: int) -> Tensor:
        """``(M,)``: the share of positions that is masked in an iteration of each row's schedule."""
        first, last = self.masked
        passed = share_of(number, (state.iterations - 1).clamp(min=1), state.loss)
        return first * (last / first) ** torch.where(state.iterations <= 1, 1, passed)
