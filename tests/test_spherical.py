"""The sphere, the shell, and the search that walks on the sphere."""

from __future__ import annotations

import math
from itertools import pairwise

import pytest
import torch
from scipy.stats import chi
from torch import Tensor

import latentsearch as ls
from latentsearch.constraints import Geocross
from latentsearch.objective import Objective
from latentsearch.searchers import one_cycle, warmup_cosine
from latentsearch.searchers.spherical._walk import geodesic, tangent, transported, unit
from latentsearch.testing import toys

TOY = toys.bowl()
DOUBLE = torch.float64


def draw(*shape: int, seed: int = 0) -> Tensor:
    return ls.Noise.from_seed(seed).normal(*shape, dtype=DOUBLE)[0]


# -- constraints -------------------------------------------------------------------------------------


def test_shell_is_the_density_of_a_length() -> None:
    z = draw(6, 2, 5)
    loss = ls.Shell(dims=1)(z, z).loss
    exact = -torch.tensor(chi(5).logpdf(z.norm(dim=-1).numpy())).sum(1)
    torch.testing.assert_close(loss - loss[0], exact - exact[0])
    longest = unit(z[:, 0]) * 2.0
    assert ls.Shell()(longest, longest).loss.abs().max() < 1e-12
    single = z[:, 0, :1]
    torch.testing.assert_close(ls.Shell()(single, single).loss, single.square().sum(1) / 2)


def test_shell_and_geocross_have_gradients_where_vectors_are_null_or_alike() -> None:
    for z in (torch.zeros(1, 3, 2), torch.ones(1, 3, 2)):
        z.requires_grad_()
        for term in (ls.Shell(dims=1), Geocross()):
            (gradient,) = torch.autograd.grad(term(z, z).loss.sum(), z)
            assert gradient.isfinite().all()


def test_geocross_is_the_sum_of_squared_angles() -> None:
    z = draw(4, 3, 5)
    u = z / z.norm(dim=-1, keepdim=True)
    angles = [torch.acos((u[:, i] * u[:, j]).sum(1)) for i, j in ((0, 1), (0, 2), (1, 2))]
    torch.testing.assert_close(Geocross()(z, z).loss, sum(angle.square() for angle in angles))
    opposite = torch.tensor([[[1.0, 0.0], [-3.0, 0.0]]])
    torch.testing.assert_close(Geocross()(opposite, opposite).loss, torch.tensor([math.pi**2]))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
def test_what_a_sphere_projects_is_on_it_in_every_precision(dtype: torch.dtype) -> None:
    z = torch.cat([draw(5, 300), torch.zeros(1, 300), 1e4 * draw(1, 300), 1e-4 * draw(1, 300)]).to(dtype)
    for sphere in (ls.Sphere(), ls.Sphere(3.0)):
        assert sphere.contains(sphere.project(z)).all()


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: ls.Sphere(0.0), "Sphere.radius: got 0.0, expected a positive number"),
        (lambda: ls.Sphere(dims=0), "Sphere.dims: got 0"),
        (lambda: ls.Shell(dims=True), "Shell.dims: got True"),
        (lambda: ls.SphericalSearch(lr=2.0), "SphericalSearch.lr"),
        (lambda: ls.SphericalSearch(noise=-1.0), "SphericalSearch.noise"),
        (lambda: ls.SphericalSearch(sphere=2.0), "SphericalSearch.sphere: got 2.0, expected a Sphere"),
        (lambda: ls.search(TOY.generator, TOY.constraint + ls.Sphere(dims=2)), "Sphere.dims: got 2 for .*at most 1"),
        (lambda: ls.search(TOY.generator, TOY.constraint + Geocross()), r"Geocross: got .*\(4,\), .*several vectors"),
        (lambda: ls.search(toys.codes().generator, toys.codes().constraint + ls.Sphere()), "Sphere: got an int64"),
        (lambda: ls.search(toys.codes().generator, toys.codes().constraint + ls.Shell()), "Shell: got an int64"),
    ],
)
def test_what_cannot_work_is_refused(build: object, message: str) -> None:
    with pytest.raises(ls.InvalidArgument, match=message):
        build()  # type: ignore[operator]


# -- walking -----------------------------------------------------------------------------------------


