"""Coordinate moves: each better than the last, nothing tried twice, and proofs that hold."""

from __future__ import annotations

import itertools

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

import latentsearch as ls
from latentsearch import zoo
from latentsearch.goal import Score
from latentsearch.noise import Noise
from latentsearch.objective import Ledger, Linear, Objective
from latentsearch.searchers._curvature import curvature, learn
from latentsearch.searchers.swaps._expected_improvement import reluctance
from latentsearch.searchers.swaps._swaps import Swaps, merge_sizes, merged, most_promising, untried_first
from latentsearch.testing import toys


def neighbours(z: Tensor, codebook_size: int) -> Tensor:
    """Every grid that differs from ``z`` in one code."""
    found = []
    for position, code in itertools.product(range(z.numel()), range(codebook_size)):
        grid = z.flatten().clone()
        if grid[position] != code:
            grid[position] = code
            found.append(grid.view_as(z))
    return torch.stack(found)


class Rugged(toys.CodeGenerator):
    """Outputs are products of neighbouring codes, so codes depend on each other and 1-swap optima are many."""

    def decode_embedding(self, e: Tensor) -> Tensor:
        e = 2 * e[..., 0] - 1
        return e * e.roll(1, -1) + 0.3 * e


def rugged(problems: int, seed: int = 0) -> tuple[Rugged, ls.Matches]:
    generator = Rugged((3, 3), 4)
    return generator, ls.Matches(Noise.from_seed(seed, problems).normal(3, 3))


def test_an_optimal_grid_has_no_better_neighbour():
    generator, goal = rugged(6)
    result = ls.CoordinateSearch(batch=5, patience=None).search(generator, goal, seed=0, run=ls.Run(evaluations=3000))
    assert {status.name for status in result.status} == {"OPTIMAL"}
    for problem in range(6):
        grids = neighbours(result.latent[problem], 4)
        alone = goal.select(torch.tensor([problem]))
        assert (alone(generator.decode(grids), grids).loss >= result.score.loss[problem] - 1e-6).all()


def test_patience_ends_a_row_before_all_was_tried():
    generator, goal = rugged(4)
    result = ls.CoordinateSearch(batch=3, patience=6).search(generator, goal, seed=0, run=ls.Run(evaluations=3000))
    assert {status.name for status in result.status} <= {"STALLED", "OPTIMAL"}
    assert any(status is ls.Status.STALLED for status in result.status)


def test_every_change_is_an_improvement_and_no_grid_is_decoded_twice_in_a_row_of_tries():
    generator, goal = rugged(1, seed=3)
    seen: list[tuple[int, ...]] = []
    decode = generator.decode_embedding

    def watched(e: Tensor) -> Tensor:
        if not e.requires_grad:
            codes = ((e[..., 0] * 3).round().long()).flatten(1)
            seen.extend(map(tuple, codes.tolist()))
        return decode(e)

    generator.decode_embedding = watched  # type: ignore[method-assign]
    losses: list[float] = []
    ls.CoordinateSearch(batch=4, patience=None).search(
        generator, goal, seed=0, run=ls.Run(evaluations=500, callbacks=[lambda s: losses.append(float(s.loss[0]))])
    )
    assert all(after <= before for before, after in itertools.pairwise(losses))
    # At the last grid all 27 swaps are tried, each of them once; a few prefixes come beside them.
    assert len(set(seen)) > 27 and max(seen.count(grid) for grid in set(seen[-27:])) <= 3


def test_curvature_is_found_where_the_loss_is_a_parabola():
    way = torch.rand(3, 20, dtype=torch.float64) + 0.1
    wanted = torch.tensor([0.5, 2.0, 7.0], dtype=torch.float64)
    fit = learn(torch.zeros(3, 2, dtype=torch.float64), wanted[:, None] * way, way, 0.8)
    assert torch.allclose(curvature(fit), wanted)
    broken = torch.full((3, 1), torch.inf, dtype=torch.float64)
    assert torch.equal(curvature(learn(fit, broken, broken, 1.0)), curvature(fit))
    assert (curvature(learn(torch.zeros(3, 2), -way[:, :1].float(), way[:, :1].float(), 1.0)) == 0).all()


