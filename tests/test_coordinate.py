"""Swaps of single codes: each better than the last, nothing tried twice, and proofs that hold."""

from __future__ import annotations

import itertools
from dataclasses import replace

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
from latentsearch.searchers._curvature import Curvature
from latentsearch.searchers.swaps._criteria import negative_log_expected_improvement, predicted_change
from latentsearch.searchers.swaps._quadratic import QuadraticModel
from latentsearch.searchers.swaps._swaps import Swaps, combination_sizes, combined, recent_last
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
    half_distance = torch.rand(3, 20, dtype=torch.float64) + 0.1
    expected = torch.tensor([0.5, 2.0, 7.0], dtype=torch.float64)
    nothing = Curvature(torch.zeros(3, 2, dtype=torch.float64))
    fit = nothing.observe(expected[:, None] * half_distance, half_distance)
    assert torch.allclose(fit.value, expected)
    broken = torch.full((3, 1), torch.inf, dtype=torch.float64)
    assert torch.equal(fit.observe(broken, broken, fade=1.0).value, fit.value)
    assert (nothing.observe(-half_distance, half_distance).value == 0).all()


def test_curvature_is_guessed_until_something_was_measured():
    guess = torch.tensor([3.0, 3.0])
    fit = Curvature(torch.zeros(2, 2)).observe(torch.tensor([1.0, torch.nan]), torch.ones(2))
    assert fit.value_or(guess).tolist() == [1.0, 3.0]


def model_at(z: Tensor, codebook: Tensor, gradient: Tensor, curvature: Tensor) -> QuadraticModel:
    """A model whose gradient is not that of its objective."""
    generator = ls.CodebookGenerator(lambda e: e.flatten(1), codebook, tuple(z.shape[1:]))
    goal = ls.Matches(torch.zeros_like(gradient).flatten(1))
    objective = Objective(generator, goal, ls.Run(), Ledger(len(z)))
    score = Score(torch.zeros(len(z)), torch.zeros(len(z), dtype=torch.bool))
    return QuadraticModel(objective, z, Linear(score, gradient, None), Curvature(torch.zeros(len(z), 2)), curvature)


@given(st.integers(1, 6), st.integers(2, 5), st.integers(0, 10_000))
@settings(max_examples=40, deadline=None)
def test_the_best_swaps_are_those_of_the_full_table(positions, size, seed):
    noise = Noise.from_seed(seed, 2)
    codebook = noise[:1].fold(0).normal(size, 3)[0]
    z = noise.fold(1).integers(size, positions)
    gradient = noise.fold(2).normal(positions, 3)
    curvature = torch.tensor([0.3, 2.0])
    model = model_at(z, codebook, gradient, curvature)
    found = model.rank(4, size)
    order = negative_log_expected_improvement(found.first_order, curvature[:, None] * found.half_distance)
    assert torch.where(found.new, order, torch.inf).diff(dim=1).nan_to_num(0).ge(-1e-4).all()
    found = model.rank(4, size, criterion=predicted_change)
    for row in range(2):
        table = {}
        for p, j in itertools.product(range(positions), range(size)):
            delta = codebook[j] - codebook[z[row, p]]
            if j != z[row, p]:
                table[p, j] = float(gradient[row, p] @ delta + 0.5 * curvature[row] * delta @ delta)
        best = sorted(table.values())[: found.code.shape[1]]
        kept = found.new[row]
        predicted = model.predict(found)[row][kept]
        assert torch.allclose(predicted, torch.tensor(best), atol=1e-4)
        pairs = zip(found.position[row][kept].tolist(), found.code[row][kept].tolist(), strict=True)
        assert all(abs(table[pair] - float(value)) < 1e-4 for pair, value in zip(pairs, predicted, strict=True))


def test_excluded_swaps_come_last_and_only_fill_up():
    z, codebook = torch.zeros(1, 2, dtype=torch.int64), torch.tensor([[0.0], [-1.0], [-2.0]])
    model = model_at(z, codebook, torch.ones(1, 2, 1), torch.zeros(1))
    swaps = model.rank(6, 3, exclude=torch.tensor([[2, 3 + 2]]))
    assert swaps.ids(3)[swaps.new].tolist() == [1, 4] and swaps.new.tolist() == [
        [True, True, False, False] + 2 * [False]
    ]


