"""A VAE with classes and styles: its shapes, its estimates, that it learns, and that it is searched."""

from __future__ import annotations

import math
import sys
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

import latentsearch as ls
from latentsearch import models, training
from latentsearch.models._mixed_loss import MixedLoss, softplus_sum
from latentsearch.relaxations import Annealed, DirectArgmax, GumbelSoftmax, LocalExpectation
from latentsearch.relaxations.estimator import NeighbourhoodLoss, neighbourhood

EXAMPLES = Path(__file__).parents[1] / "examples"
sys.path[:0] = [str(EXAMPLES), str(EXAMPLES / "papers")]
from argmax import attributes, semi  # noqa: E402

SHAPE = (1, 6, 6)
TINY = {"image_shape": SHAPE, "categories": 2, "style": 3, "widths": (16, 12, 10, 8)}
NOISE = ls.Noise.from_seed(0)
LAYOUTS = [
    {},
    {"shared_style": True},
    {"variables": 3},
    {"variables": 3, "shared_style": True},
]


def build(**settings: object) -> models.MixedVAE:
    with training.initialised(0):
        return models.MixedVAE(**(TINY | settings))  # type: ignore[arg-type]


def stripes(rows: int) -> tuple[Tensor, Tensor]:
    """Upright or lying stripes with a little noise, and which they are."""
    labels = ls.Noise.from_seed(1).integers(2, rows)[0]
    lying = (torch.arange(6) // 2 % 2).float().view(1, 1, 6, 1).expand(rows, 1, 6, 6)
    images = torch.where(labels.view(-1, 1, 1, 1) == 0, lying, lying.transpose(2, 3))
    flipped = ls.Noise.from_seed(2, rows).uniform(*SHAPE) < 0.05
    return (images - flipped.float()).abs(), labels


@pytest.mark.parametrize("layout", LAYOUTS, ids=str)
def test_shapes(layout):
    model = build(**layout).eval()
    images, variables = stripes(5)[0], model.variables
    codes, style = model.encode(images)
    assert model.logits(images).shape == (5, variables, 2)
    assert codes.shape == (5, variables) and codes.dtype == torch.int64
    assert tuple(style.shape[1:]) == model.style_shape
    assert model.decode(codes, style).shape == images.shape
    soft = F.one_hot(codes, 2).float()
    torch.testing.assert_close(model.decode(soft, style), model.decode(codes, style))


@pytest.mark.parametrize(
    ("labels", "expected"),
    [
        (torch.tensor([0, 2, -1]), "a label 2"),
        (torch.tensor([0.0, 1.0, 0.0]), r"int64 \(3, 1\) or \(3,\)"),
        (torch.tensor([0, 1]), r"int64 \(3, 1\)"),
        (torch.zeros(3, 2, dtype=torch.int64), r"int64 \(3, 1\)"),
    ],
)
def test_bad_labels_are_refused(labels, expected):
    with pytest.raises(ls.InvalidArgument, match=expected):
        build().training_terms(stripes(3)[0], labels, NOISE)


@pytest.mark.parametrize(
    "settings",
    [
        {"variables": 0},
        {"categories": 1},
        {"dropout": 1.0},
        {"supervision": "hinge"},
        {"supervision_epsilon": 0.0},
        {"style": 0},
        {"widths": (4, 4)},
        {"widths": (4, 4, 4, 0)},
        {"image_shape": (28, 28)},
        {"estimator": lambda width: width},
    ],
    ids=lambda settings: f"{next(iter(settings))}",
)
def test_bad_settings_are_refused(settings):
    with pytest.raises(ls.InvalidArgument, match=f"MixedVAE.{next(iter(settings))}"):
        build(**settings)


def test_any_negative_label_is_none():
    model = build().eval()
    images = stripes(4)[0]
    none = model.training_terms(images, torch.tensor([-1, -7, torch.iinfo(torch.int64).min, -1]), NOISE)
    assert none["supervision"] == 0


@pytest.mark.parametrize("layout", LAYOUTS, ids=str)
@pytest.mark.parametrize("estimator", [None, GumbelSoftmax(), LocalExpectation()], ids=["direct", "gsm", "local"])
def test_gradients_reach_every_part(layout, estimator):
    model = build(estimator=estimator, **layout).train()
    labels = torch.full((20, model.variables), -1)
    sum(model.training_terms(stripes(20)[0], labels, NOISE).values()).backward()
    still = [name for name, p in model.named_parameters() if p.grad is None or not p.grad.abs().max() > 0]
    assert still == []


@pytest.mark.parametrize("layout", LAYOUTS, ids=str)
def test_the_shorter_way_to_neighbours_is_the_long_one(layout):
    model = build(**layout).eval()
    images = stripes(4)[0]
    style = NOISE.normal(4, model.variables * 2 if not model.shared_style else 1, 3)[0]
    kl = NOISE.fold(1).uniform(4, model.variables, 2)[0]
    loss = MixedLoss(model.decoder, images.flatten(1), *model._parts(style), kl)
    assert isinstance(loss, NeighbourhoodLoss)
    z = NOISE.integers(2, 4, model.variables)[0]
    slow = neighbourhood(lambda z, row: loss(z, row), z, 2)
    torch.testing.assert_close(loss.neighbourhood(z, None), slow)
    torch.testing.assert_close(loss.neighbourhood(z, 1 - z[..., None]), slow.gather(2, 1 - z[..., None]))


def test_the_product_of_factors_is_the_sum_of_softpluses():
    logits = 30 * ls.Noise.from_seed(0, 5).normal(784)
    with torch.no_grad():
        fast = softplus_sum(logits)
    torch.testing.assert_close(fast, F.softplus(logits.double()).sum(-1).float())


def test_the_loss_is_minus_the_bound_by_its_definition():
    model = build().eval()
    images = stripes(3)[0]
    terms = model.training_terms(images, torch.full((3,), -1), NOISE)
    features = model.trunk(images)
    mean, log_variance = model._style(features, None)
    rows = mean + (0.5 * log_variance).exp() * NOISE.fold(0).normal(*mean.shape)[0]
    z = NOISE.fold(1).split(3).categorical(model.logits(images))
    pick = torch.arange(3)
    x = model.decode(z, rows[pick, z[:, 0]][:, None])
    misfit = F.binary_cross_entropy(x, images, reduction="none").flatten(1).sum(1)
    normal = torch.distributions.Normal(mean, (0.5 * log_variance).exp())
    kl = torch.distributions.kl_divergence(normal, torch.distributions.Normal(0.0, 1.0)).sum(-1)[pick, z[:, 0]]
    torch.testing.assert_close(terms["expected_loss"], (misfit + kl).mean())
    entropy = torch.distributions.Categorical(logits=model.logits(images)).entropy().sum(1)
    torch.testing.assert_close(terms["discrete_kl"], (math.log(2) - entropy).mean())


def test_the_supervised_estimate_is_its_definition():
    model = build(variables=2)
    logits = NOISE.normal(3, 2, 2)[0].requires_grad_()
    labels = torch.tensor([[0, 1], [-1, 1], [-1, -1]])
    value = model.supervise(logits, labels, NOISE)
    (estimate,) = torch.autograd.grad(value.sum(), logits)
    drawn = F.one_hot(NOISE.split(3).categorical(logits), 2)
    by_hand = (drawn - F.one_hot(labels.clamp(min=0), 2)) / 0.05 * (labels >= 0)[..., None]
    torch.testing.assert_close(estimate, by_hand)
    log_q = logits.log_softmax(-1)
    torch.testing.assert_close(
        value, -torch.stack([log_q[0, 0, 0] + log_q[0, 1, 1], log_q[1, 1, 1], log_q[2, 0, 0] * 0]) / 0.05
    )


def test_the_supervised_estimate_averages_to_the_gradient_of_the_cross_entropy():
    draws = 20_000
    logits = torch.tensor([[[0.5, -0.5]]]).expand(draws, 1, 2).clone().requires_grad_()
    labels = torch.zeros(draws, 1, dtype=torch.int64)
    gradients = [
        torch.autograd.grad(build(supervision=kind).supervise(logits, labels, NOISE).sum(), logits)[0].mean(0)
        for kind in ("direct", "cross_entropy")
    ]
    torch.testing.assert_close(*gradients, atol=4 * 20 / 2 / math.sqrt(draws), rtol=0)


def test_the_schedule_follows_the_steps_made():
    seen = []

    def make(width: float) -> DirectArgmax:
        seen.append(width)
        return DirectArgmax(epsilon=-width)

    model = build(estimator=make, schedule=Annealed(rate=0.5, every=1))
    seen.clear()  # of the look that the model took at what it was given
    images, labels = stripes(4)
    for _ in range(3):
        model.train().training_terms(images, labels, NOISE)
    model.eval().training_terms(images, labels, NOISE)
    assert seen == pytest.approx([1, math.exp(-0.5), math.exp(-1)]) and int(model.steps) == 3


@pytest.mark.parametrize("kind", ["direct", "gsm"])
def test_fitting_learns_images_and_classes(kind):
    images, labels = stripes(300)
    few = torch.where(torch.arange(300) < 10, labels, -1)
    rival = {"estimator": lambda t: GumbelSoftmax(t), "supervision": "cross_entropy"}
    model = build(dropout=0.0, **(rival if kind == "gsm" else {}))
    before = training.evaluate(model, (images, few))["expected_loss"]
    ls.fit(model, (images, few), ls.Fit(120, 50, partial(torch.optim.Adam, lr=1e-2)))
    assert training.evaluate(model, (images, few))["expected_loss"] < 0.6 * before
    assert (model.encode(images)[0][:, 0] == labels).float().mean() > 0.95


def test_a_killed_fit_resumes_to_the_same_weights(tmp_path):
    class Killed(Exception):
        pass

    def kill(entry: training.Entry) -> None:
        if entry.step == 10:
            raise Killed

    schedule = Annealed(rate=0.2, every=1)
    whole, path = build(schedule=schedule), tmp_path / "fit.safetensors"
    plan = ls.Fit(20, 16, log_every=5)
    ls.fit(whole, stripes(64), plan)
    with pytest.raises(Killed):
        ls.fit(build(schedule=schedule), stripes(64), replace(plan, checkpoint=path, callbacks=[kill]))
    resumed = build(schedule=schedule)
    ls.fit(resumed, stripes(64), replace(plan, checkpoint=path))
    for (name, a), b in zip(whole.state_dict().items(), resumed.state_dict().values(), strict=True):
        assert torch.equal(a, b), name


@pytest.mark.parametrize("layout", LAYOUTS, ids=str)
def test_a_style_is_searched_with_the_class_held(layout):
    model = build(**layout).eval()
    label = torch.ones(model.variables, dtype=torch.int64)
    style = NOISE.normal(*model.style_shape)
    target = model.decode(label[None], style).detach()
    generator = model.style_generator(label)
    assert generator.space == ls.Continuous(model.style_shape)
    result = ls.GradientSearch().search(generator, ls.Matches(target), seed=0, run=ls.Run(steps=60))
    torch.testing.assert_close(model.decode(label[None], result.latent), result.output)
    assert result.score.loss < (generator.decode(0 * style) - target).square().mean()


@pytest.mark.parametrize("layout", LAYOUTS, ids=str)
def test_classes_are_searched_with_the_style_held(layout):
    model = build(**layout).eval()
    style = NOISE.normal(*model.style_shape)
    codes = NOISE.integers(2, model.variables)
    generator = model.class_generator(style[0])
    assert generator.space == ls.Discrete((model.variables,), 2)
    torch.testing.assert_close(generator.decode(codes), model.decode(codes, style))
    result = ls.ExhaustiveSearch().search(generator, ls.Matches(model.decode(codes, style).detach()), seed=0)
    assert torch.equal(result.latent, codes)


def test_pixels_of_bytes_are_refused():
    images, labels = stripes(3)
    with pytest.raises(ls.InvalidArgument, match="divide bytes by 255"):
        build().training_terms(255 * images, labels, NOISE)


def test_wrapping_one_names_its_two_generators():
    with pytest.raises(ls.InvalidArgument, match=r"model.class_generator\(...\) or model.style_generator"):
        ls.wrap(build().eval())


def test_generators_want_a_class_and_a_style():
    model = build().eval()
    with pytest.raises(ls.InvalidArgument, match="a category for each"):
        model.style_generator(-1)
    with pytest.raises(ls.InvalidArgument, match=r"MixedVAE\.style"):
        model.class_generator(torch.zeros(2, 3))


# -- examples/papers/semi_supervised.py -----------------------------------------------------------------


def squares(rows: int) -> semi.Split:
    """Ten classes: a bar at one of ten heights."""
    labels = torch.arange(rows) % 10
    images = torch.zeros(rows, 1, 28, 28)
    for height in range(10):
        images[labels == height, :, 4 + 2 * height : 6 + 2 * height, 6:22] = 1.0
    return semi.Split(images, labels)


def test_labelled_rows_are_balanced_and_nested():
    labels = squares(2000).labels
    few, many = (semi.labelled_rows(labels, count, seed=1) for count in (50, 100))
    assert labels[few].bincount().tolist() == [5] * 10
    assert set(few.tolist()) < set(many.tolist()) and set(few.tolist()) != set(
        semi.labelled_rows(labels, 50, 2).tolist()
    )


def test_moved_images_keep_their_randomness_and_most_of_their_ink():
    images, noise = squares(20).images, ls.Noise.from_seed(5)
    once = semi.moved(images, noise)
    assert torch.equal(once, semi.moved(images, noise)) and set(once.unique().tolist()) == {0.0, 1.0}
    assert 0.6 < float(once.sum() / images.sum()) < 1.5
    assert semi.moved(images[:1], noise).shape == (1, 1, 28, 28)


@pytest.mark.parametrize("method", semi.METHODS)
def test_a_chain_of_runs_goes_on_from_its_log(method, tmp_path):
    recipe = semi.Recipe(epochs=1, warm_epochs=1, more_epochs=(1, 1), consistency=1.0, balance=1.0, sure=0.9, top=2)
    data = {which: squares(400) for which in ("train", "validation", "test")}
    entries = dict(semi.chain(data, "ours", recipe, method, 0, (50, 100), tmp_path, {}))
    assert list(entries) == [f"{method}-50-0", f"{method}-100-0"]
    assert [entry["goes_on"] for entry in entries.values()] == [False, True]
    first = {f"{method}-50-0": entries[f"{method}-50-0"]}
    rest = dict(semi.chain(data, "ours", recipe, method, 0, (50, 100), tmp_path, first))
    mine = rest[f"{method}-100-0"]
    assert {k: mine[k] for k in ("test", "validation")} == {
        k: entries[f"{method}-100-0"][k] for k in ("test", "validation")
    }
    assert "1 seeds (paper 95.51)" in semi.table(entries) or method == "gsm"
    model = semi.load_model(semi.weights(tmp_path, "ours", f"{method}-100-0"))
    assert [row.shape for row in semi.classes_by_style(model, 2)] == [(10, 1, 28, 28)] * 2


def test_rules_read_what_was_drawn():
    ring, bar, high = torch.zeros(3, 1, 28, 28).unbind(0)
    ring[:, 8:20, 8:20] = 1.0
    ring[:, 11:17, 11:17] = 0.0
    bar[:, 13:15, 4:24] = 1.0
    high[:, 4:8, 10:18] = 1.0
    high[:, 8:24, 13:15] = 1.0
    found = dict(zip(attributes.NAMES, attributes.measures(torch.stack([ring, bar, high])).unbind(1), strict=True))
    assert found["looped"].tolist() == [36, 0, 0]
    assert found["wide"].argmax() == 1 and found["tall"].argmax() == 2
    assert found["top-heavy"].argmax() == 2 and found["top-heavy"][0] == pytest.approx(0.5)
    assert found["left-heavy"].tolist() == pytest.approx([0.5] * 3)
    assert found["slanted"].abs().max() < 1e-6


def test_a_constraint_for_attributes_moves_the_decoder_alone():
    model = attributes.build(0).train()
    attributes.Asked(model, 1.0).misread(squares(4).images, NOISE).backward()
    moved = {name.split(".")[0] for name, p in model.named_parameters() if p.grad is not None}
    assert moved == {"seen", "decoder"}


def test_attributes_are_judged_by_name():
    model = attributes.build(0).eval()
    images = squares(6).images
    entry = attributes.judged(model, images, attributes.thresholds(attributes.measures(images)), seed=0)
    entry["read_off"] = attributes.shares(torch.ones(6, 8, dtype=torch.bool))
    assert set(entry["switched"]) == set(entry["any"]) == set(attributes.NAMES)
    assert "| thick | 100.0 % |" in attributes.table({"run": entry})
    assert [row.shape for row in attributes.switches(model, images[:2])] == [(10, 1, 28, 28)] * 2


def test_combinations_of_attributes_are_named_and_differ_by_them_alone():
    model = attributes.build(0).eval()
    found = attributes.combinations(model, ("tall", "looped"), styles=3)
    assert list(found) == ["not tall, not looped", "not tall, looped", "tall, not looped", "tall, looped"]
    assert all(images.shape == (3, 1, 28, 28) for images in found.values())
    assert not torch.equal(found["tall, looped"], found["tall, not looped"])
