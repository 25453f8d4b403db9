"""Critics and actors: what they compute, what they learn on toys, and the searches that use them."""

from __future__ import annotations

import importlib
import math
import re
from functools import partial

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

import latentsearch as ls
from latentsearch import models, training
from latentsearch.critics import Actor, ActorCritic, AttributeCritic, Critic, RealismCritic, RewardedActor, ValueCritic
from latentsearch.critics._adversarial import as_data, as_made, gradient_penalty
from latentsearch.critics._distance import distance_penalty
from latentsearch.models import LatentNetwork
from latentsearch.priors import StandardNormal, UniformCodes
from latentsearch.testing import toys

PLANE = ls.Continuous((2,))
PRIOR = StandardNormal((2,))


def normal(*shape: int, seed: int = 0) -> Tensor:
    return ls.Noise.from_seed(seed).normal(*shape)[0]


def made(model: type[nn.Module], *arguments, **settings):
    with training.initialised(0):
        return model(*arguments, **settings)


# -- networks ----------------------------------------------------------------------------------------


def test_an_actor_mixes_where_it_stands_with_where_it_would_go():
    actor, z = made(Actor, PLANE, width=8), normal(5, 2)
    target, gate = actor.network(z).chunk(2, 1)
    gate = gate.sigmoid()
    assert torch.allclose(actor(z), (1 - gate) * z + gate * target)
    with torch.no_grad():
        actor.network.last.weight.zero_()
        actor.network.last.bias.copy_(torch.tensor([9.0, 9.0, -50.0, 50.0]))
    moved = actor(z)
    assert torch.allclose(moved[:, 0], z[:, 0]) and torch.allclose(moved[:, 1], torch.full((5,), 9.0))


def test_labels_are_asked_for_and_matter():
    actor, z = made(Actor, PLANE, labels=3, width=8), normal(4, 2)
    one, other = (actor(z, actor.one_hot(k).expand(4, -1)) for k in (0, 1))
    assert not torch.allclose(one, other)
    assert actor.one_hot(2).tolist() == [0, 0, 1]
    with pytest.raises(ls.InvalidArgument, match=r"labels: got none, expected \(3,\), or one a row, \(4, 3\)"):
        actor(z)
    with pytest.raises(ls.InvalidArgument, match="labels"):
        actor(z, torch.ones(4, 2))


def test_a_network_sees_hard_codes_as_one_hot_ones_and_white_vectors():
    codes = ls.Discrete((2, 2), 5)
    network, z = made(LatentNetwork, codes, 3, width=8), ls.Noise.from_seed(0, 4).integers(5, 2, 2)
    assert torch.allclose(network(z), network(codes.one_hot(z, torch.float32)), atol=1e-6)
    latents = normal(500, 2) * torch.tensor([10.0, 0.1]) + 3
    seen = made(LatentNetwork, PLANE, 1, width=8).calibrated(latents).features(latents)
    assert torch.allclose(seen.mean(0), torch.zeros(2), atol=1e-4) and torch.allclose(
        torch.cov(seen.T), torch.eye(2), atol=1e-2
    )


def test_an_actor_over_codes_is_refused():
    with pytest.raises(ls.Unsupported, match="GaussianCodes"):
        Actor(ls.Discrete((2, 2), 5))


# -- losses ------------------------------------------------------------------------------------------


def test_the_adversarial_losses_are_those_of_their_papers():
    logits = torch.tensor([-1.0, 0.0, 2.0])
    assert float(as_data(logits, "cross-entropy")) == pytest.approx(float(-logits.sigmoid().log().mean()))
    assert float(as_made(logits, "cross-entropy")) == pytest.approx(float(-(1 - logits.sigmoid()).log().mean()))
    assert float(as_data(logits, "wasserstein")) == -float(as_made(logits, "wasserstein"))


def test_the_penalty_of_a_linear_critic_is_how_far_its_slope_is_from_1():
    slope = torch.tensor([3.0, 4.0])
    found = gradient_penalty(lambda z: z @ slope, normal(6, 2), normal(6, 2, seed=1), ls.Noise.from_seed(0))
    assert float(found.detach()) == pytest.approx(16.0)
    # A critic that says nothing has no slope, and a gradient all the same.
    flat = nn.Linear(2, 1)
    nn.init.zeros_(flat.weight)
    gradient_penalty(lambda z: flat(z)[:, 0], normal(6, 2), normal(6, 2, seed=1), ls.Noise.from_seed(0)).backward()
    assert flat.weight.grad.isfinite().all()


