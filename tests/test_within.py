"""The hard limit: where it projects to, how it adds up, and that searches stay and do well within it."""

from __future__ import annotations

import itertools

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

import latentsearch as ls
from latentsearch import zoo
from latentsearch.noise import Noise
from latentsearch.testing import toys


@given(seed=st.integers(0, 10_000), radius=st.integers(1, 5))
def test_projected_codes_are_the_nearest_within(seed, radius):
    """No grid within the ball is closer, and of equally close ones the one of the highest priority is taken."""
    noise = Noise.from_seed(seed, 3)
    source, z = noise.fold(0).integers(3, 5), noise.fold(1).integers(3, 5)
    priority = noise.fold(2).uniform(5)
    put = ls.Within(source, radius).project(z, lambda _: priority)
    changed = (z != source).sum(1)
    assert torch.equal((put != source).sum(1), changed.clamp(max=radius))
    assert bool(((put == z) | (put == source)).all())
    dropped = (put != z).to(priority.dtype)
    kept = ((put != source) & (put == z)).to(priority.dtype)
    lost = (priority * dropped).amax(1)
    least = torch.where(kept.bool(), priority, 1.0).amin(1)
    assert bool((lost <= least).all())


@given(seed=st.integers(0, 10_000), radius=st.floats(0.1, 4))
def test_projected_latents_are_on_the_sphere(seed, radius):
    noise = Noise.from_seed(seed, 4)
    source, z = noise.fold(0).normal(6), 2 * noise.fold(1).normal(6)
    limit = ls.Within(source, radius)
    put = limit.project(z)
    assert bool(limit.contains(put).all())
    outside = (z - source).norm(dim=1) > radius
    assert torch.equal(put[~outside], z[~outside])
    assert torch.allclose((put - source).norm(dim=1)[outside], torch.tensor(radius), rtol=1e-4)


def test_mixtures_are_projected_onto_the_expected_distance_by_one_multiplier():
    """The information projection: odds of the source's code rise by one factor, and the distance is the radius."""
    noise = Noise.from_seed(0, 4)
    source = noise.fold(0).integers(6, 8)
    soft = (2 * noise.fold(1).normal(8, 6, dtype=torch.float64)).softmax(-1)
    put = ls.Within(source, 3).to("cpu", torch.float64).project(soft)
    same = put.gather(-1, source[..., None])[..., 0]
    assert torch.allclose((1 - same).sum(1), torch.full((4,), 3.0, dtype=torch.float64))
    before, after = (q.gather(-1, source[..., None])[..., 0].logit() for q in (soft, put))
    assert torch.allclose(after - before, (after - before)[:, :1].expand(-1, 8))
    others = put / soft
    others = others.scatter(-1, source[..., None], torch.nan)
    spread = others.nan_to_num(0.0).amax(-1) - torch.where(others.isnan(), torch.inf, others).amin(-1)
    assert bool((spread < 1e-9).all())


def test_the_gradient_of_a_projected_mixture_is_that_of_the_projection():
    source = torch.tensor([[0, 1, 2, 0]])
    limit = ls.Within(source, 1).to("cpu", torch.float64)
    logits = Noise.from_seed(3).normal(4, 3, dtype=torch.float64).requires_grad_()
    assert torch.autograd.gradcheck(lambda x: limit.project(x.softmax(-1)), logits, atol=1e-5)


def test_sure_mixtures_project_without_nan():
    source = torch.zeros(1, 5, dtype=torch.int64)
    sure = torch.nn.functional.one_hot(torch.ones(1, 5, dtype=torch.int64), 3).float().requires_grad_()
    put = ls.Within(source, 2).project(sure)
    (gradient,) = torch.autograd.grad(put[..., 1].sum(), sure)
    assert bool(put.isfinite().all()) and bool(gradient.isfinite().all())
    assert float((1 - put[..., 0]).detach().sum()) == pytest.approx(2, abs=0.1)


def test_a_sum_holds_one_limit_and_no_weight_turns_it_round():
    limit = ls.Within(torch.zeros(1, 4), 1.0)
    with pytest.raises(ls.InvalidArgument, match="several hard limits"):
        limit + limit
    with pytest.raises(ls.InvalidArgument, match="hard limit"):
        -1 * limit
    assert (ls.Matches(torch.zeros(1, 4)) + 2 * limit).limit is limit


@pytest.mark.parametrize(
    ("source", "radius", "message"),
    [
        (torch.zeros(1, 4), 0, "positive distance"),
        (torch.zeros(1, 4), float("nan"), "positive distance"),
        (torch.zeros(1, 4, dtype=torch.int64), 1.5, "whole number"),
        (torch.zeros(1, 4, dtype=torch.int32), 1, "int64"),
        (torch.zeros(2, 4), torch.ones(3), "source for 2 problems and radius for 3"),
    ],
)
def test_bad_balls_are_refused(source, radius, message):
    with pytest.raises(ls.InvalidArgument, match=message):
        ls.Within(source, radius)


