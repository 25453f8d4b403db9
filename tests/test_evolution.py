"""Searches by populations: what their parts promise, and optima that are known."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

import latentsearch as ls
from latentsearch import zoo
from latentsearch.goal import Score
from latentsearch.loop import ranking
from latentsearch.searchers.evolution import EvolutionState, mutation, nearest_codes, random_blocks
from latentsearch.testing import toys

SHAPES = ((5,), (3, 4), (2, 3, 4))

# -- ranking -----------------------------------------------------------------------------------------


def test_ranks_put_satisfied_first_and_nan_last():
    loss = torch.tensor([[2.0, torch.nan, 1.0, torch.inf, 3.0, 1.0], [torch.nan, 1.0, 0.0, 0.0, 0.0, 0.0]])
    satisfied = torch.zeros_like(loss, dtype=torch.bool)
    satisfied[0, 1] = satisfied[0, 4] = True
    order = ranking(Score(loss, satisfied))
    # A satisfied NaN is no solution; of equals the earlier comes first.
    assert order[0].tolist() == [4, 2, 5, 0, 1, 3]
    assert order[1].tolist() == [2, 3, 4, 5, 1, 0]


# -- the parts of evolution --------------------------------------------------------------------------


@pytest.mark.parametrize("shape", SHAPES)
def test_blocks_are_boxes_of_every_size_and_place(shape):
    mask = random_blocks(ls.Noise.from_seed(0, 4), 500, shape).flatten(0, 1)
    assert mask.flatten(1).any(1).all()
    assert mask.flatten(1).all(1).any()  # the whole grid is one of them
    assert mask.any(0).all() and not mask.all(0).any()
    sides = [mask.any(tuple({1, 2, 3}.intersection(range(1, mask.ndim)) - {axis})) for axis in range(1, mask.ndim)]
    for side in sides:  # an interval: it begins at most once
        begins = side[:, 1:] & ~side[:, :-1]
        assert (begins.sum(1) + side[:, 0] == 1).all()
    box = sides[0].view(len(mask), -1, *(1,) * (mask.ndim - 2))
    for axis, side in enumerate(sides):
        box = box & side.view(len(mask), *(mask.shape[1 + axis] if a == axis else 1 for a in range(len(shape))))
    assert torch.equal(box.expand_as(mask), mask)


@given(seed=st.integers(0, 10_000), shape=st.sampled_from(SHAPES), size=st.integers(2, 6))
@settings(max_examples=50)
def test_mutations_begin_where_the_codes_differ(seed, shape, size):
    noise = ls.Noise.from_seed(seed, 3)
    z, codes = noise.fold(1).integers(size, 7, *shape), noise.fold(2).integers(size, 7, *shape)
    rank, number = mutation(z, codes, 3.5, noise.fold(3))
    differ = (z != codes).flatten(2)
    assert torch.equal(rank.sort(-1).values, torch.arange(differ.shape[2]).expand_as(rank))
    assert torch.equal(rank < differ.sum(2, keepdim=True), differ)
    assert (number >= 1).all() and (number <= differ.shape[2]).all()


def test_mutations_are_mostly_of_one_code_and_sometimes_of_many():
    z = torch.zeros(1, 20_000, 6, 6, dtype=torch.int64)
    for tail, low, high in ((3.5, 0.85, 0.93), (1.5, 0.35, 0.5)):
        number = mutation(z, z + 1, tail, ls.Noise.from_seed(0))[1]
        assert low < (number == 1).float().mean() < high
        assert number.max() > 10


def test_mutations_are_large_at_first_and_small_in_the_end():
    search = ls.EvolutionSearch(children=4)
    tails = [search._tail(number) for number in (0, 75, 150, 1000)]
    assert tails == [1.5, 2.5, 3.5, 3.5]


@pytest.mark.parametrize("shape", [(4,), (2, 3)])
def test_near_codes_are_the_nearest_others_of_the_pool(shape):
    codebook = ls.Noise.from_seed(1).normal(9, 3)[0]
    generator = ls.CodebookGenerator(lambda e: e.flatten(1), codebook, shape, check=False)
    noise = ls.Noise.from_seed(2, 3)
    z, pool = noise.fold(1).integers(9, 5, *shape), noise.fold(2).integers(9, 8, *shape)
    found = nearest_codes(generator, z, pool)
    for index in torch.cartesian_prod(*map(torch.arange, z.shape)).tolist():
        row, _, *place = index
        own, offered = int(z[tuple(index)]), pool[(row, slice(None), *place)]
        others = offered[offered != own]
        distances = (codebook[others] - codebook[own]).norm(dim=1)
        assert int(found[tuple(index)]) == int(others[distances.argmin()])


# -- evolution ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(("shape", "size"), [((12,), 8), ((4, 4), 16), ((2, 3, 2), 5)])
def test_evolution_finds_planted_grids(shape, size):
    toy = toys.codes(problems=4, shape=shape, codebook_size=size)
    result = ls.EvolutionSearch().search(toy.generator, toy.constraint, seed=0, run=ls.Run(evaluations=2000))
    assert (result.latent == toy.solution).float().mean() > 0.9
    assert (result.score.loss < 1e-4).all()
    random = ls.RandomSearch().search(toy.generator, toy.constraint, seed=0, run=ls.Run(evaluations=2000))
    assert (result.score.loss < 0.02 * random.score.loss).all()


def test_evolution_reaches_a_rule_that_has_no_gradient():
    """Rows and columns of a grid of 0, 1 and 2 must all have different sums from their neighbours."""

    def broken(z: Tensor) -> Tensor:
        rows, columns = z.sum(2), z.sum(1)
        same = [(sums[:, 1:] == sums[:, :-1]).sum(1) for sums in (rows, columns)]
        return (same[0] + same[1] + (z.flatten(1).sum(1) - 25).abs()).float()

    generator = ls.CodebookGenerator(lambda e: e.flatten(1), torch.eye(3), (5, 5), check=False)
    rule = ls.Satisfies(broken, of="latent", differentiable=False).below(0.0)
    result = ls.EvolutionSearch().search(generator, rule, seed=0, run=ls.Run(evaluations=3000))
    assert result.status[0] is ls.Status.SATISFIED
    assert float(broken(result.latent)) == 0


def test_the_population_is_sorted_and_never_loses_its_best():
    toy = toys.codes(problems=3, shape=(4, 4), codebook_size=16)
    states: list[EvolutionState] = []
    run = ls.Run(evaluations=600, callbacks=[lambda step: states.append(step.state)])
    ls.EvolutionSearch(population=5).search(toy.generator, toy.constraint, seed=0, run=run)
    for before, after in pairwise(states):
        assert (after.loss <= before.loss).all()
        assert (after.loss[:, 1:] >= after.loss[:, :-1]).all()
    last = states[-1]
    output = toy.generator.decode(last.z.flatten(0, 1))
    scores = toy.constraint.select(torch.arange(3).repeat_interleave(5))(output, last.z.flatten(0, 1))
    assert torch.equal(scores.loss.view(3, 5), last.loss)


def test_grids_are_rarely_decoded_twice():
    # A small space, the optimum found early: most children of a converged population are known.
    toy = toys.codes(problems=2, shape=(3, 3), codebook_size=6)
    asked: list[Tensor] = []
    inner: Callable[[Tensor], Tensor] = toy.generator.decode
    toy.generator.decode = lambda z: (asked.append(z), inner(z))[1]  # type: ignore[method-assign]
    ls.EvolutionSearch().search(
        toy.generator, toy.constraint.select(torch.tensor([0])), seed=0, run=ls.Run(evaluations=800)
    )
    grids = torch.cat(asked[1:-1])  # but for the preflight check and the report
    assert len(grids) == 800
    assert len(grids.unique(dim=0)) > 0.9 * len(grids)


def test_a_broken_grid_does_not_hide_the_others():
    toy = toys.codes(problems=1, shape=(3, 3), codebook_size=6)

    def with_nan(x: Tensor, target: Tensor) -> Tensor:
        return torch.where(x.flatten(1)[:, 0] == 0, torch.nan, (x - target).square().flatten(1).mean(1))

    constraint = ls.Satisfies(with_nan, targets=toy.generator.decode(toy.solution).clamp(min=0.3), differentiable=False)
    result = ls.EvolutionSearch().search(toy.generator, constraint, seed=0, run=ls.Run(evaluations=800))
    assert result.status[0] is ls.Status.BUDGET
    assert float(result.score.loss) < 0.06


def test_evolution_needs_no_embeddings():
    """A generator that only decodes has no near codes: its mutations are all from the prior."""

    class Bare:
        def __init__(self, inner: toys.CodeGenerator) -> None:
            self.space, self.prior, self.decode = inner.space, inner.prior, inner.decode
            self.device, self.dtype = inner.device, inner.dtype

    toy = toys.codes(problems=2, shape=(3, 3), codebook_size=5)
    result = ls.EvolutionSearch().search(Bare(toy.generator), toy.constraint, seed=0, run=ls.Run(evaluations=2000))
    assert torch.equal(result.latent, toy.solution)


def test_mutations_take_their_codes_from_the_prior():
    class Even:
        def __init__(self, inner: ls.Prior) -> None:
            self.inner, self.space = inner, inner.space

        def sample(self, noise: ls.Noise) -> Tensor:
            return self.inner.sample(noise) // 2 * 2

        def log_prob(self, z: Tensor) -> Tensor:
            return self.inner.log_prob(z)

    toy = toys.codes(problems=2, shape=(3, 3), codebook_size=9)
    toy.generator.prior = Even(toy.generator.prior)  # type: ignore[misc]
    grids: list[Tensor] = []
    run = ls.Run(evaluations=400, callbacks=[lambda step: grids.append(step.state.z)])
    ls.EvolutionSearch().search(toy.generator, toy.constraint, seed=0, run=run)
    assert all((z % 2 == 0).all() for z in grids)


def test_evolution_goes_on_from_the_encoder_on_images():
    images = zoo.images()[0][:4]
    codes, goal = ls.wrap(zoo.load("mnist-vqvae-512")), ls.Matches(images)
    start = codes.encode(images)
    given_loss = goal(codes.decode(start), start).loss
    result = ls.EvolutionSearch().search(codes, goal, init=start, seed=0, run=ls.Run(evaluations=400))
    assert float((result.score.loss / given_loss).mean()) < 0.95


# -- CMA-ES ------------------------------------------------------------------------------------------

D = 10
ROTATION = torch.linalg.qr(ls.Noise.from_seed(3).normal(D, D, dtype=torch.float64)[0])[0]
SCALES = 10 ** torch.linspace(0, 6, D, dtype=torch.float64)


def sphere(z: Tensor) -> Tensor:
    return z.square().sum(1)


def ellipsoid(z: Tensor) -> Tensor:
    return (SCALES * z.square()).sum(1)


def rotated_ellipsoid(z: Tensor) -> Tensor:
    return ellipsoid(z @ ROTATION)


def rosenbrock(z: Tensor) -> Tensor:
    return (100 * (z[:, 1:] - z[:, :-1].square()).square() + (1 - z[:, :-1]).square()).sum(1)


def evaluations(function: Callable[[Tensor], Tensor], **settings: bool) -> int:
    """Losses of three restarts, a third each, that it takes until one is below 1e-8; over 3 seeds, on average."""
    generator = ls.ContinuousGenerator(lambda z: z, (D,), check=False, dtype=torch.float64, device="cpu")
    goal = ls.Satisfies(lambda z, _: function(z), targets=torch.zeros(3), differentiable=False).below(1e-8)
    search = ls.CMAESSearch(population=10, **settings)
    result = search.search(generator, goal, seed=0, run=ls.Run(evaluations=9000))
    assert {status.name for status in result.status} == {"SATISFIED"}, result.score.loss
    return int(result.evaluations.float().mean())


@pytest.mark.parametrize(
    ("function", "settings", "least", "most"),
    [
        # In 10 dimensions, from about one standard deviation away.
        (sphere, {}, 900, 2000),
        (rotated_ellipsoid, {}, 4000, 7500),
        (rosenbrock, {}, 4000, 8500),
        (ellipsoid, {"separable": True}, 1800, 4500),
    ],
)
def test_cmaes_reaches_the_optimum_in_about_the_usual_number_of_losses(function, settings, least, most):
    assert least < evaluations(function, **settings) < most


def test_the_search_distribution_is_sound():
    """A Aᵀ = C, and C takes on the shape of the inverse Hessian."""
    generator = ls.ContinuousGenerator(lambda z: z, (3,), check=False, dtype=torch.float64, device="cpu")
    hessian = torch.tensor([1.0, 25.0, 900.0], dtype=torch.float64)
    goal = ls.Satisfies(lambda z: (hessian * z.square()).sum(1), differentiable=False)
    last = []
    run = ls.Run(evaluations=1600, callbacks=[lambda step: last.append(step.state)])
    ls.CMAESSearch(population=8).search(generator, goal, seed=0, run=run)
    covariance, factor = last[-1].covariance[0], last[-1].factor[0]
    assert torch.allclose(factor @ factor.T, covariance, rtol=1e-10)
    variances = covariance.diagonal() * hessian
    assert float(variances.max() / variances.min()) < 8


def test_large_latents_get_a_diagonal():
    toy = toys.bowl(problems=1, shape=(201,))
    kept = []
    run = ls.Run(steps=2, callbacks=[lambda step: kept.append(step.state.covariance.shape)])
    for separable in (None, False, True):
        ls.CMAESSearch(separable=separable).search(toy.generator, toy.constraint, seed=0, run=run)
    assert kept[::2] == [(1, 201), (1, 201, 201), (1, 201)]


def test_a_spoilt_covariance_keeps_its_last_factor():
    from latentsearch.searchers.cmaes import _factor

    good, spoilt = 4 * torch.eye(2), torch.tensor([[1.0, 2.0], [2.0, 1.0]])
    factor = _factor(torch.stack([good, spoilt]), torch.eye(2).repeat(2, 1, 1))
    assert torch.equal(factor, torch.stack([2 * torch.eye(2), torch.eye(2)]))


def test_cmaes_is_deaf_to_nan_where_there_is_something_else():
    generator = ls.ContinuousGenerator(lambda z: z, (4,), check=False, dtype=torch.float32, device="cpu")
    half = ls.Satisfies(lambda z: torch.where(z[:, 0] > 1.5, torch.nan, (z - 1).square().sum(1)), differentiable=False)
    init = torch.zeros(1, 4)
    result = ls.CMAESSearch().search(generator, half, init=init, seed=0, run=ls.Run(evaluations=1600))
    assert result.status[0] is ls.Status.BUDGET
    assert float(result.score.loss) < 1e-8
