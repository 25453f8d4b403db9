"""PursuitSearch: effects that add up, sets that cancel, and pools that are carried along."""

from __future__ import annotations

import pytest
import torch
from torch import nn

import latentsearch as ls
from latentsearch import models, zoo
from latentsearch.noise import Noise
from latentsearch.objective import Objective
from latentsearch.searchers._pool import Pool, chosen_sets, with_sets
from latentsearch.searchers._swaps import most_promising
from latentsearch.testing import toys


def linear(shape: tuple[int, ...] = (6,), codes: int = 5, numbers: int = 10) -> ls.CodebookGenerator:
    """A decoder whose outputs are linear in the embeddings: effects of swaps add up exactly."""
    noise = Noise.from_seed(11)
    width = 3
    with models.initialised(0):
        net = nn.Sequential(nn.Flatten(), nn.Linear(width * shape[0], numbers)).double().eval()
    book = noise.fold(1).normal(codes, width, dtype=torch.float64)[0]
    return ls.CodebookGenerator(net, book, shape)


def pool_at(generator: ls.CodebookGenerator, wish: ls.Constraint, z: torch.Tensor, count: int) -> tuple[Pool, ...]:
    """A pool of the most promising swaps at z, and the residual there."""
    objective = Objective(generator, wish, torch.arange(len(z)), ls.Run(rows=None))
    bend = torch.zeros(len(z), dtype=torch.float64)
    swaps = most_promising(objective.codebook, z, objective.linearise(z), bend, count, 4, z.new_zeros(len(z), 0))
    residual = wish.residuals(generator.decode(z), z)
    return effects(generator, wish, z, swaps.position, swaps.code), residual


def effects(generator, wish, z, position, code) -> Pool:
    grids = z[:, None].repeat(1, position.shape[1], 1).scatter(2, position[..., None], code[..., None])
    here = wish.residuals(generator.decode(z), z)
    there = [wish.residuals(generator.decode(grids[:, i]), grids[:, i]) - here for i in range(position.shape[1])]
    return Pool(position, code, torch.stack(there, 1))


def linear_problem() -> tuple[ls.CodebookGenerator, ls.Constraint, torch.Tensor]:
    generator, noise = linear(), Noise.from_seed(5, 4)
    wish = ls.Matches(generator.decode(noise.fold(0).integers(5, 6)))
    return generator, wish, noise.fold(1).integers(5, 6)


def test_promised_losses_of_sets_are_those_decoded_where_effects_add_up():
    generator, wish, z = linear_problem()
    pool, residual = pool_at(generator, wish, z, 20)
    sets = chosen_sets(pool, residual, 8)
    grids = with_sets(z, pool, sets)
    index = sets.clamp(min=0)[..., None].expand(-1, -1, -1, residual.shape[1])
    effect = pool.effect[:, None].expand(-1, sets.shape[1], -1, -1).gather(2, index)
    promised = residual[:, None] + (effect * (sets >= 0)[..., None]).sum(2)
    for i in range(sets.shape[1]):
        assert torch.allclose(wish(generator.decode(grids[:, i]), z).loss, promised[:, i].square().sum(1))
    changed = (grids != z[:, None]).sum(2)
    assert torch.equal(changed, (sets >= 0).sum(2)), "each member changes a position of its own"


def test_a_pool_seen_from_another_grid_is_that_of_the_other_grid():
    generator, wish, z = linear_problem()
    pool, residual = pool_at(generator, wish, z, 20)
    new = with_sets(z, pool, chosen_sets(pool, residual, 4))[:, 0]
    assert bool((new != z).any(1).all())
    moved = pool.moved(z, new)
    fresh = effects(generator, wish, new, moved.position, moved.code)
    assert torch.allclose(moved.effect, fresh.effect)
    assert bool((moved.code != new.gather(1, moved.position)).all()), "what led there leads back"


def test_a_swap_into_a_pool_unknown_place_is_forgotten():
    generator, wish, z = linear_problem()
    pool, _ = pool_at(generator, wish, z, 6)
    new = (z + 1) % 5
    moved = pool.moved(z, new)
    fresh = effects(generator, wish, new, moved.position, moved.code)
    assert torch.allclose(moved.effect, fresh.effect)


def test_two_swaps_that_help_only_together_are_found():
    """At (0, 0) each swap alone makes it worse, by overshooting; one undoes what the other does too much."""
    net = nn.Sequential(nn.Flatten(), nn.Linear(2, 2, bias=False)).double().eval()
    with torch.no_grad():
        net[1].weight.copy_(torch.tensor([[1.0, 1.0], [0.1, -0.1]]))
    book = torch.tensor([[0.0], [1.0], [-1.0]], dtype=torch.float64)
    generator = ls.CodebookGenerator(net, book, (2,))
    start = torch.zeros(1, 2, dtype=torch.int64)
    wish = ls.Matches(generator.decode(torch.tensor([[1, 2]])))
    stuck = ls.CoordinateSearch().search(generator, wish, init=start, seed=0)
    assert stuck.status[0].name == "OPTIMAL" and torch.equal(stuck.latent, start)
    found = ls.PursuitSearch().search(generator, wish, init=start, seed=0)
    assert found.latent.tolist() == [[1, 2]] and float(found.score.loss) < 1e-20


def test_it_is_refused_before_anything_is_decoded_where_the_loss_is_no_sum_of_squares():
    toy = toys.codes()
    for wish in (ls.Matches(toy.constraint.target, distance="l1"), toy.constraint + ls.LogPrior(toy.generator.prior)):
        with pytest.raises(ls.Unsupported, match="no sum of squares"):
            ls.PursuitSearch().search(toy.generator, wish, seed=0)


def test_on_pictures_it_goes_below_single_swaps():
    """x4 super-resolution, where what is left over is small against what any swap does."""
    generator, images = ls.wrap(zoo.load("mnist-vqvae-512")), zoo.images()[0][:4]
    wish = ls.Downscales(torch.nn.functional.avg_pool2d(images, 4), factor=4, mode="area")
    start = ls.RelaxedSearch().search(generator, wish, seed=0, run=ls.Run(rows=150)).latent
    losses = [
        searcher.search(generator, wish, init=start, seed=0, run=ls.Run(rows=600)).score.loss.mean()
        for searcher in (ls.PursuitSearch(), ls.CoordinateSearch(batch=64, patience=None))
    ]
    assert losses[0] < losses[1]


@pytest.mark.parametrize("weight", [0.0, 0.5, 2.0])
def test_residuals_follow_the_algebra(weight):
    target = Noise.from_seed(1, 2).uniform(1, 8, 8)
    output, z = Noise.from_seed(2, 2).uniform(1, 8, 8), torch.zeros(2, 3)
    mask = (Noise.from_seed(3, 2).uniform(1, 8, 8) > 0.5).float()
    small = ls.Downscales(target[..., ::2, ::2], 2, mode="bicubic")
    wish = weight * ls.Matches(target, mask=mask) + small.below(0.1) + ls.Within(z, 1.0)
    assert wish.least_squares
    assert torch.allclose(wish.residuals(output, z).square().sum(1), wish(output, z).loss, rtol=1e-5)
    assert not (wish + ls.Near(z)).least_squares and not (-1 * small).least_squares