def test_great_circles_have_the_length_asked_for() -> None:
    start = unit(draw(50, 6))
    move = tangent(start, draw(50, 6, seed=1))
    end, length = geodesic(start, move), move.norm(dim=-1)
    angle = 2 * torch.atan2((end - start).norm(dim=-1), (end + start).norm(dim=-1))
    turned = length % (2 * math.pi)
    torch.testing.assert_close(angle, torch.minimum(turned, 2 * math.pi - turned))
    torch.testing.assert_close(end.norm(dim=-1), torch.ones(50, dtype=DOUBLE))
    assert torch.equal(geodesic(start, torch.zeros_like(start)), unit(start))


def test_transport_keeps_lengths_angles_and_tangency() -> None:
    start = unit(draw(50, 6))
    a, b = (tangent(start, draw(50, 6, seed=seed)) for seed in (1, 2))
    end = geodesic(start, 0.3 * a)
    moved = [transported(v, start, end) for v in (a, b)]
    for v in moved:
        assert (v * end).sum(-1).abs().max() < 1e-12
    torch.testing.assert_close((moved[0] * moved[1]).sum(-1), (a * b).sum(-1))
    # The direction of travel stays the direction of travel.
    torch.testing.assert_close(moved[0], tangent(end, (end - start)) * _ratio(moved[0], tangent(end, end - start)))


def _ratio(v: Tensor, like: Tensor) -> Tensor:
    return v.norm(dim=-1, keepdim=True) / like.norm(dim=-1, keepdim=True)


def test_schedules_are_those_of_the_papers() -> None:
    done = torch.tensor([0.0, 0.225, 0.45, 0.9, 0.95, 1.0])
    torch.testing.assert_close(one_cycle(done), torch.tensor([0.1, 0.55, 1.0, 0.1, 0.0505, 0.001]))
    done = torch.tensor([0.0, 0.025, 0.05, 0.5, 0.75, 0.875, 1.0])
    torch.testing.assert_close(warmup_cosine(done), torch.tensor([0.0, 0.5, 1.0, 1.0, 1.0, 0.5, 0.0]))


# -- the search --------------------------------------------------------------------------------------


def proposed(searcher: ls.SphericalSearch, generator: ls.Generator, goal: ls.Goal | ls.Constraint) -> list[Tensor]:
    """What each step scored."""
    seen: list[Tensor] = []

    def keep(step: ls.Step) -> None:
        assert step.latent is not None
        seen.append(step.latent.clone())

    searcher.search(generator, goal, seed=3, run=ls.Run(evaluations=60, callbacks=[keep]))
    return seen


@pytest.mark.parametrize("noise", [0.0, 0.3])
def test_every_step_but_the_first_is_on_the_sphere(noise: float) -> None:
    generator, sphere = toys.ElementwiseGenerator((3, 2)), ls.Sphere(1.2, dims=1)
    goal = ls.Near(torch.ones(2, 3, 2)) + 0.1 * Geocross()
    _, *others = proposed(ls.SphericalSearch(sphere, noise=noise), generator, goal)
    assert len(others) == 29
    assert all(sphere.contains(z).all() for z in others)
    first, *others = proposed(ls.SphericalSearch(noise=noise), generator, goal + sphere)
    assert all(sphere.contains(z).all() for z in (first, *others))


def test_no_step_turns_by_more_than_the_learning_rate() -> None:
    searcher = ls.SphericalSearch(lr=0.2, schedule=lambda done: torch.ones_like(done))
    _, *others = proposed(searcher, TOY.generator, TOY.constraint)
    turned = [(1 - torch.linalg.vecdot(unit(a), unit(b))).clamp(0).mul(2).sqrt() for a, b in pairwise(others)]
    assert max(float(each.max()) for each in turned) <= 0.2 * 1.01
    assert float(turned[0].min()) > 0.15


def test_it_finds_the_nearest_point_of_the_sphere() -> None:
    target = draw(3, 7)
    generator = toys.ElementwiseGenerator((7,), DOUBLE)
    found = ls.SphericalSearch().search(generator, ls.Near(target) + ls.Sphere(), seed=0)
    torch.testing.assert_close(found.latent, ls.Sphere().project(target), atol=1e-3, rtol=1e-3)
    assert set(found.status) <= {ls.Status.FINISHED, ls.Status.BUDGET}