def test_the_distance_is_the_papers_as_a_mean_over_dimensions():
    before, after, spread = torch.zeros(1, 2), torch.tensor([[1.0, 3.0]]), torch.tensor([0.5, 2.0])
    expected = (math.log(2) / 0.25 + math.log(10) / 4) / 2
    assert float(distance_penalty(before, after, spread)) == pytest.approx(expected)
    near = ls.Near(before, metric="log", scale=spread.square()[None])
    assert float(near(after, after).loss) == pytest.approx(expected)


def test_a_pair_of_equal_critics_pays_what_a_coin_costs():
    pair = ActorCritic(made(Actor, PLANE, width=8), made(Critic, PLANE, width=8), PRIOR, spread=0.5, distance=0.3)
    with torch.no_grad():
        for parameter in pair.critic.network.last.parameters():
            parameter.zero_()
    terms = pair.training_terms(normal(40, 2), ls.Noise.from_seed(0))
    critic, actor = ({name: term.detach() for name, term in terms[part]().items()} for part in ("critic", "actor"))
    assert float(critic["data"]) == float(critic["made"]) == pytest.approx(math.log(2))
    assert float(critic["prior"]) == pytest.approx(0.1 * math.log(2))
    assert float(critic["penalty"]) == pytest.approx(10, rel=1e-4)
    z = PRIOR.sample(ls.Noise.from_seed(0).fold(1).split(40))
    away = distance_penalty(z, pair.actor(z).detach(), pair.spread)
    assert float(actor["distance"]) == pytest.approx(0.3 * float(away))


def test_an_actor_pays_a_critic_of_attributes_too_and_for_squares_where_asked():
    actor, critic = made(Actor, PLANE, labels=2, width=8), made(Critic, PLANE, labels=2, width=8)
    known = made(AttributeCritic, PLANE, 2, width=8)
    pair = ActorCritic(actor, critic, PRIOR, spread=0.5, distance=0.3, metric="l2", attributes=known, realism=0.25)
    labels, noise = F.one_hot(torch.arange(40) % 2).float(), ls.Noise.from_seed(0)
    terms = pair.training_terms(normal(40, 2), labels, noise)["actor"]()
    z, asked = pair._asked(normal(40, 2), labels, noise)
    made_of = actor(z, asked)
    assert torch.allclose(terms["attributes"], F.cross_entropy(known(made_of), asked.argmax(1)))
    assert torch.allclose(terms["distance"], 0.3 * ((made_of - z) / 0.5).square().mean())
    assert torch.allclose(terms["critic"], 0.25 * F.softplus(-critic(made_of, asked)).mean())


def test_an_actor_is_asked_for_the_labels_of_other_data():
    actor, critic = made(Actor, PLANE, labels=40, width=8), made(Critic, PLANE, labels=40, width=8)
    labels = torch.eye(40)
    z, asked = ActorCritic(actor, critic, PRIOR, spread=1.0)._asked(normal(40, 2), labels, ls.Noise.from_seed(0))
    assert z.shape == (40, 2) and not torch.equal(asked, labels)
    assert torch.equal(asked.sum(0), torch.ones(40)) and torch.equal(asked.sum(1), torch.ones(40))


LABELLED = {"actor": Actor(PLANE, labels=2, width=8), "critic": Critic(PLANE, labels=2, width=8)}


