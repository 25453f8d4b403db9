"""The methods: the paper's algorithms word for word, known optima, and what each is good for."""

from __future__ import annotations

from functools import partial

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

import latentsearch as ls
from latentsearch import relaxations, training, zoo
from latentsearch._codebook import Codebook
from latentsearch.searchers.straight_through._code_descent import CodeState, steps_to_flip
from latentsearch.testing import toys

SGD = partial(torch.optim.SGD, lr=0.4)


def test_gradient_search_is_algorithm_1():
    toy = toys.bowl(problems=1, dtype=torch.float64)
    init = torch.tensor([[2.0, -1.0, 0.5, 3.0]], dtype=torch.float64)
    alpha, tolerance = 0.4, 1e-3

    z, previous, losses = init.clone(), torch.inf, []
    while True:
        z.requires_grad_()
        loss = toy.constraint(toy.generator.decode(z), z).loss[0]
        losses.append(float(loss.detach()))
        if abs(losses[-1] - previous) <= tolerance:
            break
        previous = losses[-1]
        (gradient,) = torch.autograd.grad(loss, z)
        z = z.detach() - alpha * gradient

    result = ls.GradientSearch(optimizer=SGD, tolerance=tolerance).search(
        toy.generator, toy.constraint, init=init, seed=0
    )
    assert result.status[0] == ls.Status.STALLED
    assert result.evaluations.tolist() == [2 * len(losses)]
    assert torch.allclose(result.latent, z.detach(), atol=1e-12)
    assert result.trace.loss[: len(losses), 0].tolist() == pytest.approx(losses, abs=1e-12)


@pytest.fixture(scope="module")
def conv_codes() -> ls.CodebookGenerator:
    """A small convolutional decoder of random codes, in float64."""
    with training.initialised(3):
        net = nn.Sequential(nn.Conv2d(4, 8, 3, padding=1), nn.Tanh(), nn.ConvTranspose2d(8, 1, 2, stride=2)).double()
        codebook = torch.randn(12, 4, dtype=torch.float64)
    return ls.CodebookGenerator(net.eval(), codebook, shape=(3, 3))


def literal_algorithm(generator, goal, z0: Tensor, alpha: float, patience: int, single: bool) -> tuple[list, int, str]:
    """Algorithms 2 and 3 as the pseudocode has them, one row, one step at a time."""
    seen: set[tuple[int, ...]] = set()
    codebook = Codebook(generator.codebook)
    e = codebook.lookup(z0)
    z = codebook.nearest(e)
    steps, grids = 0, []
    while tuple(z.flatten().tolist()) not in seen:
        seen.add(tuple(z.flatten().tolist()))
        grids.append(z.clone())
        leaf = codebook.lookup(z).requires_grad_()
        loss = goal(generator.decode_embedding(leaf), z).loss.sum()
        (gradient,) = torch.autograd.grad(loss, leaf)
        if single:
            norms = gradient.flatten(1, 2).norm(dim=-1)
            mask = torch.nn.functional.one_hot(norms.argmax(1), norms.shape[1]).view(1, 3, 3, 1)
            gradient = gradient * mask
        count, new = 0, z
        while torch.equal(new, z):
            if count > patience:
                return grids, steps, "STALLED"
            e = e - alpha * gradient
            new = codebook.nearest(e)
            count += 1
            steps += 1
        z = new
    return grids, steps, "REPEATED"


@pytest.mark.parametrize("single", [False, True])
@pytest.mark.parametrize("seed", range(6))
def test_code_descent_is_algorithms_2_and_3(conv_codes, single, seed):
    noise = ls.Noise.from_seed(seed, 1)
    z0, target = noise.integers(12, 3, 3), conv_codes.decode(noise.fold(1).integers(12, 3, 3)).detach()
    goal = ls.Matches(target)
    grids, steps, status = literal_algorithm(conv_codes, goal, z0, 0.3, 2000, single)

    seen: list[Tensor] = []
    states: list[CodeState] = []

    def record(step: ls.Step) -> None:
        seen.append(step.latent[0])
        states.append(step.state)

    method = (ls.SinglePositionSearch if single else ls.StraightThroughSearch)(lr=0.3, patience=2000)
    result = method.search(conv_codes, goal, init=z0, seed=0, run=ls.Run(evaluations=None, callbacks=[record]))
    assert result.status[0].name == status
    unique = seen[:-1] if status == "REPEATED" else seen
    assert [g.flatten().tolist() for g in grids] == [g.flatten().tolist() for g in unique]
    counted = states[-1].steps if status == "STALLED" else states[-2].steps
    assert int(counted) == steps


@given(seed=st.integers(0, 10_000), scale=st.sampled_from([1e-3, 0.05, 1.0]))
@settings(max_examples=50)
def test_flips_are_foreseen(seed, scale):
    """The number of steps to the first flip is the number that stepping finds."""
    noise = ls.Noise.from_seed(seed, 3)
    codebook = Codebook(noise[:1].normal(8, 4, dtype=torch.float64)[0])
    e, step = noise.fold(1).normal(2, 4, dtype=torch.float64), scale * noise.fold(2).normal(2, 4, dtype=torch.float64)
    z = codebook.nearest(e)
    foreseen = steps_to_flip(codebook, e, z, step)
    for row in range(3):
        count = float(foreseen[row])
        if count > 1e6:
            continue
        before, after = (codebook.nearest(e[row] - n * step[row]) for n in (count - 1, count))
        assert torch.equal(before, z[row]) and not torch.equal(after, z[row])


