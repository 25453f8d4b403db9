"""Positions as arms: what is known of them, what is learnt from pulls, and where the pulls go."""

from __future__ import annotations

import itertools
import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

import latentsearch as ls
from latentsearch import zoo
from latentsearch.noise import Noise
from latentsearch.searchers.swaps._linucb import LinearBandit
from latentsearch.searchers.swaps.bandit import features, rewards
from latentsearch.testing import toys

PRIOR = torch.tensor([0.0, 1.0], dtype=torch.float64)


def rugged(problems: int) -> tuple[toys.CodeGenerator, ls.Matches]:
    """Outputs are products of neighbouring codes, so that codes depend on each other."""

    class Rugged(toys.CodeGenerator):
        def decode_embedding(self, e: Tensor) -> Tensor:
            e = 2 * e[..., 0] - 1
            return e * e.roll(1, -1) + 0.3 * e

    return Rugged((3, 3), 4), ls.Matches(Noise.from_seed(0, problems).normal(3, 3))


# -- the search ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("settings", [{}, {"arms": 2, "codes": 3}, {"arms": 1, "codes": 1, "exploration": 0.0}])
def test_it_finds_the_planted_grid(settings):
    for toy in (toys.codes(problems=8), toys.codes(problems=5, shape=(4, 4), codebook_size=16)):
        result = ls.BanditSearch(**settings).search(toy.generator, toy.constraint, seed=0, run=ls.Run(evaluations=2000))
        assert (result.score.loss <= 1e-6).all()


def test_an_optimal_grid_has_no_better_neighbour():
    generator, goal = rugged(6)
    search = ls.BanditSearch(arms=3, codes=2, patience=None)
    result = search.search(generator, goal, seed=0, run=ls.Run(evaluations=3000))
    assert {status.name for status in result.status} == {"OPTIMAL"}
    for problem, (position, code) in itertools.product(range(6), itertools.product(range(9), range(4))):
        grid = result.latent[problem : problem + 1].clone()
        grid.view(-1)[position] = code
        loss = goal.select(torch.tensor([problem]))(generator.decode(grid), grid).loss
        assert loss[0] >= result.score.loss[problem] - 1e-6


def test_patience_ends_a_row_before_all_was_tried():
    generator, goal = rugged(4)
    result = ls.BanditSearch(arms=2, codes=1, patience=4).search(generator, goal, seed=0, run=ls.Run(evaluations=3000))
    assert {status.name for status in result.status} == {"STALLED"}


def test_every_change_is_an_improvement():
    generator, goal = rugged(1)
    losses: list[float] = []
    grids: list[tuple[int, ...]] = []

    def record(step: ls.Step) -> None:
        assert step.loss is not None and step.latent is not None
        losses.append(float(step.loss[0]))
        grids.append(tuple(step.latent.flatten().tolist()))

    ls.BanditSearch(arms=3).search(generator, goal, seed=0, run=ls.Run(evaluations=400, callbacks=[record]))
    for (a, b), (before, after) in zip(itertools.pairwise(grids), itertools.pairwise(losses), strict=True):
        assert after < before if a != b else after == before


class Waves(toys.CodeGenerator):
    """Outputs go up and down with the codes, so that the gradient seldom knows the way."""

    def decode_embedding(self, e: Tensor) -> Tensor:
        return (20 * e[..., 0]).sin()


def pulls(generator: ls.Generator, goal: ls.Constraint, where: Tensor, arms: int) -> tuple[Tensor, Tensor]:
    """``(steps, B)``: the share of pulls that went to positions ``(P,)`` bool; and losses, steps before the last."""
    pulled: list[Tensor] = []
    losses: list[Tensor] = []

    def record(step: ls.Step) -> None:
        assert step.loss is not None
        pulled.append((step.state.age == 0)[:, where].double().sum(1) / arms)
        losses.append(step.loss)

    search = ls.BanditSearch(arms=arms, codes=1, patience=None)
    search.search(generator, goal, seed=0, run=ls.Run(steps=12, callbacks=[record], compact_every=99))
    return torch.stack(pulled[1:]), torch.stack(losses[:-1])


def test_pulls_go_where_the_loss_is_made():
    """Of sixteen positions four make the loss: while there is any, most pulls go there, by chance a quarter."""
    generator, where = Waves((4, 4), 64), torch.zeros(16, dtype=torch.bool)
    where[[2, 7, 8, 12]] = True
    solution = Noise.from_seed(5, 8).integers(64, 4, 4)
    goal = ls.Matches(generator.decode(solution), mask=where.float().view(1, 4, 4))
    share, loss = pulls(generator, goal, where, arms=3)
    assert float(share[loss > 1e-3].mean()) > 0.5


def test_arms_whose_predictions_do_not_come_true_are_pulled_less(monkeypatch):
    """The codes of the first row have a gradient and no effect: that predictions there are wrong is learnt."""

    class Liars(Waves):
        def decode_embedding(self, e: Tensor) -> Tensor:
            truth = super().decode_embedding(e)
            false = 60 * (e[..., :1, :, 0] - e[..., :1, :, 0].detach())
            return torch.cat([false + 0.5, truth[..., 1:, :]], -2)

    generator, where = Liars((4, 4), 64), torch.arange(16) < 4
    goal = ls.Matches(Noise.from_seed(5, 8).uniform(4, 4))
    learning = pulls(generator, goal, where, arms=3)[0].mean()
    monkeypatch.setattr(LinearBandit, "update", lambda bandit, *_: bandit)
    trusting = pulls(generator, goal, where, arms=3)[0].mean()
    assert float(learning) < 0.6 * float(trusting), (learning, trusting)


