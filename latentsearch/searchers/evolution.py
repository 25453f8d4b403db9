"""Evolution of grids of codes: crossover of blocks, mutation by the prior, survival of the best."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from latentsearch._codes import code_draws, grid_hash
from latentsearch.goal import Score
from latentsearch.loop import IterativeSearcher, Proposal, prior_draws, project_each, ranking, score_each, take
from latentsearch.noise import Noise
from latentsearch.objective import Objective, cost_of_draw, cost_of_pass, draws_are_cheap
from latentsearch.protocols import ConditionalPrior, EmbeddingGenerator, Generator, Prior
from latentsearch.spaces import Discrete, LatentSpace

# How a child was made; the first three are the columns of `gains` and `trials`.
_CROSSED, _NEAR, _FAR, _INITIAL = range(4)

_POOL = 32  # prior draws a row among which a near mutation looks for its codes
_HIDDEN = 0.5  # the share of positions at which a conditional prior says what goes with the others
# Exponent of the number of codes that a mutation changes, first and after so many children: from 1 in 40 of
# 100, and often many, to 1 in 89 of 100, and rarely many. A bad grid gains most by large changes, a good one loses.
_TAIL, _SETTLED = (1.5, 3.5), 600
_ROUNDS = 3  # how often a child that is known already is mutated further
_SEEN = 1024  # grids remembered a row
_MEMORY = 0.95  # share of the gains and trials that is kept from one generation to the next
_LEAST_SHARE = 0.05  # least share of each operator, so that none is forgotten for ever


@dataclass
class EvolutionState:
    """The population of each row, best first, and what was learnt about making children.

    Attributes:
        z: ``(M, P, *S)``.
        loss, satisfied: ``(M, P)``; the loss is infinite where nothing has been scored yet.
        own: ``(M, P)``, the goal's own loss of those that meet it, where the search goes by another.
        seen: ``(M, T)`` int64, hashes of the grids that were scored last.
        gains: ``(M, 3)``, how far the children of each operator fell below their parents; older ones fade.
        trials: ``(M, 3)``, how many children each operator made; older ones fade.
        number: Generations so far.
    """

    z: Tensor
    loss: Tensor
    satisfied: Tensor
    own: Tensor
    seen: Tensor
    gains: Tensor
    trials: Tensor
    number: int


@dataclass
class _Offspring:
    """Offspring to be scored.

    Attributes:
        z: ``(M, C, *S)``.
        operator: ``(M, C)`` int64, how each was made.
        rival: ``(M, C)``, the loss of the better one of its parents.
    """

    z: Tensor
    operator: Tensor
    rival: Tensor


@dataclass(frozen=True)
class EvolutionSearch(IterativeSearcher):
    r"""Evolve a few grids of codes: cross blocks, mutate codes by the prior, keep the best.

    A (µ + λ) evolution strategy [Beyer and Schwefel, *Evolution strategies*, Natural Computing 1,
    2002], for any constraint, with a gradient or without. The first generation is the
    initial grid and draws from the prior. After that a child is made in one of three ways:

    - *crossover*: a random block of one member is put into another, so that what was found in
      different corners comes together;
    - *far* mutation: codes of a fresh draw from the [prior][latentsearch.loop.drawn_from], so that a learnt
      one that the goal names is the proposal; where it is a [ConditionalPrior][latentsearch.ConditionalPrior] with
      a cost, codes drawn at a random half of the positions given the child's others, for one pass a child;
    - *near* mutation: of several such draws, at each position the code whose embedding is nearest
      to the present one. Without embeddings this is a far mutation.

    Far mutations bring a bad grid down and near ones refine a good one. Each operator has a share in
    proportion to what it has recently gained per child, as in D. Thierens, *An adaptive pursuit
    strategy for allocating operator probabilities* (GECCO 2005; this is its probability matching).
    The number of mutated codes has a heavy tail, so that no local optimum holds for ever [Doerr, Le, Makhmara
    and Nguyen, *Fast Genetic Algorithms*, GECCO 2017]. It is heaviest at first, as a bad grid gains
    most by large changes, and settles within 600 children.

    A child that was scored already is mutated, and further if that one was scored too: no evaluation is
    wasted on it, and the search around a local optimum widens. Of equally good grids
    the newer survives, so a population crosses plateaus.

    Attributes:
        population: P, grids that survive a generation. With 1 there is nothing to cross; more
            are slower to begin with, and later to settle in one local optimum.
        children: Grids scored a generation and row. Fewer learn more from every evaluation; more make
            better use of a GPU where there are few problems.
        restarts: Independent starts a problem.

    Example:
        >>> import latentsearch as ls
        >>> from latentsearch.testing import toys
        >>> toy = toys.codes()
        >>> result = ls.EvolutionSearch().search(toy.generator, toy.constraint, seed=0)
        >>> bool((result.latent == toy.solution).all())
        True
    """

    population: int = 2
    children: int = 4

    spaces: ClassVar[tuple[type, ...]] = (Discrete,)
    needs_gradient: ClassVar[bool] = False

    def __post_init__(self) -> None:
        super().__post_init__()
        self._require_count("population")
        self._require_count("children")

    def step_cost(self, space: LatentSpace) -> int:
        return self.children

    def prior_cost(self, generator: Generator, prior: Prior) -> float:
        if isinstance(prior, ConditionalPrior) and cost_of_pass(prior):
            first = (self.children - 1) * cost_of_draw(prior) if draws_are_cheap(prior) else 0
            return max(first, self.children * cost_of_pass(prior))
        return max(self._pool(generator), self.children) * cost_of_draw(prior)

    def start(self, objective: Objective, z: Tensor, noise: Noise) -> EvolutionState:
        rows, device = len(z), z.device
        loss = torch.full((rows, self.population), torch.inf, dtype=objective.generator.dtype, device=device)
        # Sums over many generations are more than half precision can hold.
        gains = loss.new_zeros(rows, 3, dtype=torch.promote_types(loss.dtype, torch.float32))
        return EvolutionState(
            z=z[:, None].repeat(1, self.population, *(1,) * (z.ndim - 1)),
            loss=loss,
            satisfied=torch.zeros_like(loss, dtype=torch.bool),
            own=loss,
            seen=torch.zeros(rows, _SEEN, dtype=torch.int64, device=device),
            gains=gains,
            trials=torch.ones_like(gains),
            number=0,
        )

    def step(self, objective: Objective, state: EvolutionState, noise: Noise) -> tuple[EvolutionState, Proposal]:
        generator = objective.generator
        make = self._reproduce if state.number else self._initial_population
        offspring = make(objective, state, noise)
        # Beyond a hard limit, randomness decides which codes are projected back.
        offspring.z = project_each(objective, offspring.z, lambda _: noise.fold(6).uniform(*offspring.z.shape[1:]))
        score = score_each(objective, offspring.z)

        # Children first: of equals the ranking keeps the earlier.
        z = torch.cat([offspring.z, state.z], 1)
        held = Score.of(state.loss.to(score.loss.dtype), state.satisfied, None if score.own is None else state.own)
        both = Score.cat([score, held], 1)
        fittest = ranking(both)[:, : self.population]
        z, both = take(z, fittest), both.map(lambda t: take(t, fittest))

        gains, trials = _credited(state, offspring, score.loss)
        seen = torch.cat([state.seen[:, self.children :], _hashes(generator, offspring.z)[:, -_SEEN:]], 1)
        # A NaN ends its row, but only as a proposal: where nothing else was found.
        unbroken = torch.where(both.loss.isnan(), torch.inf, both.loss)
        own = unbroken if both.own is None else both.own
        state = EvolutionState(z, unbroken, both.passed, own, seen, gains, trials, state.number + 1)
        return state, Proposal(z[:, 0], both.map(lambda t: t[:, 0]))

    def _initial_population(self, objective: Objective, state: EvolutionState, noise: Noise) -> _Offspring:
        """The first generation: the initial grid and draws from the prior, or what a costly one makes of the grid."""
        if objective.prior.conditional and not draws_are_cheap(objective.prior.prior):
            copies = state.z[:, :1].expand(-1, self.children, *state.z.shape[2:])
            z = torch.cat([copies[:, :1], _conditional_codes(objective, copies, noise)[1][:, 1:]], 1)
        else:
            z = torch.cat([state.z[:, :1], prior_draws(objective, 1, self.children, noise)], 1)
        rival = state.loss.new_full(z.shape[:2], torch.inf)
        return _Offspring(z, torch.full_like(rival, _INITIAL).long(), rival)

    def _reproduce(self, objective: Objective, state: EvolutionState, noise: Noise) -> _Offspring:
        """Children of the population: crossed or copied, and mutated where they are known already."""
        count, shape, generator = self.children, state.z.shape[2:], objective.generator
        # The square prefers the better parents.
        parents = (self.population * noise.fold(1).uniform(2, count).square()).long()
        first, second = parents.unbind(1)
        crossed, near = _operators(state, count, noise.fold(2))
        block = random_blocks(noise.fold(3), count, shape) & _per_child(crossed, state.z)
        z = torch.where(block, take(state.z, second), take(state.z, first))

        close, far = self._codes(objective, z, noise.fold(4))
        known = torch.cat([state.seen, _hashes(generator, state.z)], 1)
        mutated = torch.zeros_like(crossed)
        rank, number = mutation(
            z, torch.where(_per_child(near, z), close, far), self._tail(state.number), noise.fold(5)
        )
        for more in range(_ROUNDS):
            again = _repeated(_hashes(generator, z), known)
            # Where the near ones are known they run out: on with far ones.
            near = near & ~(again & mutated)
            codes = torch.where(_per_child(near, z), close, far)
            taken = (rank < number + more).view_as(z) & _per_child(again, z)
            z = torch.where(taken, codes, z)
            mutated = mutated | again
        operator = torch.where(mutated, torch.where(near, _NEAR, _FAR), _CROSSED)
        return _Offspring(z, operator, take(state.loss, torch.where(mutated, first, parents.amin(1))))

    def _codes(self, objective: Objective, z: Tensor, noise: Noise) -> tuple[Tensor, Tensor]:
        """Near and far codes for every position of the children ``(M, C, *S)``."""
        if objective.prior.conditional:
            return _conditional_codes(objective, z, noise)
        pool = prior_draws(objective, 0, self._pool(objective.generator), noise)
        return nearest_codes(objective.generator, z, pool), pool[:, : self.children]

    def _pool(self, generator: Generator) -> int:
        """How many draws a row the mutations of a generation take."""
        return max(_POOL, self.children) if isinstance(generator, EmbeddingGenerator) else self.children

    def _tail(self, number: int) -> float:
        """The exponent of how many codes a mutation changes, in a generation."""
        first, last = _TAIL
        return first + (last - first) * min(number * self.children / _SETTLED, 1.0)


def random_blocks(noise: Noise, count: int, shape: tuple[int, ...]) -> Tensor:
    """``(M, count, *S)`` bool: a box of random sides at a random place of each grid."""
    mask = torch.ones(len(noise), count, *shape, dtype=torch.bool, device=noise.keys.device)
    for axis, side in enumerate(shape):
        length, first = noise.fold(axis).uniform(2, count, 1).unbind(1)
        length = 1 + (length * side).long()
        first = (first * (side - length + 1)).long()
        place = torch.arange(side, device=mask.device)
        inside = (place >= first) & (place < first + length)
        mask &= inside.view(len(noise), count, *(side if other == axis else 1 for other in range(len(shape))))
    return mask


def nearest_codes(generator: Generator, z: Tensor, pool: Tensor) -> Tensor:
    """The pool's other codes whose embeddings are nearest to those of ``z``, position by position.

    Args:
        generator: Gives the embeddings; if it has none, the pool's first grids are returned.
        z: ``(M, C, *S)`` hard grids.
        pool: ``(M, T, *S)`` hard grids, T at least C.

    Returns:
        ``(M, C, *S)`` codes, each of some grid of the pool at the same position.
    """
    if not isinstance(generator, EmbeddingGenerator):
        return pool[:, : z.shape[1]]
    here, there = z.flatten(2).mT, pool.flatten(2).mT  # (M, positions, C) and (M, positions, T)
    distance = torch.cdist(_embedded(generator, z), _embedded(generator, pool))
    distance = torch.where(here[..., None] == there[..., None, :], torch.inf, distance)
    return there.gather(2, distance.argmin(-1)).mT.reshape(z.shape)


def _embedded(generator: EmbeddingGenerator, z: Tensor) -> Tensor:
    """``(M, C, *S)`` grids to ``(M, positions, C, D)``."""
    e = generator.embed(z.flatten(0, 1))
    return e.reshape(*z.shape[:2], -1, e.shape[-1]).transpose(1, 2)


def mutation(z: Tensor, codes: Tensor, tail: float, noise: Noise) -> tuple[Tensor, Tensor]:
    """Where grids ``(M, C, *S)`` are to take other codes of the same shape.

    Args:
        z: The grids.
        codes: What they are to take.
        tail: Exponent of how many: the chance of n is in proportion to ``n ** -tail``.
        noise: One key a row.

    Returns:
        ``(M, C, positions)``, the rank of each position in a random order, those that would not
        change last; and ``(M, C, 1)``, how many of them to change.
    """
    flat = z.flatten(2)
    count, positions = flat.shape[1:]
    chance = torch.arange(1, positions + 1, dtype=torch.float32, device=z.device) ** -tail
    edges = (chance.cumsum(0) / chance.sum())[:-1]
    number = 1 + torch.searchsorted(edges, noise.fold(1).uniform(count, 1))
    order = (noise.fold(2).uniform(count, positions) + (flat == codes.flatten(2))).argsort(-1)
    return order.argsort(-1), number


def _operators(state: EvolutionState, count: int, noise: Noise) -> tuple[Tensor, Tensor]:
    """Which children are crossed, and which are near if they are mutated: ``(M, count)`` bool each."""
    rate = state.gains / state.trials + torch.finfo(state.gains.dtype).tiny
    share = _LEAST_SHARE + (1 - 3 * _LEAST_SHARE) * rate / rate.sum(1, keepdim=True)
    near_of_mutated = share[:, _NEAR] / (share[:, _NEAR] + share[:, _FAR])
    draw = noise.uniform(2, count, dtype=share.dtype)
    return draw[:, 0] < share[:, _CROSSED, None], draw[:, 1] < near_of_mutated[:, None]


def _credited(state: EvolutionState, offspring: _Offspring, loss: Tensor) -> tuple[Tensor, Tensor]:
    """Gains and trials, with those of the offspring added."""
    gain = (offspring.rival - loss).to(state.gains.dtype).clamp(min=0)
    gain = torch.where(gain.isfinite(), gain, 0)
    made = (offspring.operator[..., None] == torch.arange(3, device=loss.device)).to(gain.dtype)
    return _MEMORY * state.gains + (gain[..., None] * made).sum(1), _MEMORY * state.trials + made.sum(1)


def _conditional_codes(objective: Objective, z: Tensor, noise: Noise) -> tuple[Tensor, Tensor]:
    """Near and far codes for children ``(M, C, *S)``: at some positions drawn given the others, elsewhere their own."""
    rows, count = z.shape[:2]
    row = torch.arange(rows, device=z.device).repeat_interleave(count)
    flat = z.flatten(0, 1)
    own = noise.split(count)
    known = own.fold(1).uniform(*flat.shape[1:]) >= _HIDDEN
    draws = code_draws(objective.prior.conditionals(flat, known, row), _POOL, own)
    return nearest_codes(objective.generator, flat[:, None], draws).view_as(z), draws[:, 0].view_as(z)


def _hashes(generator: Generator, z: Tensor) -> Tensor:
    """``(M, C)`` of grids ``(M, C, *S)``."""
    assert isinstance(generator.space, Discrete)
    return grid_hash(z.flatten(0, 1), generator.space.codebook_size).view(z.shape[:2])


def _repeated(hashes: Tensor, known: Tensor) -> Tensor:
    """``(M, C)`` bool: whether a child is known, ``(M, T)``, or the same as an earlier sibling."""
    sibling = (hashes[..., None] == hashes[:, None]).tril(-1).any(2)
    return sibling | (hashes[..., None] == known[:, None]).any(2)


def _per_child(values: Tensor, like: Tensor) -> Tensor:
    """``(M, C)`` values shaped to broadcast against ``like``, ``(M, C, ...)``."""
    return values.view(*values.shape, *(1,) * (like.ndim - 2))