def test_patience_is_a_stall_and_not_a_repeat():
    toy = toys.codes(problems=2)
    result = ls.StraightThroughSearch(lr=1e-6, patience=10).search(toy.generator, toy.constraint, seed=0)
    assert {s.name for s in result.status} == {"STALLED"}
    assert result.evaluations.tolist() == [2, 2]


def test_carrying_on_passes_the_repeat(conv_codes):
    noise = ls.Noise.from_seed(0, 6)
    goal = ls.Matches(conv_codes.decode(noise.integers(12, 3, 3)).detach())
    stop = ls.StraightThroughSearch(lr=3.0).search(conv_codes, goal, seed=0)
    go_on = ls.StraightThroughSearch(lr=3.0, on_repeat="continue").search(
        conv_codes, goal, seed=0, run=ls.Run(evaluations=200)
    )
    assert {s.name for s in stop.status} == {"REPEATED"}
    assert (go_on.evaluations > stop.evaluations).all()
    assert (go_on.score.loss <= stop.score.loss).all()


def test_a_snapped_grid_that_one_step_does_not_change_is_a_stall():
    toy = toys.codes(problems=2)
    result = ls.StraightThroughSearch(lr=1e-4, snap=True).search(toy.generator, toy.constraint, seed=0)
    assert {s.name for s in result.status} == {"STALLED"} and result.evaluations.tolist() == [2, 2]


def test_single_position_changes_one_code_at_a_time():
    toy = toys.codes(problems=3, shape=(3, 3))
    grids: list[Tensor] = []
    ls.SinglePositionSearch(lr=0.5).search(
        toy.generator, toy.constraint, seed=0, run=ls.Run(steps=3, callbacks=[lambda s: grids.append(s.latent)])
    )
    changes = (grids[1] != grids[0]).flatten(1).sum(1)
    assert (changes <= 1).all() and (changes == 1).any()


@pytest.mark.parametrize("curvature", [0.0, 1.0])
def test_relaxed_search_comes_within_rounding_of_the_planted_grid(curvature):
    for toy in (toys.codes(problems=8), toys.codes(problems=5, shape=(4, 4), codebook_size=16)):
        result = ls.RelaxedSearch(curvature=curvature).search(toy.generator, toy.constraint, seed=0)
        assert (result.latent == toy.solution).float().mean() > 0.85
        assert (result.score.loss < 1e-4).all()


def test_the_price_on_the_spread_saves_what_the_arg_max_loses():
    images = zoo.images()[0][:8]
    codes = ls.wrap(zoo.load("mnist-vqvae-512"))

    def loss(curvature: float) -> float:
        search = ls.RelaxedSearch(curvature=curvature)
        return float(search.search(codes, ls.Matches(images), seed=0, run=ls.Run(evaluations=100)).score.loss.mean())

    assert loss(1.0) < 0.97 * loss(0.0)


@pytest.mark.parametrize("scale", [1e-8, 1e4])
def test_relaxed_search_does_not_care_for_the_scale_of_the_loss(scale):
    images = zoo.images()[0][:4]
    codes, goal = ls.wrap(zoo.load("mnist-vqvae-40")), ls.Matches(images)
    run = ls.Run(evaluations=100)
    plain = ls.RelaxedSearch().search(codes, goal, seed=0, run=run).score.loss
    scaled = ls.RelaxedSearch().search(codes, scale * goal, seed=0, run=run).score.loss / scale
    assert torch.allclose(plain, scaled, rtol=0.15)


@pytest.mark.parametrize("budget", [24, 45, 100, 300])
def test_the_relaxed_schedule_fits_the_budget(budget):
    toy, run = toys.codes(), ls.Run(evaluations=budget)
    fitted = ls.RelaxedSearch().search(toy.generator, toy.constraint, seed=0, run=run)
    assert {status.name for status in fitted.status} == {"FINISHED"}
    assert (budget - fitted.evaluations < 21).all()  # ten steps and a check more would not have been paid for


def test_problems_of_different_budgets_have_schedules_of_their_own():
    toy = toys.codes(problems=2)
    seeds = ls.problem_seeds(3, 2)
    both = ls.RelaxedSearch().search(toy.generator, toy.constraint, seed=seeds, run=ls.Run(evaluations=[50, 190]))
    for problem, budget in enumerate((50, 190)):
        constraint = toy.constraint.select(torch.tensor([problem]))
        alone = ls.RelaxedSearch().search(
            toy.generator, constraint, seed=[seeds[problem]], run=ls.Run(evaluations=budget)
        )
        assert torch.equal(alone.latent[0], both.latent[problem]) and alone.evaluations[0] == both.evaluations[problem]