@pytest.mark.parametrize(
    ("settings", "match"),
    [
        ({"critic": Critic(ls.Continuous((3,)), width=8)}, "one space for all"),
        ({"critic": Critic(PLANE, labels=2, width=8)}, "actor with 0 labels and a critic with 2"),
        ({"prior": nn.Linear(1, 1)}, "ActorCritic.prior"),
        ({"divergence": "hinge"}, "'cross-entropy' or 'wasserstein'"),
        ({"metric": "l1"}, "ActorCritic.metric: got 'l1', expected 'log' or 'l2'"),
        ({"attributes": AttributeCritic(PLANE, 3, width=8)}, "critic of attributes, and no labels"),
        ({"attributes": AttributeCritic(PLANE, 3, width=8)} | LABELLED, "one of 3 labels over"),
        ({"attributes": Critic(PLANE, width=8)} | LABELLED, "got a Critic, expected an AttributeCritic of 2 labels"),
        ({"spread": 0.0}, "ActorCritic.spread.*from 0, expected a positive number"),
        ({"spread": torch.ones(3)}, "ActorCritic.spread"),
        ({"distance": -1.0}, "ActorCritic.distance: got -1.0"),
        ({"realism": math.nan}, "ActorCritic.realism"),
    ],
)
def test_pairs_that_do_not_fit_are_refused(settings, match):
    parts = {"actor": Actor(PLANE, width=8), "critic": Critic(PLANE, width=8), "prior": PRIOR, "spread": 1.0} | settings
    with pytest.raises(ls.InvalidArgument, match=match):
        ActorCritic(**parts)


# -- what they learn ---------------------------------------------------------------------------------


def turns(steps=1):
    adam = partial(torch.optim.Adam, lr=3e-3, betas=(0.5, 0.9))
    return {
        "critic": training.Group(lambda pair: pair.critic.parameters(), adam, steps),
        "actor": training.Group(lambda pair: pair.actor.parameters(), adam),
    }


def test_an_actor_learns_to_make_data_and_a_penalty_keeps_it_near():
    data = 0.3 * normal(1000, 2) + torch.tensor([2.0, 0.0])
    z, moved = PRIOR.sample(ls.Noise.from_seed(3, 500)), {}
    for distance in (0.0, 3.0):
        actor, critic = made(Actor, PLANE, width=32), made(Critic, PLANE, width=32).calibrated(data)
        pair = ActorCritic(actor, critic, PRIOR, spread=1.0, distance=distance)
        ls.fit(pair, (data,), ls.Fit(400, batch_size=64, optimizer=turns(), schedule=None, average=0.98, log_every=400))
        with torch.no_grad():
            moved[distance] = pair.actor(z)
    made_mean, made_spread = moved[0.0].mean(0), moved[0.0].std(0)
    assert (made_mean - data.mean(0)).abs().max() < 0.25 and made_spread.max() < 0.7
    assert (moved[3.0] - z).square().mean() < 0.5 * (moved[0.0] - z).square().mean()


def test_a_realism_critic_is_higher_at_data_than_at_draws_and_at_what_a_search_by_it_finds():
    data = 0.3 * normal(1000, 2) + torch.tensor([2.0, 0.0])
    critic = made(RealismCritic, PRIOR, width=32, inner_steps=10, penalty=1.0).calibrated(data)
    z = PRIOR.sample(ls.Noise.from_seed(3, 200))
    found = critic.searched(z, ls.Noise.from_seed(1))
    assert (critic(found) > critic(z)).float().mean() > 0.95
    adam = partial(torch.optim.Adam, lr=3e-3)
    ls.fit(critic, (data,), ls.Fit(150, batch_size=64, optimizer=adam, schedule=None, log_every=150))
    with torch.no_grad():
        assert critic(data).mean() > critic(z).mean() + 0.5
        aimed = critic.searched(z, ls.Noise.from_seed(1))
        assert (aimed - data.mean(0)).norm(dim=1).median() < (z - data.mean(0)).norm(dim=1).median()


def test_a_value_critic_learns_the_mean_reward():
    z = torch.zeros(400, 2)
    rewards = torch.cat([torch.full((300,), 0.5), torch.ones(100)])
    critic = made(ValueCritic, PLANE, width=8)
    adam = partial(torch.optim.Adam, lr=2e-2)
    ls.fit(critic, (z, rewards), ls.Fit(150, batch_size=400, optimizer=adam, log_every=150))
    assert float(critic(z[:1]).detach().sigmoid()) == pytest.approx(0.625, abs=0.02)
    with pytest.raises(ls.InvalidArgument, match="rewards from 0 to 2"):
        critic.training_terms(z, torch.linspace(0, 2, 400), ls.Noise.from_seed(0))


def test_a_temperature_makes_probabilities_those_of_held_out_labels():
    """Labels are right with probability 0.8, and a network is far too sure."""
    critic = made(AttributeCritic, PLANE, 2, width=8)
    sure = torch.tensor([[10.0, -10.0]]).expand(1000, 2)
    critic.network.forward = lambda z: sure[: len(z)]
    labels = (torch.arange(1000) % 5 == 0).long()
    critic.heated(torch.zeros(1000, 2), labels)
    assert float(critic(torch.zeros(1, 2)).softmax(1)[0, 0].detach()) == pytest.approx(0.8, abs=1e-3)


