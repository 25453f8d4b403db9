"""Colours: shares that are exact where codes do not overlap, fewer evaluations, and refusals that help."""

from __future__ import annotations

import itertools

import pytest
import torch
from torch import Tensor, nn

import latentsearch as ls
from latentsearch import training, zoo
from latentsearch._maps import resampled
from latentsearch.noise import Noise
from latentsearch.objective import Ledger, Objective
from latentsearch.searchers.swaps._colours import changed_together, colours, shares
from latentsearch.testing import toys


def decoder(kernel: int, shape: tuple[int, ...] = (6, 7)) -> ls.CodebookGenerator:
    """Cells of 2 x 2 pixels; a code reaches no other cell's if the kernel is 2."""
    with training.initialised(0):
        net = nn.Sequential(nn.ConvTranspose2d(3, 4, kernel, 2, (kernel - 2) // 2), nn.Tanh(), nn.Conv2d(4, 2, 1))
    return ls.CodebookGenerator(net.double().eval(), Noise.from_seed(0).normal(9, 3, dtype=torch.float64)[0], shape)


def grids(generator: ls.Generator, count: int, stream: int) -> Tensor:
    space = generator.space
    assert isinstance(space, ls.Discrete)
    return Noise.from_seed(3, count).fold(stream).integers(space.codebook_size, *space.shape)


def single_changes(objective: Objective, z: Tensor, code: Tensor) -> Tensor:
    """``(M, P, C)``: the exact change of the loss by each swap alone."""
    position = torch.arange(code.shape[1])[None, :, None].expand(code.shape)
    alone = objective.swaps(z, position.flatten(1), code.flatten(1)).loss.view(code.shape)
    return alone - objective(z).loss[:, None, None]


def constraints(generator: ls.Generator, count: int) -> dict[str, ls.Constraint]:
    target = generator.decode(grids(generator, count, 1))
    mask = Noise.from_seed(4, count).uniform(1, *target.shape[2:], dtype=target.dtype)
    small = ls.Downscales(target[..., ::2, ::2], 2, mode="area")
    masked = ls.Matches(target, mask=mask, distance="huber")
    return {
        "match": ls.Matches(target),
        "masked": masked,
        "small": small,
        "sum": ls.Matches(target, distance="l1") + (2 * small).below(0.3),
    }


@pytest.mark.parametrize("constraint", ["match", "masked", "small", "sum"])
@pytest.mark.parametrize("spacing", [2, 3])
def test_where_codes_do_not_overlap_shares_are_the_changes_of_single_swaps(constraint, spacing):
    generator = decoder(kernel=2)
    goal = constraints(generator, 2)[constraint]
    objective = Objective(generator, goal, ls.Run(patches=False), Ledger(2))
    z, code = grids(generator, 2, 2), torch.stack([grids(generator, 2, s).flatten(1) for s in (3, 4)], 2)
    changed = changed_together(z, code, spacing)
    row = torch.arange(2).repeat_interleave(changed.shape[1])
    _, maps = objective.maps(changed.flatten(0, 1), row)
    _, held = objective.maps(z)
    found = shares(maps.unflatten(0, changed.shape[:2]) - held[:, None], (6, 7), spacing)
    assert torch.allclose(found, single_changes(objective, z, code), atol=1e-12)


@pytest.mark.parametrize(("spacing", "pixels"), list(itertools.product((2, 3), ((12, 14), (6, 7), (5, 9)))))
def test_shares_of_a_decode_sum_to_its_change(spacing, pixels):
    change = Noise.from_seed(0, 2).normal(2 * spacing**2, *pixels, dtype=torch.float64)
    found = shares(change, (6, 7), spacing)
    colour = colours((6, 7), spacing, change.device)
    total = change.flatten(2).sum(2).unflatten(1, (2, -1))
    for c in range(spacing**2):
        assert torch.allclose(found[:, colour == c].sum(1), total[:, :, c])


def test_each_position_is_changed_once_and_far_from_others_of_its_decode():
    z = torch.zeros(1, 6, 7, dtype=torch.int64)
    changed = changed_together(z, torch.ones(1, 42, 1, dtype=torch.int64), 3)
    assert changed.shape == (1, 9, 6, 7) and (changed.sum(1) == 1).all()
    for grid in changed[0]:
        for a, b in itertools.combinations(grid.nonzero().tolist(), 2):
            assert max(abs(a[0] - b[0]), abs(a[1] - b[1])) >= 3


@pytest.mark.parametrize("size", [(8, 8), (3, 5), (4, 7)])
def test_a_map_at_another_size_has_the_same_sum(size):
    loss_map = Noise.from_seed(0, 3).uniform(4, 4, dtype=torch.float64)
    other = resampled(loss_map, size)
    assert other.shape == (3, *size) and torch.allclose(other.sum((1, 2)), loss_map.sum((1, 2)))


def test_steps_cost_what_was_decoded_and_the_loss_map_is_decoded_once():
    generator, row = decoder(kernel=4), 2 + 4 + 3  # a gradient, the colours, and 1, 6 and 36 swaps together
    goal = constraints(generator, 2)["match"]
    spent = [
        ls.ColouredSearch(spacing=2, restarts=2).search(generator, goal, seed=0, run=ls.Run(steps=steps)).evaluations
        for steps in (1, 3)
    ]
    assert spent[0].tolist() == [2 * (row + 1)] * 2 and spent[1].tolist() == [2 * (3 * row + 1)] * 2
    assert ls.ColouredSearch().step_cost(ls.Discrete((8, 8), 5)) >= row + 1


def test_the_loss_only_falls_and_no_swap_is_tried_twice_at_a_grid():
    toy = toys.codes(problems=3, shape=(5, 4))
    losses: list[Tensor] = []
    result = ls.ColouredSearch(spacing=2, patience=None).search(
        toy.generator, toy.constraint, seed=0, run=ls.Run(evaluations=None, callbacks=[lambda s: losses.append(s.loss)])
    )
    assert all((after <= before).all() for before, after in itertools.pairwise(losses))
    # At the last grid each position's other 4 codes take a step each, and estimates prove nothing.
    assert {status.name for status in result.status} == {"STALLED"} and len(losses) >= 5
    assert (result.score.loss <= toy.optimum).all()


def test_patience_counts_steps_in_vain_and_what_follows_can_prove_the_optimum():
    toy = toys.codes(problems=2, shape=(4, 4))
    plan = ls.Then(ls.ColouredSearch(spacing=2, patience=1), ls.CoordinateSearch(patience=None))
    alone = ls.ColouredSearch(spacing=2, patience=2).search(toy.generator, toy.constraint, init=toy.solution, seed=0)
    assert alone.evaluations.tolist() == [2 * (2 + 4 + 2) + 1] * 2
    result = plan.search(toy.generator, toy.constraint, seed=0)
    assert {status.name for status in result.status} == {"OPTIMAL"}


def test_within_a_hard_limit_merges_are_put_back():
    generator = decoder(kernel=4)
    source, goal = grids(generator, 3, 5), constraints(generator, 3)["match"]
    before = goal(generator.decode(source), source).loss
    constraint = goal + ls.Within(source, 5)
    result = ls.ColouredSearch(spacing=2, codes=2).search(generator, constraint, seed=0, run=ls.Run(evaluations=200))
    assert (result.score.loss < before).all()
    assert ((result.latent != source).flatten(1).sum(1) <= 5).all()


def test_on_real_images_it_needs_fewer_evaluations_than_single_swaps():
    images = zoo.images()[0][:4]
    codes, goal = ls.wrap(zoo.load("mnist-vqvae-512")), ls.Matches(images)
    coloured, single = (
        method.search(codes, goal, seed=0, run=ls.Run(evaluations=100)).score.loss
        for method in (ls.ColouredSearch(), ls.CoordinateSearch())
    )
    assert (coloured < single / 3).all()


def test_what_it_cannot_search_is_refused_before_anything_is_decoded():
    decoded: list[int] = []
    large, small, line = (toys.CodeGenerator(shape) for shape in ((4, 4), (2, 5), (8,)))
    for generator in (large, small, line):
        generator.decode_embedding = lambda e: decoded.append(len(e))  # type: ignore[method-assign, assignment, return-value]

    def refused(generator: ls.Generator, constraint: ls.Constraint, match: str, method: ls.Searcher) -> None:
        with pytest.raises(ls.Unsupported, match=match):
            method.search(generator, constraint, seed=0)
        assert not decoded

    dark = ls.Satisfies(lambda x: x.mean((1, 2)), name="dark")
    plain = ls.Matches(torch.zeros(1, 4, 4))
    for method in (ls.ColouredSearch(spacing=2), ls.Then(ls.RelaxedSearch(), ls.ColouredSearch(spacing=2))):
        refused(large, plain + dark, "got dark, whose loss is no sum over cells.*use CoordinateSearch", method)
        refused(
            small, ls.Matches(torch.zeros(1, 2, 5)), r"\(2, 5\), expected two axes of at least 4.*Coordinate", method
        )
        refused(line, ls.Matches(torch.zeros(1, 1, 8)), "two axes.*use CoordinateSearch", method)
    refused(large, plain, "at least 6 cells, twice the spacing; use spacing=2", ls.ColouredSearch())


def test_constraints_say_whether_they_are_sums_over_pixels():
    match, near = ls.Matches(torch.zeros(1, 1, 4, 4)), ls.Near(torch.zeros(1, 3))
    assert match.goal.cell_axes == (2 * match + match.below(1.0)).cell_axes == 2
    assert (match + ls.Within(torch.zeros(1, 3), 1.0)).cell_axes == 2
    assert not (match + near).cell_axes and ls.Matches(torch.zeros(1, 4)).cell_axes == 1
    with pytest.raises(ls.Unsupported, match="got Near, whose loss is no sum"):
        (match + near).loss_map(torch.zeros(1, 1, 4, 4))