def test_a_model_learns_the_curvature_from_measured_changes_and_predicts_them():
    toy = toys.codes(problems=2, shape=(3,), codebook_size=5, dtype=torch.float64)
    objective = Objective(toy.generator, toy.constraint, ls.Run(), Ledger(2))
    z = (toy.solution + 2) % 5
    model = QuadraticModel.at(objective, z, Curvature.unknown(objective, 2))
    swaps = model.rank(12, 5)
    expected = torch.tensor([0.5, 3.0], dtype=torch.float64)
    change = swaps.first_order + expected[:, None] * swaps.half_distance
    again = QuadraticModel.at(objective, z, model.observe(swaps, change))
    assert torch.allclose(again.curvature, expected) and torch.allclose(again.predict(swaps), change)
    assert torch.allclose(again.damped(torch.full((2,), 4.0)).curvature, 4 * expected)


def test_within_a_hard_limit_new_codes_stay_or_what_gains_most():
    z, codebook = torch.zeros(1, 4, dtype=torch.int64), torch.tensor([[0.0], [1.0], [2.0]])
    generator = ls.CodebookGenerator(lambda e: e.flatten(1), codebook, (4,))
    goal = ls.Matches(torch.tensor([[2.0, 0.1, 0.0, 0.0]])) + ls.Within(z, 2)
    objective = Objective(generator, goal, ls.Run(), Ledger(1))
    held = torch.tensor([[2, 1, 0, 0]])
    model = QuadraticModel.at(objective, held, Curvature.unknown(objective, 1))
    grids = torch.tensor([[[2, 1, 1, 0], [2, 1, 1, 1], [2, 2, 0, 0]]])
    assert model.project(grids).tolist() == [[[2, 0, 1, 0], [0, 0, 1, 1], [2, 2, 0, 0]]]
    none = torch.zeros(1, 2)
    swaps = Swaps(torch.tensor([[2, 3]]), torch.ones(1, 2, dtype=torch.int64), none, none, none == 0)
    assert model.project(grids, swaps, torch.tensor([[9.0, 7.0]])).tolist()[0][1] == [0, 0, 1, 1]


def test_combined_swaps_take_each_position_once_and_the_best_first():
    z = torch.zeros(1, 4, dtype=torch.int64)
    position, code = torch.tensor([[0, 1, 1, 2]]), torch.tensor([[1, 2, 3, 4]])
    none = torch.zeros(1, 4)
    swaps = Swaps(position, code, none, none, none == 0)
    other = Swaps(*(t[:, :2] for t in (torch.tensor([[3, 3]]), torch.tensor([[8, 9]]), none, none, none == 0)))
    gain = torch.tensor([[1.0, 3.0, 5.0, -1.0]])
    sets, replaced = combined(swaps, gain, combination_sizes(3, 2), other)
    # Two help: code 3 at position 1, and code 1 at position 0; three together would be the same two again.
    assert sets.applied(z).tolist() == [[[1, 3, 0, 0], [0, 0, 0, 9]]] and replaced.tolist() == [[False, True]]


@pytest.mark.parametrize("name", ["mnist-vqvae-512", "mnist-vqvae-40"])
def test_on_real_images_it_improves_on_the_encoder_and_on_a_relaxed_start(name):
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
    model = QuadraticModel.at(held, z, Curvature.unknown(held, 2))
    swaps = replace(model, curvature=torch.zeros(2)).rank(9, 4)
    assert (swaps.code == 0).all()


def test_swaps_that_failed_recently_come_last_of_the_best_ones():
    none = torch.zeros(1, 6)
    swaps = Swaps(torch.tensor([[0, 1, 1, 1, 2, 3]]), torch.arange(6)[None], none, none, none == 0)
    recent = torch.tensor([[-1, 0, 1 * 9 + 1]])
    taken = recent_last(swaps, torch.tensor([4]), recent, 9, 6, 9)
    assert taken.code.tolist() == [[2, 3, 0, 1, 4, 5]], "those beyond the first four wait for all of these"
    spread = recent_last(swaps, torch.tensor([4]), recent, 9, 5, 1)
    assert spread.code.tolist() == [[2, 0, 4, 5, 3]], "one a position, as long as there are others"