def test_noise_in_training_has_three_levels_of_the_spread_and_codes_are_exchanged():
    critic = made(AttributeCritic, PLANE, 2, width=8).calibrated(normal(10, 2), spread=torch.tensor([1.0, 4.0]))
    away = critic.noised(torch.zeros(6000, 2), ls.Noise.from_seed(0))
    still = (away == 0).all(1)
    assert float(still.double().mean()) == pytest.approx(1 / 3, abs=0.03)
    assert float(away[:, 1].std() / away[:, 0].std()) == pytest.approx(4, rel=0.1)
    assert float(away[:, 0].square().mean()) == pytest.approx((0 + 0.25 + 1) / 3, rel=0.1)
    space, z = ls.Discrete((50,), 7), ls.Noise.from_seed(0, 300).integers(7, 50)
    of_codes = made(AttributeCritic, space, 2, width=8).calibrated(z, spread=0.4)
    changed = (of_codes.noised(z, ls.Noise.from_seed(1)) != z).double().mean()
    assert float(changed) == pytest.approx((0 + 0.2 + 0.4) / 3 * 6 / 7, abs=0.02)
    assert space.contains(of_codes.noised(z, ls.Noise.from_seed(1)))


# -- one line each -----------------------------------------------------------------------------------

BLOBS = normal(600, 2) * 0.3 + torch.tensor([[-2.0, 0.0], [2.0, 0.0]])[torch.arange(600) % 2]
SIDES = torch.arange(600) % 2
FLAT = ls.ContinuousGenerator(lambda z: z, (2,))


DROPOUT = nn.Dropout()


def with_posterior(posterior):
    """A decoder that says everything twice."""
    return ls.ContinuousGenerator(lambda z: z.repeat(1, 2), (2,), encode=lambda x: x[:, :2], posterior=posterior)


def sometimes_nan(outputs: Tensor) -> Tensor:
    return torch.where(outputs[:, 0] > 2.5, torch.nan, outputs[:, 0].sigmoid())


def mixing(outputs: Tensor) -> Tensor:
    return (outputs[:, 0] - outputs[:, 0].mean()).sigmoid()


def test_fit_critic_learns_classes_and_attributes_and_says_how_well():
    critic = ls.fit_critic(FLAT, BLOBS, SIDES, steps=60, width=32)
    assert critic.figures["accuracy"] > 0.95 and not critic.training
    assert not any(parameter.requires_grad for parameter in critic.parameters())
    assert critic(torch.tensor([[-2.0, 0.0], [2.0, 0.0]])).argmax(1).tolist() == [0, 1]
    both = torch.stack([SIDES == 1, BLOBS[:, 1] > 0], 1)
    attributes = ls.fit_critic(FLAT, BLOBS, both, steps=100, width=32, noise=0.5)
    assert not attributes.exclusive and attributes.figures["accuracy"] > 0.85
    result = ls.GradientSearch().search(
        FLAT, ls.HasAttributes(attributes, {0: True, 1: False}, threshold=0.8), init=torch.zeros(1, 2), seed=0
    )
    assert result.score.satisfied.all() and result.latent[0, 0] > 0 > result.latent[0, 1]


def test_what_is_fitted_to_are_draws_of_the_posterior_and_its_spread_is_the_unit_of_noise():
    encoder = with_posterior(lambda x: (x[:, :2], torch.full((len(x), 2), 0.1)))
    critic = ls.fit_critic(encoder, BLOBS.repeat(1, 2), SIDES, steps=20, width=8, noise=3.0)
    assert torch.allclose(critic.spread, torch.full((2,), 0.3))
    # Where nothing is known of it, a quarter of the spread of all latents.
    guessed = ls.fit_critic(FLAT, BLOBS, SIDES, steps=20, width=8, noise=4.0)
    assert torch.allclose(guessed.spread, BLOBS.std(0), rtol=1e-4)