def test_relaxed_search_reports_hard_codes_only():
    toy = toys.codes(problems=2)
    proposals = []
    ls.RelaxedSearch(steps=10, check_every=4).search(
        toy.generator, toy.constraint, seed=0, run=ls.Run(callbacks=[lambda s: proposals.append(s.latent)])
    )
    assert [p is not None for p in proposals] == [
        True,
        False,
        False,
        False,
        True,
        False,
        False,
        False,
        True,
        False,
        True,
    ]
    assert all(p.dtype == torch.int64 for p in proposals if p is not None)


def test_random_search_is_the_best_of_the_prior():
    toy = toys.codes(problems=2)
    result = ls.RandomSearch(batch=8).search(toy.generator, toy.constraint, seed=0, run=ls.Run(evaluations=1000))
    # 625 grids and 1000 draws: the solution itself is met with probability 0.8.
    assert (result.score.loss < 0.02).all()


def test_random_search_takes_constraints_without_a_gradient():
    toy = toys.codes(problems=1)
    constraint = ls.Satisfies(lambda z: (z == 0).flatten(1).sum(1) == 2, of="latent", boolean=True, name="two zeros")
    result = ls.RandomSearch().search(toy.generator, constraint, seed=0)
    assert result.status[0] == ls.Status.SATISFIED
    assert int((result.latent == 0).sum()) == 2


def test_restarts_find_what_one_start_does_not():
    generator = ls.ContinuousGenerator(lambda z: (3 * z).sin() + 0.1 * z.square(), (1,))
    goal = ls.Satisfies(lambda x: x[:, 0])
    one = ls.GradientSearch().search(generator, goal, init=torch.tensor([[4.0]]), seed=0, run=ls.Run(evaluations=400))
    many = ls.GradientSearch(restarts=8).search(
        generator, goal, init=torch.tensor([[4.0]]), seed=0, run=ls.Run(evaluations=3200)
    )
    assert float(many.score.loss) < float(one.score.loss) - 0.5
    assert torch.equal(many.candidates.latent[0, 0], one.latent[0])  # the first restart starts at init


@pytest.mark.parametrize("optimizer", [torch.optim.SGD, torch.optim.Adam, torch.optim.RMSprop, torch.optim.AdamW])
def test_any_row_local_optimiser_will_do(optimizer):
    toy = toys.bowl()
    result = ls.GradientSearch(optimizer=partial(optimizer, lr=0.1)).search(toy.generator, toy.constraint, seed=0)
    assert (result.score.loss < 0.05).all()


RELAXATIONS = {
    "straight-through": relaxations.StraightThrough,
    "gumbel-softmax": relaxations.GumbelSoftmax,
    "gumbel-softmax, hard": lambda tau: relaxations.GumbelSoftmax(tau, hard=True),
    "gumbel-rao": lambda tau: relaxations.GumbelRao(tau, samples=4),
    "reinmax": lambda tau: relaxations.ReinMax(),
    "direct": lambda tau: relaxations.DirectArgmax(-10.0),
    "direct, likeliest": lambda tau: relaxations.DirectArgmax(-10.0, top=2),
    "local expectation": lambda tau: relaxations.LocalExpectation(),
    "rloo": lambda tau: relaxations.Rloo(4),
    "rebar": relaxations.Rebar,
}


@pytest.mark.parametrize("name", RELAXATIONS)
def test_any_estimator_relaxes_a_search_within_its_budget(name):
    toy = toys.codes()
    search = ls.RelaxedSearch(relaxation=RELAXATIONS[name], temperature=(1.0, 0.3))
    result = search.search(toy.generator, toy.constraint, seed=0, run=ls.Run(evaluations=2000))
    start = ls.RandomSearch(batch=1).search(toy.generator, toy.constraint, seed=0, run=ls.Run(steps=1))
    assert (result.evaluations <= 2000).all() and (result.evaluations > 1000).all()
    assert (result.score.loss < 0.5 * start.score.loss).all()


def test_a_dear_relaxation_is_checked_before_the_rows_end():
    """Every tenth step would be once in 1,000 evaluations, and a search of 500 would end where it began."""
    toy = toys.codes()
    search = ls.RelaxedSearch(relaxation=relaxations.LocalExpectation(), temperature=(1.0, 0.3))
    result = search.search(toy.generator, toy.constraint, seed=0, run=ls.Run(evaluations=500))
    assert (result.score.loss < result.trace.loss_at(1)).all()


@pytest.mark.parametrize("relaxation", [relaxations.ReinMax(), relaxations.Rloo(2)])
def test_an_estimator_may_be_given_in_place_of_its_factory(relaxation):
    toy = toys.codes()
    run = ls.Run(evaluations=200)
    found = ls.RelaxedSearch(relaxation=relaxation).search(toy.generator, toy.constraint, seed=0, run=run)
    made = ls.RelaxedSearch(relaxation=lambda tau: relaxation).search(toy.generator, toy.constraint, seed=0, run=run)
    assert torch.equal(found.latent, made.latent)


def test_a_relaxation_that_is_none_is_refused():
    with pytest.raises(ls.InvalidArgument, match=r"RelaxedSearch\.relaxation"):
        ls.RelaxedSearch(relaxation=relaxations.Reinforce)