def test_it_does_not_mind_the_scale_of_a_loss() -> None:
    found = [
        ls.SphericalSearch().search(TOY.generator, scale * TOY.constraint, seed=0).latent
        for scale in (1.0, 2.0**-40, 2.0**30)
    ]
    assert torch.equal(found[0], found[1])
    assert torch.equal(found[0], found[2])


def test_an_init_off_the_sphere_counts_unless_the_goal_forbids_it() -> None:
    solution = TOY.solution
    assert solution is not None
    found = ls.SphericalSearch().search(TOY.generator, TOY.constraint, init=solution, seed=0)
    assert torch.equal(found.latent, solution)
    limited = TOY.constraint + ls.Sphere()
    with pytest.raises(ls.InvalidArgument, match=r"init: got latents beyond the hard limit .*Sphere.project"):
        ls.SphericalSearch().search(TOY.generator, limited, init=solution, seed=0)
    start = ls.Sphere().project(solution)
    found = ls.SphericalSearch().search(TOY.generator, limited, init=start, seed=0)
    assert ls.Sphere().contains(found.latent).all()
    assert (found.score.loss <= limited(TOY.generator.decode(start), start).loss).all()


def test_it_stops_below_a_threshold() -> None:
    found = ls.SphericalSearch().search(TOY.generator, TOY.constraint.below(1e6), seed=0)
    assert found.status == (ls.Status.SATISFIED, ls.Status.SATISFIED)
    assert found.evaluations.tolist() == [2, 2]


def test_steps_end_the_schedule() -> None:
    found = ls.SphericalSearch(steps=7).search(TOY.generator, TOY.constraint, seed=0)
    assert found.steps == 7
    assert found.status == (ls.Status.FINISHED, ls.Status.FINISHED)
    free = ls.SphericalSearch().search(TOY.generator, TOY.constraint, seed=0, run=ls.Run(evaluations=None))
    assert free.steps == 100


@pytest.mark.parametrize("limit", [ls.Within(torch.ones(1, 4), 1.0), ls.Sphere(3.0)], ids=str)
def test_other_limits_are_refused(limit: ls.Limit) -> None:
    with pytest.raises(ls.Unsupported, match="SphericalSearch: got the hard limit"):
        ls.SphericalSearch(ls.Sphere()).search(TOY.generator, TOY.constraint + limit)


# -- the sphere as a limit of other searches ---------------------------------------------------------


@pytest.mark.parametrize(
    "searcher",
    [ls.AutoSearch(), ls.HalvingSearch(), ls.GradientSearch(restarts=2), ls.CMAESSearch(), ls.RandomSearch()],
    ids=lambda each: type(each).__name__,
)
def test_searches_keep_to_the_sphere(searcher: ls.Searcher) -> None:
    goal = TOY.constraint + ls.Sphere()
    found = searcher.search(TOY.generator, goal, seed=0, run=ls.Run(evaluations=100))
    start = searcher.search(TOY.generator, goal, seed=0, run=ls.Run(evaluations=32))
    assert all(ls.Sphere().contains(z).all() for z in found.candidates.latent.unbind(1))
    assert (found.score.loss < start.score.loss).all()


def test_gradients_on_a_sphere_are_along_it() -> None:
    goal = TOY.constraint + ls.Sphere()
    objective = Objective(TOY.generator, goal)
    z = ls.Sphere().project(TOY.generator.prior.sample(ls.Noise.from_seed(0, 2)))
    _, gradient = objective.value_and_gradient(z)
    free = Objective(TOY.generator, TOY.constraint).value_and_gradient(z)[1]
    assert (gradient * z).sum(1).abs().max() < 1e-6
    torch.testing.assert_close(gradient, tangent(z / 2, free))


def test_quasi_newton_converges_on_a_sphere() -> None:
    target = draw(3, 7)
    generator = toys.ElementwiseGenerator((7,), DOUBLE)
    found = ls.HalvingSearch().search(generator, ls.Near(target) + ls.Sphere(), seed=0)
    torch.testing.assert_close(found.latent, ls.Sphere().project(target), atol=1e-6, rtol=1e-6)


def test_langevin_refuses_a_sphere() -> None:
    with pytest.raises(ls.Unsupported, match=r"LangevinSearch: got the hard limit Sphere\(\).*SphericalSearch"):
        ls.LangevinSearch().search(TOY.generator, TOY.constraint + ls.Sphere())