def test_fit_actor_makes_samples_of_a_class():
    actor = ls.fit_actor(FLAT, BLOBS, SIDES, distance=0.0, steps=1400, batch_size=64, width=32)
    z = PRIOR.sample(ls.Noise.from_seed(5, 200))
    left, right = (actor(z, actor.one_hot(k).expand(200, -1))[:, 0] for k in (0, 1))
    assert (left < 0).double().mean() > 0.9 and (right > 0).double().mean() > 0.9


def test_an_actor_that_follows_a_critic_of_attributes_makes_them_of_nearer_latents():
    critic = ls.fit_critic(FLAT, BLOBS, SIDES, steps=200, width=32).train()
    before = {name: value.clone() for name, value in critic.state_dict().items()}
    z, wanted = PRIOR.sample(ls.Noise.from_seed(5, 200)), (torch.arange(200) % 2)
    moved, right = {}, {}
    for name, settings in {"plain": {}, "near": {"attributes": critic, "metric": "l2"}}.items():
        actor = ls.fit_actor(FLAT, BLOBS, SIDES, distance=0.02, steps=500, batch_size=64, width=32, **settings)
        made_of = actor(z, actor.one_hot(wanted))
        moved[name] = float((made_of - z).square().mean())
        right[name] = float(((made_of[:, 0] > 0).long() == wanted).double().mean())
    assert moved["near"] < moved["plain"] and right["near"] > max(right["plain"], 0.95)
    assert all(torch.equal(value, before[name]) for name, value in critic.state_dict().items())
    assert critic.training  # the caller's, as it was


def test_fit_actor_by_rule_keeps_a_rule_that_has_no_gradient():
    def inside(outputs: Tensor) -> Tensor:
        return torch.tensor([float(abs(x) > 1.5) for x in outputs[:, 0].tolist()])

    actor = ls.fit_actor_by_rule(FLAT, inside, distance=0.0, rounds=8, draws=800, steps=800, width=32)
    assert actor.figures["satisfied before"] < 0.2 and actor.figures["satisfied"] > 0.9
    assert actor.figures["reward"] == actor.figures["satisfied"]


class Dice:
    """A rule that throws anew each time."""

    def __init__(self) -> None:
        self.thrown = 0

    def __call__(self, outputs: Tensor) -> Tensor:
        self.thrown += 1
        return torch.full((len(outputs),), (self.thrown % 7) / 7)


def silent() -> ls.ContinuousGenerator:
    """Its prior gives draws and no density."""

    class Silent(StandardNormal):
        def log_prob(self, z: Tensor) -> Tensor:
            raise NotImplementedError("no density")

    return ls.ContinuousGenerator(lambda z: z, (2,), prior=Silent((2,)))


def test_an_actor_of_a_prior_with_an_edge_learns_and_a_flow_keeps_its_mode():
    square = torch.distributions.Independent(torch.distributions.Uniform(-torch.ones(2), torch.ones(2)), 1)
    generator = ls.ContinuousGenerator(lambda z: z, (2,), prior=ls.priors.DistributionPrior(square))
    actor = ls.fit_actor_by_rule(generator, lambda x: (x[:, 0] > 0.5).float(), **SHORT | {"steps": 600})
    assert actor.figures["reward"] > actor.figures["reward before"]
    flow = ls.priors.RealNVP((2,)).train()
    generator = ls.ContinuousGenerator(lambda z: z, (2,), prior=flow)
    ls.fit_actor_by_rule(generator, lambda x: (x[:, 0] > 0.5).float(), **SHORT)
    assert flow.training


SHORT = {"rounds": 2, "draws": 200, "steps": 120, "width": 16, "depth": 2}


def test_a_rule_may_write_into_what_it_is_given_and_sees_a_few_hundred_rows_at_a_time():
    seen = []

    def spoils(outputs: Tensor) -> Tensor:
        seen.append(len(outputs))
        rewards = (outputs[:, 0] > 0.5).float()
        outputs.zero_()
        return rewards

    plain = ls.fit_actor_by_rule(FLAT, lambda x: (x[:, 0] > 0.5).float(), **SHORT | {"draws": 1200})
    spoilt = ls.fit_actor_by_rule(FLAT, spoils, **SHORT | {"draws": 1200})
    assert spoilt.figures == plain.figures and max(seen) <= 500


