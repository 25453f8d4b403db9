"""Successive halving: many starts in a continuous space, of which the better ones are followed further."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import ClassVar

import torch
from torch import Tensor

from latentsearch._rows import mean_rows
from latentsearch.goal import Score
from latentsearch.loop import (
    IterativeSearcher,
    OptimizerFactory,
    Proposal,
    best_of,
    check_row_local,
    gradients_each,
    project_each,
    ranking,
    score_each,
    take,
)
from latentsearch.noise import Noise
from latentsearch.objective import Objective
from latentsearch.problem import Problem
from latentsearch.result import Status
from latentsearch.searchers.halving._plan import Plan, most_draws, planned
from latentsearch.searchers.halving._quasi_newton import QuasiNewton
from latentsearch.searchers.halving._scheduled import Scheduled
from latentsearch.spaces import Continuous, LatentSpace

_HORIZON = 2000  # evaluations that a search without a budget is planned for
_FIRST = 0.1  # of the prior's standard deviation: the first move of each element, as a root mean square
_PROGRESS = 1e-3  # share by which the loss of the last member must fall in `patience` steps


@dataclass
class HalvingState:
    """The members of each row that are still followed.

    Attributes:
        draws: ``(N, K, *S)``, to be scored in the first step; none after it.
        members: Where they stand, and what moves them; at least in float32.
        first: ``(N,)``, how long their first moves are.
        budget: ``(N,)``, the evaluations that the learning rate falls over.
        mark: ``(N,)``, the loss of the last member when it last made progress.
        since: ``(N,)`` int64, steps since then.
        horizon: Evaluations that all rows are planned for.
        spent: Evaluations so far, of each row.
        number: Steps so far.
    """

    draws: Tensor
    members: QuasiNewton | Scheduled
    first: Tensor
    budget: Tensor
    mark: Tensor
    since: Tensor
    horizon: int
    spent: int
    number: int


@dataclass(frozen=True)
class HalvingSearch(IterativeSearcher):
    r"""Score draws from the prior, descend from the best, and follow fewer and fewer of them further.

    Successive halving [K. Jamieson and A. Talwalkar, *Non-stochastic Best Arm Identification and
    Hyperparameter Optimization*, AISTATS 2016] of starting points. A loss has local minima in latents, and
    which start leads to a good one shows long before it gets there: so the budget is spent on the few
    that lead. The initial latent is one of the draws, and counts like the others. `examples/benchmarks/continuous.py`
    measures what that is worth.

    The members descend by L-BFGS [J. Nocedal, *Updating Quasi-Newton Matrices with Limited Storage*,
    Mathematics of Computation, 1980], each with a curvature and a line search of its own, or by any torch
    optimiser, whose learning rate then falls to zero over the budget along a cosine [I. Loshchilov and F.
    Hutter, *SGDR*, ICLR 2017].

    The budget decides the number of draws, starts and steps; the smallest one where problems have budgets of
    their own. Without a budget a search is planned for 2,000 evaluations, and its last member goes on
    until it makes no progress.

    Attributes:
        optimizer: None for L-BFGS; or a factory of torch optimisers, ``[tensor] -> optimizer``, of one that
            treats each element by itself, which a preflight check on two rows confirms.
        starts: Members at first; None for a number that suits the budget. With 1 the best draw is followed.
        draws: Latents scored at first, of which the best are the starts; None for a number that suits the budget.
        reduction: One in how many goes on to the next rung.
        patience: A problem whose last member gets better by less than a thousandth in so many steps is
            STALLED; None: go on until the budget ends.
        restarts: Independent searches a problem; they share its budget.

    Example:
        >>> import latentsearch as ls
        >>> from latentsearch.testing import toys
        >>> toy = toys.bowl()
        >>> result = ls.HalvingSearch().search(toy.generator, toy.constraint, seed=0)
        >>> bool((result.score.loss < 1e-9).all())
        True
    """

    optimizer: OptimizerFactory | None = None
    starts: int | None = None
    draws: int | None = None
    reduction: int = 4
    patience: int | None = 50

    spaces: ClassVar[tuple[type, ...]] = (Continuous,)

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("starts", "draws", "patience"):
            if getattr(self, name) is not None:
                self._require_count(name)
        self._require_count("reduction", 2)
        enough = self.starts is None or self.draws is None or self.starts <= self.draws
        self._require("starts", enough, f"at most as many as draws, {self.draws}")

    def step_cost(self, space: LatentSpace) -> int:
        return most_draws(self.draws, self.starts)

    def next_step_cost(self, space: LatentSpace, state: HalvingState) -> int:
        plan = self._planned(state.horizon, space)
        return 2 * plan.members(state.number - 1) if state.number else max(plan.draws, 2 * plan.members(0))

    def check(self, problem: Problem) -> None:
        super().check(problem)
        if self.optimizer is not None:
            check_row_local("HalvingSearch.optimizer", self.optimizer)

    def start(self, objective: Objective, z: Tensor, noise: Noise) -> HalvingState:
        left = objective.left
        least = float(left.min())
        horizon = _HORIZON if math.isinf(least) else int(least)
        plan = self._planned(horizon, objective.generator.space)
        draws = _draws(objective, z, max(plan.draws, 2), noise)
        first = _FIRST * _spread(draws) * math.sqrt(draws[0, 0].numel())
        draws = draws[:, : plan.draws]
        return HalvingState(
            draws=draws,
            members=self._members(draws[:, : plan.members(0)], first),
            first=first,
            budget=torch.where(left.isinf(), horizon, left).to(first.dtype),
            mark=torch.full_like(first, torch.inf),
            since=torch.zeros_like(first, dtype=torch.int64),
            horizon=horizon,
            spent=0,
            number=0,
        )

    def step(self, objective: Objective, state: HalvingState, noise: Noise) -> tuple[HalvingState, Proposal]:
        plan = self._planned(state.horizon, objective.generator.space)
        if state.number == 0:
            return self._screened(objective, state, plan)
        state, proposal = self._descended(objective, state)
        alive = state.members.loss.shape[1]
        if alive == 1:
            return self._ended(state, proposal)
        survivors = plan.members(state.number - 1)
        if survivors < alive:
            best = state.members.loss.argsort(dim=1, stable=True)[:, :survivors]
            state = replace(state, members=state.members.keep(best))
        return state, proposal

    def _planned(self, horizon: int, space: LatentSpace) -> Plan:
        elements = math.prod(space.shape) if self.optimizer is None else None
        return planned(horizon, elements, self.draws, self.starts, self.reduction)

    def _screened(self, objective: Objective, state: HalvingState, plan: Plan) -> tuple[HalvingState, Proposal]:
        """Score the draws; the best are where members start."""
        score = score_each(objective, state.draws)
        chosen = take(state.draws, ranking(score)[:, : plan.members(0)])
        members = self._members(chosen, state.first)
        after = replace(state, draws=state.draws[:, :0], members=members, spent=plan.draws, number=1)
        return after, Proposal(*best_of(state.draws, score))

    def _members(self, z: Tensor, first: Tensor) -> QuasiNewton | Scheduled:
        """Members at ``(N, M, *S)``, whose first moves have the length ``(N,)``."""
        z = z.flatten(2).to(first.dtype)
        return QuasiNewton.at(z, first) if self.optimizer is None else Scheduled.at(z, self.optimizer)

    def _descended(self, objective: Objective, state: HalvingState) -> tuple[HalvingState, Proposal]:
        """One step of all members."""
        dtype, shape = objective.generator.dtype, objective.generator.space.shape
        points = state.members.next_points()
        # Only what could be an answer is scored: in the decoder's precision, and within the hard limit.
        rounded = points.unflatten(2, shape).to(dtype)
        z = project_each(objective, rounded)
        score, gradient = gradients_each(objective, z)
        gradient = gradient.flatten(2).to(points.dtype)
        broken = score.loss.isnan() | gradient.isnan().any(2)
        # A point whose loss is NaN was only a step too far: the member stays where it was.
        score = Score.of(torch.where(broken, torch.inf, score.loss), score.passed & ~broken, score.own)
        gradient = torch.where(broken[..., None], 0, gradient)
        # Where the limit moved a point, the projected one was scored.
        points = torch.where((z != rounded).flatten(2), z.flatten(2).to(points.dtype), points)
        rate = _cosine(state.spent / state.budget)
        members = state.members.advanced(points, score.loss.to(points.dtype), gradient, rate)
        spent = state.spent + 2 * z.shape[1]
        return replace(state, members=members, spent=spent, number=state.number + 1), Proposal(*best_of(z, score))

    def _ended(self, state: HalvingState, proposal: Proposal) -> tuple[HalvingState, Proposal]:
        """With the status of each row, of which only the last member is left."""
        loss = torch.minimum(state.members.loss[:, 0], state.mark)
        progress = (loss < state.mark - _PROGRESS * state.mark.abs()) | state.mark.isinf()
        since = torch.where(progress, 0, state.since + 1)
        status = torch.full_like(since, Status.RUNNING)
        if self.patience is not None:
            status = torch.where(since >= self.patience, Status.STALLED, status)
        if self.optimizer is not None:
            status = torch.where(state.spent + 2 > state.budget, Status.FINISHED, status)
        after = replace(state, mark=torch.where(progress, loss, state.mark), since=since)
        return after, proposal._replace(status=status)


def _draws(objective: Objective, z: Tensor, count: int, noise: Noise) -> Tensor:
    """``(N, count, *S)``: the initial latents ``(N, *S)``, and draws from the prior, within the hard limit."""
    draws = objective.prior.prior.sample(noise.split(count)).to(z.dtype).unflatten(0, (len(z), count))
    return torch.cat([z[:, None], project_each(objective, draws)[:, 1:]], 1)


def _spread(draws: Tensor) -> Tensor:
    """``(N,)``: the standard deviation of draws ``(N, K, *S)`` from each other, at least in float32."""
    flat = draws.flatten(2).to(torch.promote_types(draws.dtype, torch.float32))
    spread = mean_rows(flat.var(1)).sqrt()
    # A prior of a single latent does not say how far to go.
    return torch.where(spread > 0, spread, 1.0)


def _cosine(spent: Tensor) -> Tensor:
    """``(N,)``: the share of the learning rate when a share of the budget is spent."""
    return (1 + (math.pi * spent.clamp(max=1)).cos()) / 2
