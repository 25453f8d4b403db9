"""The objective's entry points: what they score, and what they charge."""

from __future__ import annotations

import torch

import latentsearch as ls
from latentsearch.noise import Noise
from latentsearch.objective import Ledger, Objective
from latentsearch.testing import toys


def test_swaps_are_the_grids_with_one_code_changed():
    toy = toys.codes(problems=3, shape=(2, 3), codebook_size=4)
    held = Objective(toy.generator, toy.constraint, ls.Run(), Ledger(3))
    z = Noise.from_seed(0, 3).integers(4, 2, 3)
    position, code = torch.tensor([[0, 5], [3, 3], [1, 2]]), torch.tensor([[3, 0], [1, 2], [0, 1]])
    score = held.swaps(z, position, code)
    for row in range(3):
        for candidate in range(2):
            changed = z[row].flatten().clone()
            changed[position[row, candidate]] = code[row, candidate]
            alone = toy.constraint.select(torch.tensor([row]))
            expected = alone(toy.generator.decode(changed.view(1, 2, 3)), changed.view(1, 2, 3))
            assert score.loss[row, candidate] == expected.loss[0]
    assert held.ledger.spent.tolist() == [2, 2, 2]