def test_ctrl_c_ends_a_fit_by_rule_at_once_or_with_a_warning(monkeypatch):
    module = importlib.import_module("latentsearch.fitting.fit_actor_by_rule")
    calls = []

    def interrupted(at: int):
        def fit(model, data, plan, **settings):
            calls.append(plan.steps)
            history = ls.fit(model, data, plan, **settings)
            history.status = ls.Status.INTERRUPTED if len(calls) == at else history.status
            return history

        return fit

    monkeypatch.setattr(module, "fit", interrupted(1))
    with pytest.raises(KeyboardInterrupt, match="before the actor"):
        ls.fit_actor_by_rule(FLAT, lambda x: x[:, 0].sigmoid(), **SHORT)
    assert len(calls) == 1
    calls.clear()
    monkeypatch.setattr(module, "fit", interrupted(2))
    with pytest.warns(ls.FitWarning, match="interrupted"):
        ls.fit_actor_by_rule(FLAT, lambda x: x[:, 0].sigmoid(), **SHORT)


REFUSED = {
    "no generator": (lambda: ls.fit_critic(nn.Linear(1, 1), BLOBS, SIDES), "expected a Generator"),
    "classes of nothing": (lambda: ls.fit_critic(FLAT, BLOBS, SIDES * 10**7), "numbers them from 0"),
    "labels out of range": (lambda: ls.fit_critic(FLAT, BLOBS, SIDES - 3), "from -3 to -2"),
    "endless noise": (lambda: ls.fit_critic(FLAT, BLOBS, SIDES, noise=math.inf), "fit_critic.noise"),
    "spread": (lambda: ls.fit_actor_by_rule(FLAT, lambda x: x[:, 0].sigmoid(), spread=0.0), "fit_actor_by_rule.spread"),
    "a rule without a number": (lambda: ls.fit_actor_by_rule(FLAT, sometimes_nan), "a reward of nan"),
    "labels of other images": (lambda: ls.fit_critic(FLAT, BLOBS, SIDES[:5]), "fit_critic.labels: got an int64"),
    "floating classes": (lambda: ls.fit_critic(FLAT, BLOBS, SIDES.float()), r"labels\[:, None\] is one attribute"),
    "noise": (lambda: ls.fit_critic(FLAT, BLOBS, SIDES, noise=-1), "fit_critic.noise: got -1"),
    "held out": (lambda: ls.fit_critic(FLAT, BLOBS, SIDES, held_out=1.0), "fit_critic.held_out"),
    "distance": (lambda: ls.fit_actor(FLAT, BLOBS, distance=-0.1), "fit_actor.distance"),
    "a critic of other labels": (
        lambda: ls.fit_actor(FLAT, BLOBS, SIDES, attributes=AttributeCritic(PLANE, 3)),
        "fit_actor.attributes: got one of 3 labels",
    ),
    "attributes": (lambda: ls.fit_actor(FLAT, BLOBS, torch.full((600, 2), 2.0)), "fit_actor.labels"),
    "reward": (lambda: ls.fit_actor_by_rule(FLAT, lambda x: x[:, 0]), r"torch.exp\(-loss\)"),
    "rule of one number": (lambda: ls.fit_actor_by_rule(FLAT, lambda x: x.mean().sigmoid()), "rewards"),
    "rule that mixes": (lambda: ls.fit_actor_by_rule(FLAT, mixing), "each alone"),
    "random rule": (lambda: ls.fit_actor_by_rule(FLAT, Dice()), "the same rewards every time"),
    "rule of one column": (lambda: ls.fit_actor_by_rule(FLAT, lambda x: x[:, :1].sigmoid()), r"shape \(3, 1\)"),
    "rule that squeezes": (lambda: ls.fit_actor_by_rule(FLAT, lambda x: x[:, :1].sigmoid().squeeze()), "for 1 outputs"),
    "few draws": (lambda: ls.fit_actor_by_rule(FLAT, lambda x: x[:, 0].sigmoid(), draws=1), "fit_actor_by_rule.draws"),
    "few steps": (lambda: ls.fit_actor_by_rule(FLAT, lambda x: x[:, 0].sigmoid(), steps=83), "at least 84"),
    "no density": (lambda: ls.fit_actor_by_rule(silent(), lambda x: x[:, 0].sigmoid()), "a prior whose log_prob fails"),
    "a critic of attributes for classes": (
        lambda: ls.fit_actor(FLAT, BLOBS, SIDES, attributes=AttributeCritic(PLANE, 2, exclusive=False)),
        "a critic of attributes, and labels that are classes",
    ),
    "the metric of an actor": (lambda: ls.fit_actor(FLAT, BLOBS, metric="l1"), "fit_actor.metric: got 'l1'"),
    "no rule": (lambda: ls.fit_actor_by_rule(FLAT, 3), "got int"),
    "log-variances": (
        lambda: with_posterior(lambda x: (x[:, :2], -x[:, :2].abs() - 1)),
        r"\(log_variance / 2\).exp\(\)",
    ),
}