@given(st.integers(1, 6), st.integers(2, 5), st.integers(0, 10_000))
@settings(max_examples=40, deadline=None)
def test_the_most_promising_swaps_are_those_of_the_full_table(positions, size, seed):
    noise = Noise.from_seed(seed, 2)
    codebook = noise[:1].fold(0).normal(size, 3)[0]
    z = noise.fold(1).integers(size, positions)
    gradient = noise.fold(2).normal(positions, 3)
    bend = torch.tensor([0.3, 2.0])
    score = Score(torch.zeros(2), torch.zeros(2, dtype=torch.bool))
    nothing = z.new_zeros(2, 0)
    linear = Linear(score, gradient, None)
    daring = most_promising(codebook, z, linear, bend, 4, size, nothing)
    order = reluctance(daring.slope, bend[:, None] * daring.way)
    assert torch.where(daring.new, order, torch.inf).diff(dim=1).nan_to_num(0).ge(-1e-4).all()
    found = most_promising(codebook, z, linear, bend, 4, size, nothing, daring=False)
    for row in range(2):
        table = {}
        for p, j in itertools.product(range(positions), range(size)):
            delta = codebook[j] - codebook[z[row, p]]
            if j != z[row, p]:
                table[p, j] = float(gradient[row, p] @ delta + 0.5 * bend[row] * delta @ delta)
        best = sorted(table.values())[: found.code.shape[1]]
        kept = found.new[row]
        promise = (found.slope + bend[:, None] * found.way)[row][kept]
        assert torch.allclose(promise, torch.tensor(best), atol=1e-4)
        pairs = zip(found.position[row][kept].tolist(), found.code[row][kept].tolist(), strict=True)
        assert all(abs(table[pair] - float(value)) < 1e-4 for pair, value in zip(pairs, promise, strict=True))


def test_merged_grids_take_each_position_once_and_the_best_first():
    z = torch.zeros(1, 4, dtype=torch.int64)
    position, code = torch.tensor([[0, 1, 1, 2]]), torch.tensor([[1, 2, 3, 4]])
    none = torch.zeros(1, 4)
    swaps = Swaps(position, code, none, none, none == 0)
    other = Swaps(*(t[:, :2] for t in (torch.tensor([[3, 3]]), torch.tensor([[8, 9]]), none, none, none == 0)))
    gain = torch.tensor([[1.0, 3.0, 5.0, -1.0]])
    grids, spare = merged(z, swaps, gain, merge_sizes(3, 2), other)
    # Two help: code 3 at position 1, and code 1 at position 0; three together would be the same two again.
    assert grids.tolist() == [[[1, 3, 0, 0], [0, 0, 0, 9]]] and spare.tolist() == [[False, True]]


@pytest.mark.parametrize("name", ["mnist-vqvae-512", "mnist-vqvae-40"])
def test_on_real_pictures_it_improves_on_the_encoder_and_on_a_relaxed_start(name):
    images = zoo.images()[0][:4]
    codes, goal = ls.wrap(zoo.load(name)), ls.Matches(images)
    for start in (
        codes.encode(images),
        ls.RelaxedSearch().search(codes, goal, seed=0, run=ls.Run(evaluations=100)).latent,
    ):
        before = goal(codes.decode(start), start).loss
        result = ls.CoordinateSearch().search(codes, goal, init=start, seed=0, run=ls.Run(evaluations=200))
        assert (result.score.loss < before).all()


def test_a_term_that_reads_the_codes_is_ranked_with_the_others():
    toy = toys.codes(problems=2, shape=(3, 3))
    near = ls.Near(torch.zeros(2, 3, 3, dtype=torch.int64))
    held = Objective(toy.generator, toy.constraint + 10.0 * near, ls.Run(), Ledger(2))
    z = torch.full((2, 3, 3), 2)
    linear = held.linearise(z)
    swaps = most_promising(held.codebook, z, linear, torch.zeros(2), 9, 4, z.new_zeros(2, 0))
    assert (swaps.code == 0).all()


def test_swaps_that_failed_lately_come_last_of_the_promising_ones():
    none = torch.zeros(1, 6)
    swaps = Swaps(torch.tensor([[0, 1, 1, 1, 2, 3]]), torch.arange(6)[None], none, none, none == 0)
    lately = torch.tensor([[-1, 0, 1 * 9 + 1]])
    taken = untried_first(swaps, torch.tensor([4]), lately, 9, 6, 9)
    assert taken.code.tolist() == [[2, 3, 0, 1, 4, 5]], "those beyond the first four wait for all of these"
    spread = untried_first(swaps, torch.tensor([4]), lately, 9, 5, 1)
    assert spread.code.tolist() == [[2, 0, 4, 5, 3]], "one a position, as long as there are others"
