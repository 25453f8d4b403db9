"""Colours: shares that are exact where codes do not overlap, fewer evaluations, and refusals that help."""

from __future__ import annotations

import itertools
import math

import pytest
import torch
from torch import Tensor, nn

import latentsearch as ls
from latentsearch import training, zoo
from latentsearch._maps import resampled
from latentsearch.noise import Noise
from latentsearch.objective import Ledger, Objective
from latentsearch.searchers.swaps import felt_nearby
from latentsearch.searchers.swaps._colours import changed_together, colours, number_of_colours, shares
from latentsearch.testing import toys

LAYERS = {1: (nn.ConvTranspose1d, nn.Conv1d), 2: (nn.ConvTranspose2d, nn.Conv2d), 3: (nn.ConvTranspose3d, nn.Conv3d)}
SHAPES = ((13,), (6, 7), (4, 5, 4))


def decoder(kernel: int, shape: tuple[int, ...] = (6, 7), last: bool = False) -> ls.CodebookGenerator:
    """Cells of 2 pixels along every axis; a code reaches no other cell's if the kernel is 2; channels first or last."""
    grow, mix = LAYERS[len(shape)]
    with training.initialised(0):
        net = nn.Sequential(grow(3, 4, kernel, 2, (kernel - 2) // 2), nn.Tanh(), mix(4, 3, 1))
    codebook = Noise.from_seed(0).normal(9, 3, dtype=torch.float64)[0]
    move = (lambda x: x.movedim(1, -1)) if last else None
    return ls.CodebookGenerator(net.double().eval(), codebook, shape, output_transform=move)


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
    every_second = (..., *(slice(None, None, 2) for _ in generator.space.shape))
    small = ls.Downscales(target[every_second], 2, mode="area")
    masked = ls.Matches(target, mask=mask, distance="huber")
    return {
        "match": ls.Matches(target),
        "masked": masked,
        "small": small,
        "sum": ls.Matches(target, distance="l1") + (2 * small).below(0.3),
    }


def tokens(generator: ls.Generator, count: int) -> dict[str, ls.Constraint]:
    """About logits of three tokens at every step, or pixel."""
    found = generator.decode(grids(generator, count, 1)).argmax(-1)
    shown = Noise.from_seed(4, count).uniform(*found.shape[1:]) < 0.7
    return {"tokens": ls.MatchesTokens(found), "seen tokens": ls.MatchesTokens(found, mask=shown)}


@pytest.mark.parametrize("constraint", ["match", "masked", "small", "sum", "tokens", "seen tokens"])
@pytest.mark.parametrize("spacing", [2, 3])
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_where_codes_do_not_overlap_shares_are_the_changes_of_single_swaps(shape, spacing, constraint):
    generator = decoder(2, shape, last="tokens" in constraint)
    goal = (tokens if "tokens" in constraint else constraints)(generator, 2)[constraint].goal
    assert goal.separates(len(shape))
    objective = Objective(generator, goal, ls.Run(patches=False), Ledger(2))
    z, code = grids(generator, 2, 2), torch.stack([grids(generator, 2, s).flatten(1) for s in (3, 4)], 2)
    changed = changed_together(z, code, spacing)
    row = torch.arange(2).repeat_interleave(changed.shape[1])
    _, maps = objective.maps(changed.flatten(0, 1), row)
    _, held = objective.maps(z)
    found = shares(maps.unflatten(0, changed.shape[:2]) - held[:, None], shape, spacing)
    assert torch.allclose(found, single_changes(objective, z, code), atol=1e-12)


CELLS = [((12, 14), (6, 7)), ((6, 7), (6, 7)), ((5, 9), (6, 7)), ((26,), (13,)), ((9,), (13,)), ((4, 8, 8), (4, 5, 4))]


@pytest.mark.parametrize("spacing", [2, 3])
@pytest.mark.parametrize(("cells", "shape"), CELLS)
def test_shares_of_a_decode_sum_to_its_change(spacing, cells, shape):
    count = number_of_colours(len(shape), spacing)
    change = Noise.from_seed(0, 2).normal(2 * count, *cells, dtype=torch.float64)
    found = shares(change, shape, spacing)
    colour = colours(shape, spacing, change.device)
    total = change.flatten(2).sum(2).unflatten(1, (2, -1))
    for c in range(count):
        assert torch.allclose(found[:, colour == c].sum(1), total[:, :, c])


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_each_position_is_changed_once_and_far_from_others_of_its_decode(shape):
    z = torch.zeros(1, *shape, dtype=torch.int64)
    changed = changed_together(z, torch.ones(1, z.numel(), 1, dtype=torch.int64), 3)
    assert changed.shape == (1, 3 ** len(shape), *shape) and (changed.sum(1) == 1).all()
    for grid in changed[0]:
        for a, b in itertools.combinations(grid.nonzero().tolist(), 2):
            assert max(abs(i - j) for i, j in zip(a, b, strict=True)) >= 3


@pytest.mark.parametrize("size", [(8, 8), (3, 5), (4, 7), (9,)])
def test_a_map_at_another_size_has_the_same_sum(size):
    loss_map = Noise.from_seed(0, 3).uniform(*[4] * len(size), dtype=torch.float64)
    other = resampled(loss_map, size)
    assert other.shape == (3, *size) and torch.allclose(other.flatten(1).sum(1), loss_map.flatten(1).sum(1))


# A gradient, the colours, and 1, 6 and 36 swaps together, of as many positions as there are.
@pytest.mark.parametrize(("shape", "row"), [((6, 7), 2 + 4 + 3), ((13,), 2 + 2 + 2)])
def test_steps_cost_what_was_decoded_and_the_loss_map_is_decoded_once(shape, row):
    generator = decoder(4, shape)
    goal = constraints(generator, 2)["match"]
    spent = [
        ls.ColouredSearch(spacing=2, restarts=2).search(generator, goal, seed=0, run=ls.Run(steps=steps)).evaluations
        for steps in (1, 3)
    ]
    assert spent[0].tolist() == [2 * (row + 1)] * 2 and spent[1].tolist() == [2 * (3 * row + 1)] * 2
    assert ls.ColouredSearch(spacing=2).step_cost(generator.space) >= row + 1


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


def test_sequences_of_tokens_are_found_in_fewer_evaluations_than_by_single_swaps():
    generator = decoder(4, (40,), last=True)
    goal = tokens(generator, 4)["seen tokens"]
    coloured, single = (
        method.search(generator, goal, seed=0, run=ls.Run(evaluations=60, patches=False)).score.loss
        for method in (ls.ColouredSearch(), ls.CoordinateSearch())
    )
    assert (coloured < single).all()


@pytest.mark.parametrize("shape", [(13,), (6, 7)], ids=str)
def test_codes_are_felt_nearby_through_convolutions_and_not_through_full_layers(shape):
    local = decoder(4, shape)
    count = math.prod(2 * side for side in shape)
    with training.initialised(0):
        full = nn.Sequential(nn.Flatten(), nn.Linear(3 * math.prod(shape), 32), nn.Tanh(), nn.Linear(32, 2 * count))
    mixing = nn.Sequential(full, nn.Unflatten(1, (2, *(2 * side for side in shape)))).double().eval()
    # A vocabulary may come after the axes of the grid.
    assert felt_nearby(decoder(4, shape, last=True))
    for generator, near in ((local, True), (ls.CodebookGenerator(mixing, local.codebook, shape), False)):
        goal = ls.Matches(generator.decode(grids(generator, 2, 1))).goal
        assert goal.separates(len(shape)) and felt_nearby(generator) is near
        chosen = ls.AutoSearch().choose(generator, goal, ls.Run(evaluations=300))
        assert isinstance(chosen, ls.Then) and isinstance(chosen.stages[-1].searcher, ls.ColouredSearch) is near


def test_what_it_cannot_search_is_refused_before_anything_is_decoded():
    decoded: list[int] = []
    large, small, line = (toys.CodeGenerator(shape) for shape in ((4, 4), (2, 5), (3,)))
    flat = toys.CodeGenerator((8,))
    for generator in (large, small, line, flat):
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
            small, ls.Matches(torch.zeros(1, 2, 5)), r"\(2, 5\), expected at least 4 cells along.*Coordinate", method
        )
        refused(line, ls.Matches(torch.zeros(1, 3)), r"\(3,\), expected at least 4 cells.*use CoordinateSearch", method)
        images = "got a loss over 3 axes of outputs, expected .* over 1 axis, after channels or without"
        refused(flat, ls.Matches(torch.zeros(1, 1, 4, 4)), images, method)
    refused(large, plain, "at least 6 cells along every axis, twice the spacing; use spacing=2", ls.ColouredSearch())


def test_constraints_say_whether_they_are_sums_over_pixels():
    match, near = ls.Matches(torch.zeros(1, 1, 4, 4)), ls.Near(torch.zeros(1, 3))
    assert match.goal.cell_axes == (2 * match + match.below(1.0)).cell_axes == 3
    assert (match + ls.Within(torch.zeros(1, 3), 1.0)).cell_axes == 3
    assert not (match + near).cell_axes and ls.Matches(torch.zeros(1, 4)).cell_axes == 1
    # With channels or without.
    assert [match.goal.separates(axes) for axes in (1, 2, 3, 4)] == [False, True, True, False]
    assert ls.MatchesTokens(torch.zeros(1, 8).long()).goal.separates(1)
    assert not (match + near).separates(1) and not ls.Near(torch.zeros(1, 3)).goal.separates(0)
    output = torch.ones(1, 3, 4, 4)
    by_pixel, by_column = (ls.Matches(0 * output).goal.loss_map(output, axes) for axes in (2, 1))
    assert by_pixel.shape == (1, 4, 4) and torch.allclose(by_pixel.sum(1), by_column)
    with pytest.raises(ls.Unsupported, match=r"got a loss over 3 axes of outputs, expected .* over 4 axes"):
        match.goal.loss_map(torch.zeros(1, 1, 4, 4), 4)
    with pytest.raises(ls.Unsupported, match="got Near, whose loss is no sum"):
        (match + near).loss_map(torch.zeros(1, 1, 4, 4))
