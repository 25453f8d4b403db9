"""What samplers of grids of codes share: where their chains begin, and around what the loss is expanded."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

import torch
from torch import Tensor

from latentsearch._checks import is_number
from latentsearch.goal import Goal
from latentsearch.loop import IterativeSearcher, Proposal
from latentsearch.noise import Noise
from latentsearch.objective import Objective
from latentsearch.problem import Problem
from latentsearch.searchers._grid_posterior import check_grid_posterior, likelihood_of
from latentsearch.searchers.gibbs._evidence import expansion, slope
from latentsearch.searchers.gibbs._reveal import part_of, reveal
from latentsearch.searchers.gibbs._single_codes import SingleCodes
from latentsearch.searchers.relaxed import RelaxedSearch, RelaxedState
from latentsearch.spaces import Discrete

_PROBES, _REVEAL = 1, 2  # streams of noise; those of samplers come after them


@dataclass
class Start:
    """The beginning of each chain.

    Attributes:
        relaxed: The relaxation with which it begins.
        anchor: ``(M, *S)``, the grid around which the loss is expanded.
        first_order: ``(M, *S, K)``, the first order of the loss there; 0 before it is expanded.
        second_order: ``(M, *S, K)``, its second order.
        known: ``(M, *S)`` bool, the positions revealed so far.
    """

    relaxed: RelaxedState
    anchor: Tensor
    first_order: Tensor
    second_order: Tensor
    known: Tensor


@dataclass(frozen=True)
class GridSampler(IterativeSearcher):
    """Base of samplers whose chains begin with a relaxation and draw with the slope of the likelihood.

    Attributes:
        explore: Evaluations for the relaxation; 0 begins the expansion at the initial latents.
        probes: Of the curvature, for sums of squares.
        reveals: Passes of the prior in which all positions are first drawn; 0 begins at the relaxation's grid.
        trust: How much of the expansion counts in what is proposed.
        restarts: Chains a problem.
    """

    explore: int = 100
    probes: int = 16
    reveals: int = 10
    trust: float = 0.4

    spaces: ClassVar[tuple[type, ...]] = (Discrete,)
    needs_gradient: ClassVar[bool] = False
    samples: ClassVar[bool] = True

    def __post_init__(self) -> None:
        super().__post_init__()
        for name, least in (("explore", 0), ("probes", 1), ("reveals", 0)):
            self._require_count(name, least)
        self._require("trust", is_number(self.trust) and 0 <= self.trust <= 1, "a share from 0 to 1")

    def check(self, problem: Problem) -> None:
        super().check(problem)
        check_grid_posterior(type(self).__name__, problem)

    # -- what it costs -----------------------------------------------------------------------------

    def _start_step_cost(self, space: Discrete) -> int:
        """The most that a step of the beginning takes."""
        return max(2 + self.probes, self._relaxation(space).step_cost(space))

    def _start_cost(self, space: Discrete, pass_cost: float) -> float:
        """All that the beginning takes, beside a prior of which a pass costs so much."""
        relaxation = self._relaxation(space)
        explored = relaxation.evaluations_of(relaxation.steps or 0, space) if self.explore else 0
        return explored + 2 + self.probes + self.reveals * pass_cost

    @property
    def _slope_cost(self) -> int:
        """Evaluations that draws take for their slope."""
        return 2 if self.trust else 0

    def _swap_cost(self, goal: Goal) -> float:
        return goal.likelihood.swap_cost

    # -- the beginning -----------------------------------------------------------------------------

    def _start(self, objective: Objective, z: Tensor, noise: Noise) -> Start:
        relaxed = self._relaxation(objective.grid).start(likelihood_of(objective), z, noise)
        nothing = torch.zeros(*z.shape, objective.grid.codebook_size, dtype=wide(objective), device=z.device)
        return Start(relaxed, z, nothing, nothing, torch.ones_like(z, dtype=torch.bool))

    def _steps_before(self, objective: Objective) -> tuple[int, int]:
        """Steps of the relaxation; and those before the first draw, with the expansion and what is revealed."""
        if not has_an_anchor(objective.per_problem.likelihood):
            return 0, 0
        steps = self._relaxation(objective.grid).steps
        assert steps is not None
        searched = steps + 1 if self.explore else 0
        return searched, searched + 1 + self.reveals

    def _begin(self, objective: Objective, start: Start, z: Tensor, number: int, noise: Noise) -> tuple[Start, Tensor]:
        """A step of the beginning, and the grids after it."""
        searched, _ = self._steps_before(objective)
        if number < searched:
            return self._explore(objective, start, z, noise)
        if number == searched:
            return self._expand(likelihood_of(objective), start, z, noise), z
        return self._reveal(objective, start, z, number - searched - 1, noise.fold(_REVEAL))

    def _explore(self, objective: Objective, start: Start, z: Tensor, noise: Noise) -> tuple[Start, Tensor]:
        """A step of the relaxation, beside the prior of single codes: that of grids is not made for mixtures."""
        likelihood = likelihood_of(objective)
        goal = likelihood.per_problem + SingleCodes(objective.prior.marginals)
        proposal: Proposal | None
        relaxed, proposal = self._relaxation(objective.grid).step(likelihood.scoring(goal), start.relaxed, noise)
        return replace(start, relaxed=relaxed), z if proposal is None else proposal.latent

    def _expand(self, likelihood: Objective, start: Start, z: Tensor, noise: Noise) -> Start:
        """The loss to second order around grids."""
        dtype, curvature = start.first_order.dtype, start.relaxed.fit.value
        first, second = expansion(likelihood, z, self.probes, curvature, noise.fold(_PROBES))
        return replace(start, anchor=z, first_order=first.to(dtype), second_order=second.to(dtype))

    def _reveal(self, objective: Objective, start: Start, z: Tensor, stage: int, noise: Noise) -> tuple[Start, Tensor]:
        """Draw a part of the positions that are not known, given those that are."""
        known = start.known if stage else torch.zeros_like(start.known)
        rise = self.trust * (start.first_order + start.second_order)
        count = part_of(objective.grid.positions, stage, self.reveals)
        # What the outputs show best comes first: there the codes on average cost most.
        shown = start.second_order.mean(-1)
        z, known = reveal(objective.prior, z, known, rise, shown, count, noise)
        return replace(start, known=known), z

    # -- its parts ---------------------------------------------------------------------------------

    def _relaxation(self, space: Discrete) -> RelaxedSearch:
        return RelaxedSearch(steps=RelaxedSearch().steps_within(self.explore, space))

    def _rise(self, likelihood: Objective, start: Start, z: Tensor, masked: Tensor) -> Tensor | None:
        """``(M, *S, K)``: the rise of the loss by each code; nothing in it depends on the codes that are masked.

        None where the prior alone proposes.
        """
        if not (self.trust and has_an_anchor(likelihood.goal)):
            return None
        slopes = slope(likelihood, torch.where(masked, start.anchor, z))
        return self.trust * (slopes.to(start.second_order.dtype) + start.second_order)


def has_an_anchor(goal: Goal) -> bool:
    """Whether the loss can be expanded around a grid."""
    return goal.differentiable and not goal.limited


def wide(objective: Objective) -> torch.dtype:
    """The generator's dtype, and float32 at least."""
    return torch.promote_types(objective.generator.dtype, torch.float32)
