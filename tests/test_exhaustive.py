"""The oracle: it finds the best grid, no method finds a better one, and the good ones find it."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

import latentsearch as ls
from latentsearch.noise import Noise
from latentsearch.searchers.exhaustive import _codes_and_counts, _grids
from latentsearch.spaces import Discrete
from latentsearch.testing import toys


class Rugged(toys.CodeGenerator):
    """Outputs are products of neighbouring codes: 256 grids, many of them optima among single swaps."""

    def decode_embedding(self, e: Tensor) -> Tensor:
        e = 2 * e[..., 0] - 1
        return e * e.roll(1, -1) + 0.3 * e


PROBLEMS = 12
GENERATOR = Rugged((2, 2), 4)
GOAL = ls.Matches(Noise.from_seed(9, PROBLEMS).normal(2, 2))
# With a few starts each, these are to find the best grid for three problems in four.
GOOD = [
    ls.EvolutionSearch(),
    ls.JacobiSearch(restarts=4),
    ls.CoordinateSearch(batch=8, patience=None, restarts=8),
    ls.RelaxedSearch(restarts=4),
]
METHODS = [
    *GOOD,
    ls.Then(ls.Stage(ls.RelaxedSearch(), share=0.4), ls.CoordinateSearch(patience=None)),
    ls.LangevinSearch(),
    ls.StraightThroughSearch(lr=0.3, on_repeat="continue"),
    ls.SinglePositionSearch(lr=0.3),
    ls.RandomSearch(),
]


@pytest.fixture(scope="module")
def best() -> Tensor:
    result = ls.ExhaustiveSearch(batch=50).search(GENERATOR, GOAL, seed=0, run=ls.Run(evaluations=400))
    assert {status.name for status in result.status} == {"OPTIMAL"}
    return result.score.loss


def all_grids(space: Discrete) -> torch.Tensor:
    codes, counts = _codes_and_counts(space, None)
    return _grids(torch.arange(math.prod(counts)), codes, counts).view(-1, *space.shape)


def test_the_grids_are_all_there_are():
    grids = all_grids(Discrete((2, 2), 3))
    assert len({tuple(grid.flatten().tolist()) for grid in grids}) == 81
    assert grids[5].tolist() == [[0, 0], [1, 2]]


def test_the_oracle_is_right(best):
    grids = all_grids(GENERATOR.space)
    for problem in range(PROBLEMS):
        alone = GOAL.select(torch.tensor([problem]))
        assert alone(GENERATOR.decode(grids), grids).loss.min() == best[problem]


@pytest.mark.parametrize("method", METHODS, ids=lambda m: type(m).__name__)
def test_no_method_beats_the_oracle_and_the_good_ones_find_it(method, best):
    result = method.search(GENERATOR, GOAL, seed=0, run=ls.Run(evaluations=400))
    assert (result.score.loss >= best - 1e-6).all()
    if method in GOOD:
        assert (result.score.loss <= best + 1e-6).float().mean() >= 0.75


def test_spaces_too_large_to_count_are_refused():
    with pytest.raises(ls.Unsupported, match=r"of 512\^49 grids, expected at most 10,000,000"):
        toy = toys.codes(shape=(7, 7), codebook_size=512)
        ls.ExhaustiveSearch().search(toy.generator, toy.constraint, seed=0)