@pytest.mark.parametrize(("call", "match"), REFUSED.values(), ids=REFUSED)
def test_what_cannot_work_is_refused_before_any_training(call, match):
    with pytest.raises(ls.LatentSearchError, match=match):
        call()


@pytest.mark.parametrize(
    ("posterior", "match"),
    [
        (lambda x: x[:, :2], "got a Tensor"),
        (lambda x: torch.distributions.Normal(x[:, :2], 1.0), "q(x).mean"),
        (lambda x: (x, x), "mean and standard deviation"),
        (lambda x: x.no_such_thing(), "AttributeError"),
        (lambda x: (DROPOUT(x[:, :2]), torch.ones(len(x), 2)), "train mode"),
    ],
)
def test_a_posterior_is_looked_at_on_wrapping(posterior, match):
    with pytest.raises(ls.InvalidArgument, match=re.escape(match)):
        with_posterior(posterior)
    with pytest.raises(ls.InvalidArgument, match="posterior= for mean and standard deviation"):
        ls.ContinuousGenerator(lambda z: z, (2,), encode=lambda x: (x, x))


def test_critics_of_classes_and_of_attributes_are_not_taken_for_each_other():
    classes, attributes = (made(AttributeCritic, PLANE, 2, exclusive=each, width=8).eval() for each in (True, False))
    with pytest.raises(ls.InvalidArgument, match=r"ls\.Classified takes it"):
        ls.HasAttributes(classes, {0: True})
    with pytest.raises(ls.InvalidArgument, match=r"ls\.HasAttributes takes it"):
        ls.Classified(attributes, 0, of="latent")
    images = ls.ContinuousGenerator(lambda z: z.repeat(1, 2), (2,))
    with pytest.raises(ls.InvalidArgument, match='say of="latent"'):
        ls.RandomSearch().search(images, ls.Classified(classes, 0), seed=0)


def test_codes_have_critics_and_no_actors():
    toy = toys.codes(problems=1, shape=(3, 3))
    grids = ls.Noise.from_seed(0, 300).integers(5, 3, 3)
    critic = ls.fit_critic(toy.generator, grids, (grids[:, 1, 1] > 2).long(), steps=100, width=32)
    goal = ls.Classified(critic, 1, of="latent", threshold=0.9)
    result = ls.CoordinateSearch().search(toy.generator, goal, init=torch.zeros(1, 3, 3, dtype=torch.int64), seed=0)
    assert result.score.satisfied.all() and result.latent[0, 1, 1] > 2
    with pytest.raises(ls.Unsupported, match="continuous latents"):
        ls.fit_actor(toy.generator, grids)
    with pytest.raises(ls.InvalidArgument, match="NoiseContrastivePrior"):
        RealismCritic(UniformCodes(toy.generator.space))


# -- searches ----------------------------------------------------------------------------------------


def test_an_actors_answer_is_the_better_of_where_it_started_and_where_it_went():
    actor = made(Actor, ls.Continuous((4,)), width=8).eval()
    toy = toys.bowl(problems=3)
    start = normal(3, 4)
    result = ls.ActorSearch(actor).search(toy.generator, toy.constraint, init=start, seed=0)
    losses = torch.stack([toy.constraint(toy.generator.decode(z), z).loss for z in (start, actor(start).detach())])
    assert torch.equal(result.score.loss, losses.amin(0)) and result.steps == 1
    assert (result.evaluations == 2).all() and {status.name for status in result.status} == {"FINISHED"}
    on = ls.Then(ls.ActorSearch(actor), ls.GradientSearch()).search(toy.generator, toy.constraint, init=start, seed=0)
    assert (on.score.loss < result.score.loss).all()


