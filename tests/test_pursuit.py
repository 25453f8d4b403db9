"""PursuitSearch: effects that add up, sets that cancel, and pools that are carried along."""

from __future__ import annotations

import pytest
import torch
from torch import nn

import latentsearch as ls
from latentsearch import training, zoo
from latentsearch.noise import Noise
from latentsearch.objective import Ledger, Objective
from latentsearch.searchers._curvature import Curvature
from latentsearch.searchers.swaps._pool import Pool, matching_pursuit
from latentsearch.searchers.swaps._quadratic import QuadraticModel
from latentsearch.testing import toys


def linear(shape: tuple[int, ...] = (6,), codes: int = 5, outputs: int = 10) -> ls.CodebookGenerator:
    """A decoder whose outputs are linear in the embeddings: effects of swaps add up exactly."""
    noise = Noise.from_seed(11)
    width = 3
    with training.initialised(0):
        net = nn.Sequential(nn.Flatten(), nn.Linear(width * shape[0], outputs)).double().eval()
    book = noise.fold(1).normal(codes, width, dtype=torch.float64)[0]
    return ls.CodebookGenerator(net, book, shape)


def pool_at(
    generator: ls.CodebookGenerator, constraint: ls.Constraint, z: torch.Tensor, count: int
) -> tuple[Pool, ...]:
    """A pool of the best swaps at z, and the residual there."""
    objective = Objective(generator, constraint, ls.Run(evaluations=None), Ledger(len(z)))
    swaps = QuadraticModel.at(objective, z, Curvature.unknown(objective, len(z))).rank(count, 4)
    residual = constraint.residuals(generator.decode(z), z)
    return effects(generator, constraint, z, swaps.position, swaps.code), residual


def effects(generator, constraint, z, position, code) -> Pool:
    grids = z[:, None].repeat(1, position.shape[1], 1).scatter(2, position[..., None], code[..., None])
    here = constraint.residuals(generator.decode(z), z)
    there = [constraint.residuals(generator.decode(grids[:, i]), grids[:, i]) - here for i in range(position.shape[1])]
    return Pool(position, code, torch.stack(there, 1))


def linear_problem() -> tuple[ls.CodebookGenerator, ls.Constraint, torch.Tensor]:
    generator, noise = linear(), Noise.from_seed(5, 4)
    constraint = ls.Matches(generator.decode(noise.fold(0).integers(5, 6)))
    return generator, constraint, noise.fold(1).integers(5, 6)


def test_predicted_losses_of_sets_are_those_decoded_where_effects_add_up():
    generator, constraint, z = linear_problem()
    pool, residual = pool_at(generator, constraint, z, 20)
    sets = matching_pursuit(pool, residual, 8)
    grids = pool.sets(sets).applied(z)
    index = sets.clamp(min=0)[..., None].expand(-1, -1, -1, residual.shape[1])
    effect = pool.effect[:, None].expand(-1, sets.shape[1], -1, -1).gather(2, index)
    predicted = residual[:, None] + (effect * (sets >= 0)[..., None]).sum(2)
    for i in range(sets.shape[1]):
        assert torch.allclose(constraint(generator.decode(grids[:, i]), z).loss, predicted[:, i].square().sum(1))
    changed = (grids != z[:, None]).sum(2)
    assert torch.equal(changed, (sets >= 0).sum(2)), "each member changes a position of its own"


def test_no_set_puts_two_codes_at_one_position_though_there_are_no_other_pairs():
    """Which of the two is written would be undefined on some devices."""
    position, code = torch.zeros(1, 3, dtype=torch.int64), torch.tensor([[1, 2, 3]])
    pool = Pool(position, code, torch.tensor([[[-1.0], [-2.0], [4.0]]]))
    sets = matching_pursuit(pool, torch.tensor([[2.0]]), 8)
    assert bool(((sets >= 0).sum(2) <= 1).all())


def test_a_pool_seen_from_another_grid_is_that_of_the_other_grid():
    generator, constraint, z = linear_problem()
    pool, residual = pool_at(generator, constraint, z, 20)
    new = pool.sets(matching_pursuit(pool, residual, 4)).applied(z)[:, 0]
    assert bool((new != z).any(1).all())
    moved = pool.rebase(z, new)
    fresh = effects(generator, constraint, new, moved.position, moved.code)
    assert torch.allclose(moved.effect, fresh.effect)
    assert bool((moved.code != new.gather(1, moved.position)).all()), "what led there leads back"


def test_a_swap_into_a_pool_unknown_place_is_forgotten():
    generator, constraint, z = linear_problem()
    pool, _ = pool_at(generator, constraint, z, 6)
    new = (z + 1) % 5
    moved = pool.rebase(z, new)
    fresh = effects(generator, constraint, new, moved.position, moved.code)
    assert torch.allclose(moved.effect, fresh.effect)


def test_two_swaps_that_help_only_together_are_found():
    """At (0, 0) each swap alone makes it worse, by overshooting; one undoes what the other does too much."""
    net = nn.Sequential(nn.Flatten(), nn.Linear(2, 2, bias=False)).double().eval()
    with torch.no_grad():
        net[1].weight.copy_(torch.tensor([[1.0, 1.0], [0.1, -0.1]]))
    book = torch.tensor([[0.0], [1.0], [-1.0]], dtype=torch.float64)
    generator = ls.CodebookGenerator(net, book, (2,))
    start = torch.zeros(1, 2, dtype=torch.int64)
    constraint = ls.Matches(generator.decode(torch.tensor([[1, 2]])))
    stuck = ls.CoordinateSearch().search(generator, constraint, init=start, seed=0)
    assert stuck.status[0].name == "OPTIMAL" and torch.equal(stuck.latent, start)
    found = ls.PursuitSearch().search(generator, constraint, init=start, seed=0)
    assert found.latent.tolist() == [[1, 2]] and float(found.score.loss) < 1e-20