@pytest.mark.parametrize("scale", [1e-6, 1e4])
def test_the_scale_of_the_loss_does_not_matter(scale):
    images = zoo.images()[0][:4]
    codes, goal = ls.wrap(zoo.load("mnist-vqvae-40")), ls.Matches(images)
    run = ls.Run(evaluations=150)
    plain = ls.BanditSearch().search(codes, goal, seed=0, run=run).score.loss
    scaled = ls.BanditSearch().search(codes, scale * goal, seed=0, run=run).score.loss / scale
    assert torch.allclose(plain, scaled, rtol=0.15)


# -- what is known of an arm ---------------------------------------------------------------------------


def test_the_context_is_norm_age_and_prediction():
    gradient = torch.zeros(1, 2, 2, 3)
    gradient[0, :, :, 1] = torch.tensor([[1.0, math.sqrt(2.0)], [0.0, 1.0]])
    age = torch.tensor([[0, 1, 2, 3]])
    predicted = torch.tensor([[1.0, 3.0, -2.0, -torch.inf]])
    context, unit = features(gradient, age, predicted)
    assert context[0, :, 0].tolist() == [1, 1, 1, 1]
    assert context[0, :, 1].tolist() == pytest.approx([0.0, math.log(2) / 2, math.log(1e-4) / 2, 0.0])
    assert context[0, :, 2].tolist() == pytest.approx([math.log(n) for n in (1, 2, 3, 4)])
    assert float(unit) == pytest.approx(2.0) and context[0, :, 3].tolist() == pytest.approx([0.5, 1.5, -1.0, 0.0])


@given(st.integers(0, 10_000), st.floats(1e-6, 1e6))
@settings(max_examples=30, deadline=None)
def test_the_context_does_not_depend_on_the_scale_of_the_loss(seed, scale):
    noise = Noise.from_seed(seed, 2)
    gradient, predicted = noise.normal(3, 2, 5, dtype=torch.float64), noise.fold(1).normal(6, dtype=torch.float64)
    age = noise.fold(2).integers(9, 6)
    plain, unit = features(gradient, age, predicted)
    scaled, other = features(scale * gradient, age, scale * predicted)
    assert torch.allclose(plain, scaled) and torch.allclose(other, scale * unit)


def test_an_arm_gives_what_its_best_swap_gains():
    # Five swaps go round three arms; the third arm's only swap was tried before.
    change = torch.tensor([[-1.0, 2.0, -9.0, -4.0, torch.nan]])
    new = torch.tensor([[True, True, False, True, True]])
    reward, pulled = rewards(change, new, 3)
    assert reward.tolist() == [[4.0, 0.0, 0.0]] and pulled.tolist() == [[True, True, False]]


# -- what is learnt ------------------------------------------------------------------------------------


@given(st.integers(0, 10_000))
@settings(max_examples=30, deadline=None)
def test_coefficients_are_those_of_ridge_regression_towards_the_guess(seed):
    noise = Noise.from_seed(seed, 2)
    context, reward = noise.normal(7, 2, dtype=torch.float64), noise.fold(1).normal(7, dtype=torch.float64)
    bandit = LinearBandit.unknown(2, 2, context[:, 0, 0]).update(
        context, reward, torch.ones(2, 7, dtype=torch.bool), 0.9
    )
    found, covariance = bandit.coefficients(PRIOR)
    for row in range(2):
        x, y = context[row], reward[row]
        inverse = torch.linalg.inv(x.T @ x + torch.eye(2, dtype=torch.float64))
        assert torch.allclose(covariance[row], inverse)
        assert torch.allclose(found[row], inverse @ (x.T @ y + PRIOR))


def test_old_rewards_fade_and_broken_ones_teach_nothing():
    context = torch.ones(1, 1, 2, dtype=torch.float64)
    yes, one = torch.ones(1, 1, dtype=torch.bool), torch.ones(1, 1, dtype=torch.float64)
    first = LinearBandit.unknown(1, 2, one[0]).update(context, one, yes, 0.5)
    second = first.update(context, 3 * one, yes, 0.5)
    assert second.moment.tolist() == [[3.5, 3.5]] and second.weight.tolist() == [1.5]
    for reward, pulled in ((torch.nan * one, yes), (torch.inf * one, yes), (one, ~yes)):
        faded = first.update(context, reward, pulled, 1.0)
        assert torch.equal(faded.gram, first.gram) and torch.equal(faded.moment, first.moment)


def test_what_is_unknown_may_give_more():
    seen, unseen = torch.tensor([1.0, 0.0], dtype=torch.float64), torch.tensor([0.0, 1.0], dtype=torch.float64)
    pulls, none = seen.expand(1, 50, 2), torch.zeros(1, 50, dtype=torch.float64)
    bandit = LinearBandit.unknown(1, 2, seen[:1]).update(pulls, none, none == 0, 1.0)
    both, nothing = torch.stack([seen, unseen])[None], 0 * PRIOR
    assert (bandit.upper_bound(both, nothing, 0.0) == 0).all()
    bound = bandit.upper_bound(both, nothing, 1.0)[0]
    assert bound[1] > 5 * bound[0] > 0
