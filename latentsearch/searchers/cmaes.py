"""CMA-ES: a normal distribution over latents that learns where losses fall."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar, NamedTuple

import torch
from torch import Tensor

from latentsearch._checks import is_number
from latentsearch._rows import per_row
from latentsearch.loop import IterativeSearcher, Proposal, project_each, ranking, score_each, take
from latentsearch.noise import Noise
from latentsearch.objective import Objective
from latentsearch.spaces import Continuous, LatentSpace

_SEPARABLE_ABOVE = 200  # dimensions above which a full covariance, d x d elements a row, costs more than it brings


@dataclass
class CMAESState:
    """The search distribution of each row, over latents flattened to d elements.

    Attributes:
        mean: ``(M, d)``.
        sigma: ``(M,)``, the step size.
        covariance: ``(M, d, d)``; ``(M, d)``, its diagonal, where separable.
        factor: A with A Aᵀ = covariance, of the same shape: triangular, or the square roots.
        path_sigma: ``(M, d)``, the evolution path of the step size.
        path: ``(M, d)``, the evolution path of the covariance.
        number: Generations so far.
    """

    mean: Tensor
    sigma: Tensor
    covariance: Tensor
    factor: Tensor
    path_sigma: Tensor
    path: Tensor
    number: int


class _Rates(NamedTuple):
    """Constants of the strategy, with the equations of the tutorial that set them.

    Attributes:
        weights: Of the better half, best first; they sum to 1.
        mu_eff: Variance-effective selection mass.
        sigma, damping: Learning rate and damping of the step size.
        path: Learning rate of the covariance's path.
        one, mu: Learning rates of the rank-one and rank-µ updates.
        norm: Expected length of a standard normal vector of d elements.
    """

    weights: tuple[float, ...]
    mu_eff: float
    sigma: float
    damping: float
    path: float
    one: float
    mu: float
    norm: float

    @staticmethod
    def of(d: int, population: int, separable: bool) -> _Rates:
        raw = [math.log((population + 1) / 2) - math.log(i + 1) for i in range(population // 2)]  # (49)
        weights = tuple(w / sum(raw) for w in raw)
        mu_eff = 1 / sum(w * w for w in weights)  # (8)
        sigma = (mu_eff + 2) / (d + mu_eff + 5)  # (55)
        damping = 1 + 2 * max(0.0, math.sqrt((mu_eff - 1) / (d + 1)) - 1) + sigma  # (55)
        path = (4 + mu_eff / d) / (d + 4 + 2 * mu_eff / d)  # (56)
        # d elements are learnt faster than d² [Ros and Hansen 2008].
        faster = (d + 2) / 3 if separable else 1.0
        one = min(1.0, faster * 2 / ((d + 1.3) ** 2 + mu_eff))  # (57)
        mu = min(1 - one, faster * 2 * (mu_eff - 2 + 1 / mu_eff) / ((d + 2) ** 2 + mu_eff))  # (58)
        norm = math.sqrt(d) * (1 - 1 / (4 * d) + 1 / (21 * d * d))
        return _Rates(weights, mu_eff, sigma, damping, path, one, mu, norm)


@dataclass(frozen=True)
class CMAESSearch(IterativeSearcher):
    r"""Evolve a normal distribution over latents by covariance matrix adaptation.

    N. Hansen, *The CMA Evolution Strategy: A Tutorial*, arXiv:1604.00772: weighted recombination,
    cumulative step-size adaptation, rank-one and rank-µ updates with positive weights; numbers in
    the code are the tutorial's equations, its constants those of table 1. It asks for ranks of
    losses alone, so it needs no gradient and does not mind noise, cliffs or another scale.

    Candidates are $m + \sigma A z$ with $A A^\top = C$. A is the Cholesky factor, as in Krause,
    Arbonès and Igel, *CMA-ES with Optimal Covariance Update and Storage Complexity* (NeurIPS 2016),
    so that the step size's path takes $A^{-1}$ for $C^{-1/2}$: the mean of z, which is at hand, and
    no eigenvectors are needed, nor the host.

    A covariance has $d^2$ elements a row, and learning it takes losses in proportion. Its diagonal
    alone is learnt a factor $(d + 2) / 3$ faster: R. Ros and N. Hansen, *A Simple Modification in
    CMA-ES Achieving Linear Time and Space Complexity* (PPSN 2008).

    Attributes:
        sigma: Initial standard deviation of every number, about the initial latent. The default is
            for latents with a standard normal prior; less stays nearer to a good ``init``.
        population: Candidates a generation and row. The tutorial has $4 + \lfloor 3 \ln d \rfloor$:
            12 for d = 20, 16 for d = 64; more looks wider and converges slower.
        separable: Whether to learn the diagonal only; None where d is above 200.
        restarts: Independent starts a problem.

    Example:
        >>> import latentsearch as ls
        >>> from latentsearch.testing import toys
        >>> toy = toys.bowl()
        >>> result = ls.CMAESSearch().search(toy.generator, toy.constraint, seed=0)
        >>> bool((result.score.loss < 1e-6).all())
        True
    """

    sigma: float = 0.5
    population: int = 16
    separable: bool | None = None

    spaces: ClassVar[tuple[type, ...]] = (Continuous,)
    needs_gradient: ClassVar[bool] = False

    def __post_init__(self) -> None:
        super().__post_init__()
        self._require("sigma", is_number(self.sigma) and self.sigma > 0, "a positive number")
        self._require_count("population", 4)
        known = self.separable is None or isinstance(self.separable, bool)
        self._require("separable", known, "True, False, or None to go by the dimension")

    def step_cost(self, space: LatentSpace) -> int:
        return self.population

    def start(self, objective: Objective, z: Tensor, noise: Noise) -> CMAESState:
        # Variances overflow half precision.
        mean = z.flatten(1).to(torch.promote_types(z.dtype, torch.float32))
        d = mean.shape[1]
        identity = (
            torch.ones_like(mean)
            if self._separable(d)
            else torch.eye(d, dtype=mean.dtype, device=mean.device).repeat(len(mean), 1, 1)
        )
        sigma = torch.full_like(mean[:, 0], self.sigma)
        zero = torch.zeros_like(mean)
        return CMAESState(mean, sigma, identity, identity.clone(), zero, zero.clone(), 0)

    def _separable(self, d: int) -> bool:
        return d > _SEPARABLE_ABOVE if self.separable is None else self.separable

    def step(self, objective: Objective, state: CMAESState, noise: Noise) -> tuple[CMAESState, Proposal]:
        rows, d = state.mean.shape
        shape, dtype = objective.generator.space.shape, objective.generator.dtype
        draws = noise.fold(1).normal(self.population, d, dtype=state.mean.dtype)
        if state.number == 0:
            # The initial latent is a candidate itself: no result is worse.
            draws = torch.cat([torch.zeros_like(draws[:, :1]), draws[:, 1:]], 1)
        moves = _transformed(state.factor, draws)  # (39)
        z = (state.mean[:, None] + state.sigma[:, None, None] * moves).to(dtype)  # (40)
        # Candidates are projected onto the hard limit, and still count for where they were drawn.
        z = project_each(objective, z.view(rows, self.population, *shape))
        score = score_each(objective, z)
        order = ranking(score)
        chosen = order[:, : self.population // 2]
        state = self._updated(state, take(draws, chosen), take(moves, chosen))
        best = order[:, :1]
        return state, Proposal(take(z, best)[:, 0], score.map(lambda t: take(t, best)[:, 0]))

    def _updated(self, state: CMAESState, draws: Tensor, moves: Tensor) -> CMAESState:
        """The distribution after a generation, given its better half: z and A z, ``(M, µ, d)`` each."""
        d = draws.shape[2]
        rates = _Rates.of(d, self.population, state.factor.ndim == 2)
        weights = draws.new_tensor(rates.weights)[:, None]
        move, whitened = (weights * moves).sum(1), (weights * draws).sum(1)  # (41)
        number = state.number + 1

        path_sigma = _followed(state.path_sigma, whitened, rates.sigma, rates.mu_eff)  # (43)
        length = path_sigma.square().sum(1).sqrt()
        sigma = state.sigma * (rates.sigma / rates.damping * (length / rates.norm - 1)).exp()  # (44)

        # A path that is long as yet says nothing of the covariance, only that the step is too short.
        settled = length / math.sqrt(1 - (1 - rates.sigma) ** (2 * number)) < (1.4 + 2 / (d + 1)) * rates.norm
        fresh = settled.to(move.dtype)[:, None]
        path = _followed(state.path, fresh * move, rates.path, rates.mu_eff)  # (45)

        lost = rates.path * (2 - rates.path) * (1 - fresh)
        kept = per_row((1 - rates.one - rates.mu + rates.one * lost)[:, 0], state.covariance)
        together = torch.cat([math.sqrt(rates.one) * path[:, None], (rates.mu * weights).sqrt() * moves], 1)
        covariance = kept * state.covariance + _squared(together, state.covariance)  # (47)
        factor = _factor(covariance, state.factor)
        mean = state.mean + state.sigma[:, None] * move  # (42)
        return CMAESState(mean, sigma, covariance, factor, path_sigma, path, number)


def _followed(path: Tensor, move: Tensor, rate: float, mu_eff: float) -> Tensor:
    """An evolution path one move on; under random selection its variance stays."""
    return (1 - rate) * path + math.sqrt(rate * (2 - rate) * mu_eff) * move


def _transformed(factor: Tensor, draws: Tensor) -> Tensor:
    """A z of each row: ``(M, U, d)``."""
    return factor[:, None] * draws if factor.ndim == 2 else torch.bmm(draws, factor.mT)


def _squared(moves: Tensor, like: Tensor) -> Tensor:
    """The sum of outer products of ``(M, U, d)`` moves, or its diagonal: of ``like``'s shape."""
    return moves.square().sum(1) if like.ndim == 2 else torch.bmm(moves.mT, moves)


def _factor(covariance: Tensor, previous: Tensor) -> Tensor:
    """A with A Aᵀ = covariance; the previous one where rounding has spoilt the covariance."""
    if covariance.ndim == 2:
        return covariance.sqrt()
    factor, failed = torch.linalg.cholesky_ex(covariance)
    return torch.where(per_row(failed == 0, factor), factor, previous)