def noting_rows(generator: toys.CodeGenerator) -> list[int]:
    """How many rows the generator decodes from now on, call by call."""
    decoded: list[int] = []
    inner = generator.decode_embedding

    def noting(e: torch.Tensor) -> torch.Tensor:
        decoded.append(len(e))
        return inner(e)

    generator.decode_embedding = noting
    return decoded


def test_it_is_refused_before_anything_is_decoded_where_the_loss_is_no_sum_of_squares():
    toy = toys.codes()
    match, prior = toy.constraint, ls.LogPrior(toy.generator.prior)
    classified = ls.Classified(lambda x: x.flatten(1), 1)
    decoded = noting_rows(toy.generator)
    for constraint in (
        ls.Matches(match.target, distance="l1"),
        match + prior,
        classified,
        match + classified,
        -1 * match,
    ):
        for method in (ls.PursuitSearch(), ls.Then(ls.RelaxedSearch(), ls.PursuitSearch())):
            with pytest.raises(ls.Unsupported, match=r"no sum of squares.*CoordinateSearch"):
                method.search(toy.generator, constraint, seed=0)
    assert decoded == []


@pytest.mark.parametrize("shape", [(1,), (2, 2), (3, 3)])
@pytest.mark.parametrize(
    "method", [ls.PursuitSearch(), ls.PursuitSearch(batch=3, patience=None)], ids=["default", "few"]
)
def test_the_known_optimum_is_found(method, shape):
    toy = toys.codes(problems=4, shape=shape)
    result = method.search(toy.generator, toy.constraint, seed=0, run=ls.Run(evaluations=2000))
    assert torch.equal(result.score.loss, toy.optimum)


def test_steps_cost_what_they_decode_and_a_budget_is_never_overshot():
    toy, step = toys.codes(shape=(4, 4)), 2 + 1 + 10 + 16  # a gradient, the grid held, single swaps, sets
    method = ls.PursuitSearch(batch=10, restarts=2)
    assert method.step_cost(ls.Discrete((3, 3), 5)) == step
    for run, steps in ((ls.Run(steps=1), 1), (ls.Run(steps=3), 3), (ls.Run(evaluations=2 * step * 3 - 1), 2)):
        assert (
            method.search(toy.generator, toy.constraint, seed=0, run=run).evaluations.tolist() == [2 * step * steps] * 2
        )
    decoded = noting_rows(toy.generator)
    totals = []
    for steps in (1, 3):
        decoded.clear()
        method.search(toy.generator, toy.constraint, seed=0, run=ls.Run(steps=steps))
        totals.append(sum(decoded))
    # A gradient counts two rows and decodes one; what comes before and after the steps is the same.
    assert totals[1] - totals[0] == 2 * (step - 1) * 2 * len(toy.optimum)


@pytest.mark.parametrize("radius", [1, 2, 3])
def test_no_step_leaves_the_hard_limit_and_the_constraint_is_still_furthered(radius):
    generator, match, source = linear_problem()
    seen: list[torch.Tensor] = []

    def look(step: ls.Step) -> None:
        seen.append((step.latent != source[step.problem]).sum(1))

    run = ls.Run(evaluations=400, callbacks=[look])
    result = ls.PursuitSearch(batch=8).search(generator, match + ls.Within(source, radius), seed=0, run=run)
    assert all(bool((changed <= radius).all()) for changed in seen)
    assert bool(((result.latent != source).sum(1) <= radius).all())
    assert bool((result.score.loss < match(generator.decode(source), source).loss).all())


def test_on_images_it_goes_below_single_swaps():
    """x4 super-resolution, where what is left over is small against what any swap does."""
    generator, images = ls.wrap(zoo.load("mnist-vqvae-512")), zoo.images()[0][:8]
    constraint = ls.Downscales(torch.nn.functional.avg_pool2d(images, 4), factor=4, mode="area")
    start = ls.RelaxedSearch().search(generator, constraint, seed=0, run=ls.Run(evaluations=150)).latent
    losses = [
        searcher.search(generator, constraint, init=start, seed=0, run=ls.Run(evaluations=600)).score.loss.mean()
        for searcher in (ls.PursuitSearch(batch=64), ls.CoordinateSearch(batch=64, patience=None))
    ]
    assert losses[0] < losses[1]


@pytest.mark.parametrize("weight", [0.0, 0.5, 2.0])
def test_residuals_follow_the_algebra(weight):
    target = Noise.from_seed(1, 2).uniform(1, 8, 8)
    output, z = Noise.from_seed(2, 2).uniform(1, 8, 8), torch.zeros(2, 3)
    mask = (Noise.from_seed(3, 2).uniform(1, 8, 8) > 0.5).float()
    small = ls.Downscales(target[..., ::2, ::2], 2, mode="bicubic")
    constraint = weight * ls.Matches(target, mask=mask) + small.below(0.1) + ls.Within(z, 1.0)
    assert constraint.goal.least_squares
    assert torch.allclose(constraint.residuals(output, z).square().sum(1), constraint(output, z).loss, rtol=1e-5)
    assert not (constraint + ls.Near(z)).least_squares and not (-1 * small).least_squares
