"""Straight-through descent with steps that set themselves, and past grids that were seen."""

from __future__ import annotations

import tempfile
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

import latentsearch as ls
from latentsearch import zoo
from latentsearch._codebook import Codebook
from latentsearch._codes import grid_hash, swapped_hash
from latentsearch.noise import Noise
from latentsearch.objective import Ledger, Objective
from latentsearch.searchers.straight_through._step_size import StepSize
from latentsearch.searchers.straight_through._visited import nearest_unvisited
from latentsearch.testing import toys

METHODS = (ls.StraightThroughSearch, ls.SinglePositionSearch)
ADAM = partial(torch.optim.Adam, lr=0.1)


def walked(searcher: ls.Searcher, generator: ls.Generator, goal: ls.Constraint, rows: int) -> tuple[Tensor, list[str]]:
    """The grids scored, ``(steps, B, *S)``, and how each problem ended."""
    grids: list[Tensor] = []
    run = ls.Run(evaluations=rows, callbacks=[lambda step: grids.append(step.latent)], compact_every=rows)
    result = searcher.search(generator, goal, seed=0, run=run)
    return torch.stack(grids), [status.name for status in result.status]


def repeats(grids: Tensor, row: int) -> int:
    """How often a row came back to a grid that it had left."""
    path = [tuple(grid.flatten().tolist()) for grid in grids[:, row]]
    moved = [grid for before, grid in zip([None, *path], path, strict=False) if grid != before]
    return len(moved) - len(set(moved))


# -- grids that were seen ------------------------------------------------------------------------------


@pytest.mark.parametrize("lr", [0.3, 3.0, None])
@pytest.mark.parametrize("method", METHODS)
def test_masked_no_grid_of_the_toys_comes_back(method, lr):
    toy = toys.codes(problems=4, shape=(3, 3))
    stop, _ = walked(method(lr=lr, on_repeat="continue"), toy.generator, toy.constraint, 200)
    grids, ends = walked(method(lr=lr, on_repeat="mask"), toy.generator, toy.constraint, 200)
    assert all(repeats(grids, row) == 0 for row in range(4)) and set(ends) == {"BUDGET"}
    assert any(repeats(stop, row) or torch.equal(stop[-1, row], stop[-2, row]) for row in range(4))


@pytest.mark.parametrize(
    "searcher",
    [
        ls.StraightThroughSearch(lr=1000.0, on_repeat="mask"),
        ls.StraightThroughSearch(lr=None, on_repeat="mask"),
        ls.StraightThroughSearch(lr=20_000.0, snap=True, on_repeat="mask"),
        ls.StraightThroughSearch(optimizer=ADAM, on_repeat="mask"),
        ls.SinglePositionSearch(lr=30_000.0, on_repeat="mask"),
    ],
)
def test_masked_no_grid_of_real_codes_comes_back(searcher):
    images = zoo.images()[0][:3]
    codes, goal = ls.wrap(zoo.load("mnist-vqvae-40")), ls.Matches(images)
    grids, ends = walked(searcher, codes, goal, 200)
    assert all(repeats(grids, row) == 0 for row in range(3)) and set(ends) == {"BUDGET"}
    again, _ = walked(searcher, codes, goal, 200)
    assert torch.equal(grids, again)


def test_where_all_neighbours_were_seen_the_row_ends():
    toy = toys.codes(problems=2, shape=(1, 2), codebook_size=2)
    grids, ends = walked(ls.StraightThroughSearch(lr=0.5, on_repeat="mask"), toy.generator, toy.constraint, 100)
    assert set(ends) == {"REPEATED"} and all(len(set(map(str, grids[:, row].tolist()))) <= 4 for row in range(2))


def test_a_masked_search_that_was_cut_off_goes_on_as_if_it_had_not_been():
    toy = toys.codes(problems=2, shape=(3, 3))
    searcher, whole = ls.StraightThroughSearch(lr=None, on_repeat="mask"), ls.Run(evaluations=120)
    at_once = searcher.search(toy.generator, toy.constraint, seed=0, run=whole)
    with tempfile.TemporaryDirectory() as folder:
        part = replace(whole, evaluations=40, checkpoint=Path(folder) / "run.safetensors")
        searcher.search(toy.generator, toy.constraint, seed=0, run=part)
        resumed = searcher.search(toy.generator, toy.constraint, seed=0, run=replace(part, evaluations=120))
    assert torch.equal(resumed.latent, at_once.latent) and torch.equal(resumed.trace.loss, at_once.trace.loss)