def test_each_problem_asks_an_actor_for_its_own_label():
    actor = made(Actor, ls.Continuous((4,)), labels=3, width=8).eval()
    toy, labels = toys.bowl(problems=3), torch.eye(3)
    start = normal(3, 4)
    goal = ls.Satisfies(lambda z: -z.square().sum(1), of="latent")
    together = ls.ActorSearch(actor, labels).search(toy.generator, toy.constraint + 0 * goal, init=start, seed=0)
    for b in range(3):
        alone = ls.ActorSearch(actor, labels[b]).search(
            toy.generator, toy.constraint.select(torch.tensor([b])), init=start[b : b + 1], seed=0
        )
        assert torch.allclose(alone.latent[0], together.latent[b])


def searched(search: ls.Searcher) -> ls.SearchResult:
    return search.search(toys.bowl().generator, toys.bowl().constraint, seed=0)


@pytest.mark.parametrize(
    ("make", "match"),
    [
        (lambda: ls.ActorSearch(Actor), "got the class Actor, .*ls.fit_actor"),
        (lambda: ls.ActorSearch(Actor(PLANE, labels=3)), r"ActorSearch.label: got None, expected \(3,\) or \(B, 3\)"),
        (lambda: ls.ActorSearch(Actor(PLANE), torch.ones(2)), "takes no labels"),
        (lambda: ls.AttributeVectorSearch([1.0]), "AttributeVectorSearch.vector: got list"),
        (lambda: ls.AttributeVectorSearch(torch.ones(2), most=0), "most: got 0"),
        (
            lambda: searched(ls.ActorSearch(Actor(PLANE))),
            "expected one over the generator's latents",
        ),
        (
            lambda: searched(ls.AttributeVectorSearch(torch.ones(3))),
            r"AttributeVectorSearch.vector: got .*expected \(1, 4\)",
        ),
    ],
)
def test_searches_that_do_not_fit_are_refused(make, match):
    with pytest.raises(ls.LatentSearchError, match=match):
        make()


def test_an_attribute_vector_ends_with_the_least_of_it_that_is_enough():
    enough = ls.Satisfies(lambda x, least: least - x[:, 0], targets=torch.tensor([0.35, 1.0, 9.0])).below(0)
    search = ls.AttributeVectorSearch(torch.tensor([[1.0, 0.0]]), steps=20, most=2.0)
    result = search.search(FLAT, enough, init=torch.zeros(1, 2), seed=0)
    assert torch.allclose(result.latent[:, 0], torch.tensor([0.4, 1.0, 2.0]))
    assert [status.name for status in result.status] == ["SATISFIED", "SATISFIED", "FINISHED"]
    assert result.evaluations.tolist() == [5, 11, 21]


def test_wrap_hands_on_the_posterior_of_a_vae():
    with training.initialised(0):
        vae = models.VAE((1, 8, 8), width=2, channels=8).eval()
    generator, images = ls.wrap(vae), torch.rand(3, 1, 8, 8, generator=torch.Generator().manual_seed(0))
    mean, deviation = generator.posterior(images)
    assert torch.equal(mean, vae.posterior(images)[0]) and (deviation > 0).all()
    with pytest.raises(ls.Unsupported, match="posterior= on wrapping"):
        FLAT.posterior(images)


def test_a_rewarded_actor_pays_for_what_its_critic_says():
    pair = RewardedActor(
        made(Actor, PLANE, width=8), made(ValueCritic, PLANE, width=8), PRIOR, spread=1.0, distance=0.5
    )
    with torch.no_grad():
        pair.actor.network.last.bias[:2] += 3  # away from what is likely
    terms = pair.training_terms(normal(30, 2), torch.ones(30), ls.Noise.from_seed(0))["actor"]()
    z = PRIOR.sample(ls.Noise.from_seed(0).fold(1).split(30))
    disapproved = F.softplus(-pair.critic(pair.actor(z))).mean()
    assert torch.allclose(terms["critic"], disapproved)
    less_likely = (PRIOR.log_prob(z) - PRIOR.log_prob(pair.actor(z).detach())).clamp(min=0).mean()
    assert float(less_likely) > 0 and torch.allclose(terms["unlikely"], less_likely)
    with pytest.raises(ls.InvalidArgument, match="none with labels"):
        RewardedActor(Actor(PLANE, labels=2), ValueCritic(PLANE), PRIOR, spread=1.0)