def test_a_start_beyond_the_limit_is_refused_before_anything_is_searched():
    toy = toys.codes()
    limit = ls.Within(toy.solution, 1)
    start = (toy.solution + 1) % 5
    with pytest.raises(ls.InvalidArgument, match=r"beyond the hard limit for problems \[0, 1\]"):
        ls.CoordinateSearch().search(toy.generator, toy.constraint + limit, init=start, seed=0)
    with pytest.raises(ls.InvalidArgument, match="Within's centre"):
        ls.CoordinateSearch().search(toy.generator, toy.constraint + ls.Within(toy.solution.float(), 1), seed=0)


def best_within(toy: toys.Toy, source: torch.Tensor, radius: int) -> torch.Tensor:
    """By counting: the lowest loss of all grids within the ball, for each problem."""
    codes = toy.generator.space.codebook_size
    grids = torch.tensor(list(itertools.product(range(codes), repeat=source[0].numel()))).view(-1, *source.shape[1:])
    losses = []
    for b in range(len(source)):
        near = grids[(grids != source[b]).flatten(1).sum(1) <= radius]
        constraint = toy.constraint.select(torch.full((len(near),), b))
        losses.append(constraint(toy.generator.decode(near), near).loss.min())
    return torch.stack(losses)


SEARCHERS = (
    ls.CoordinateSearch(),
    ls.EvolutionSearch(),
    ls.ExhaustiveSearch(),
    ls.AutoSearch(),
)


@pytest.mark.parametrize("searcher", SEARCHERS, ids=lambda s: type(s).__name__)
@pytest.mark.parametrize("radius", [1, 2])
def test_the_best_edit_is_found(searcher, radius):
    toy = toys.codes(problems=4)
    source = (toy.solution + 2) % 5
    goal = toy.constraint + ls.Within(source, radius)
    result = searcher.search(toy.generator, goal, seed=0, run=ls.Run(evaluations=700))
    assert bool(((result.latent != source).flatten(1).sum(1) <= radius).all())
    assert torch.allclose(result.score.loss, best_within(toy, source, radius), atol=1e-6)


def test_no_step_of_any_kind_proposes_what_is_beyond():
    """What callbacks see is within, too."""
    toy = toys.codes(problems=3)
    source = (toy.solution + 2) % 5
    seen = []
    run = ls.Run(evaluations=200, callbacks=[lambda step: seen.append((step.problem, step.latent)) and None])
    for searcher in (ls.CoordinateSearch(batch=4), ls.JacobiSearch(), ls.RelaxedSearch(), ls.EvolutionSearch()):
        searcher.search(toy.generator, toy.constraint + ls.Within(source, 1), seed=0, run=run)
    for problem, latent in seen:
        if latent is not None:
            assert bool(((latent != source[problem]).flatten(1).sum(1) <= 1).all())


def test_images_are_edited_within_eight_codes():
    """Planted edits: eight codes of a real grid are changed, and found again or matched as well."""
    generator, images = ls.wrap(zoo.load("mnist-vqvae-40")), zoo.images()[0][:2]
    source = generator.encode(images)
    noise = Noise.from_seed(5, 2)
    other = ls.Within(source, 8).project(noise.fold(0).integers(40, 7, 7), lambda _: noise.fold(1).uniform(7, 7))
    goal = ls.Matches(generator.decode(other)) + ls.Within(source, 8)
    result = ls.search(generator, goal, seed=0, run=ls.Run(evaluations=600))
    before = goal(generator.decode(source), source).loss
    assert bool(((result.latent != source).flatten(1).sum(1) <= 8).all())
    assert bool((result.score.loss < 0.3 * before).all())


@pytest.mark.parametrize("searcher", [ls.GradientSearch(), ls.LangevinSearch(steps=50), ls.CMAESSearch()])
def test_continuous_latents_move_from_the_source_to_the_border(searcher):
    """The distance has no gradient at the source, where searches start."""
    toy = toys.bowl()
    source = toy.solution + 1.0
    limit = ls.Within(source, 0.5)
    result = searcher.search(toy.generator, toy.constraint + limit, seed=0, run=ls.Run(evaluations=300))
    before = toy.constraint(toy.generator.decode(source), source).loss
    assert bool((result.score.loss < 0.7 * before).all()) and bool((limit.contains(result.latent)).all())
    assert "NONFINITE" not in {status.name for status in result.status}