@given(st.integers(0, 10_000), st.integers(1, 4), st.integers(2, 4), st.integers(1, 9))
@settings(max_examples=60, deadline=None)
def test_the_detour_is_the_nearest_swap_that_was_not_seen(seed, positions, size, seen):
    noise = Noise.from_seed(seed, 2)
    codebook = Codebook(noise[:1].normal(size, 3, dtype=torch.float64)[0])
    e = noise.fold(1).normal(positions, 3).double()
    z = codebook.nearest(e)
    others = noise.fold(2).integers(size, seen, positions)
    visited = torch.cat([grid_hash(z, size)[:, None], grid_hash(others.flatten(0, 1), size).view(2, seen)], 1)
    new, found = nearest_unvisited(codebook, e, z, visited)
    cost = codebook.excess(e)
    for row in range(2):
        known = {tuple(z[row].tolist()), *map(tuple, others[row].tolist())}
        rivals = {}
        for position in range(positions):
            for code in range(size):
                grid = z[row].clone()
                grid[position] = code
                detour = cost[row, position, code] - cost[row, position, z[row, position]]
                if tuple(grid.tolist()) not in known:
                    rivals[tuple(grid.tolist())] = float(detour)
        assert bool(found[row]) == bool(rivals)
        chosen = tuple(new[row].tolist())
        assert chosen == tuple(z[row].tolist()) if not rivals else rivals[chosen] == min(rivals.values())


@given(st.integers(0, 10_000))
@settings(max_examples=20, deadline=None)
def test_the_hash_of_a_swap_is_that_of_the_grid(seed):
    noise = Noise.from_seed(seed, 3)
    z, position, code = noise.integers(7, 2, 3), noise.fold(1).integers(6, 5), noise.fold(2).integers(7, 5)
    grids = z.flatten(1)[:, None].expand(-1, 5, -1).scatter(2, position[..., None], code[..., None])
    assert torch.equal(swapped_hash(z, position, code, 7), grid_hash(grids.flatten(0, 1), 7).view(3, 5))


# -- steps that set themselves ---------------------------------------------------------------------------


def test_the_step_is_one_over_the_curvature_of_a_parabola():
    toy = toys.codes(problems=2)
    objective = Objective(toy.generator, toy.constraint, ls.Run(), Ledger(2))
    curvature, gradient = torch.tensor([0.5, 4.0]), torch.ones(2, 2, 2, 1)
    step, loss = StepSize.init(objective, 2), torch.zeros(2)
    codebook = objective.codebook
    guess = step.value(codebook, gradient)
    assert torch.equal(step.observe(loss).value(codebook, gradient), guess)  # nothing moved, nothing learnt
    move = torch.full((2, 2, 2, 1), -0.5)
    step = step.update(loss, gradient, move).observe(loss - 2.0 + curvature * 0.5)
    assert torch.allclose(step.value(codebook, gradient).flatten() * step.damping, 1 / curvature)
    # The first fell and the second rose not: -2 + 4 * 0.5 is 0.
    assert (step.damping <= 1).all()
    risen = step.update(loss, gradient, move).observe(loss + 1.0)
    assert (risen.damping > step.damping).all()


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("scale", [1e-6, 1e6])
def test_steps_that_set_themselves_do_not_care_for_the_scale_of_the_loss(method, scale):
    images = zoo.images()[0][:3]
    codes, goal = ls.wrap(zoo.load("mnist-vqvae-40")), ls.Matches(images)
    search, run = method(lr=None, on_repeat="continue"), ls.Run(evaluations=60)
    plain = search.search(codes, goal, seed=0, run=run).score.loss
    scaled = search.search(codes, scale * goal, seed=0, run=run).score.loss / scale
    assert torch.allclose(plain, scaled, rtol=0.2)


def test_steps_that_set_themselves_go_far_on_real_codes():
    images = zoo.images()[0][:8]
    codes, goal = ls.wrap(zoo.load("mnist-vqvae-512")), ls.Matches(images)
    start = Noise.from_seed(0, 8).integers(512, 7, 7)
    before = goal(codes.decode(start), start).loss
    search = ls.StraightThroughSearch(lr=None, on_repeat="continue")
    result = search.search(codes, goal, init=start, seed=0, run=ls.Run(evaluations=100))
    assert (result.score.loss < 0.2 * before).all()
