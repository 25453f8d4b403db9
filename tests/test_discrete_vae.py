"""VAEs of discrete variables: losses of swaps, estimators in training, and their codes searched."""

from __future__ import annotations

from functools import partial

import pytest
import torch

import latentsearch as ls
from latentsearch.models import DiscreteVAE, PictureLoss, _products
from latentsearch.models._products import softplus_sums
from latentsearch.noise import Noise
from latentsearch.relaxations import (
    DirectArgmax,
    GumbelRao,
    GumbelSoftmax,
    LocalExpectation,
    Rebar,
    Reinforce,
    ReinMax,
    Relax,
    Rloo,
    StraightThrough,
)  # fmt: skip
from latentsearch.relaxations.estimator import neighbourhood
from latentsearch.training import Fit, evaluate, fit, initialised

IMAGES = Noise.from_seed(1, 6).uniform(1, 5, 5).round()


def model(**settings) -> DiscreteVAE:
    with initialised(0):
        return DiscreteVAE(**{"image_shape": (1, 5, 5), "variables": 4, "categories": 3, **settings})


# -- losses ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("hidden", [(), (7,), (9, 6)])
@pytest.mark.parametrize("likelihood", ["bernoulli", "gaussian"])
@pytest.mark.parametrize("scale", [1, 30, 300])
def test_all_swaps_at_once_are_swaps_one_by_one(hidden, likelihood, scale):
    net = model(hidden=hidden, likelihood=likelihood)
    with torch.no_grad():
        net.decoder[0].weight.mul_(scale)
    loss, z = PictureLoss(net, IMAGES), Noise.from_seed(2, 6).integers(3, 4)
    each = neighbourhood(lambda z, row: loss(z, row), z, 3)
    assert torch.allclose(neighbourhood(loss, z, 3), each, rtol=1e-5, atol=1e-4)
    code = Noise.from_seed(3, 6).integers(3, 4, 2)
    assert torch.allclose(neighbourhood(loss, z, 3, code), each.gather(-1, code), rtol=1e-5, atol=1e-4)
    assert torch.allclose(each.gather(-1, z[..., None])[..., 0], loss(z, torch.arange(6))[:, None], rtol=1e-5)


@pytest.mark.parametrize(("scale", "count"), [(0.1, 8), (4, 4), (8, 2), (13, 1), (60, 0)])
def test_products_of_any_size_are_sums_of_softplus(scale, count):
    base = scale * Noise.from_seed(0, 3).normal(11)
    weight, z = scale * Noise.from_seed(1, 4).normal(5, 11), Noise.from_seed(2, 3).integers(5, 4)
    own = weight[torch.arange(4), z]
    want = torch.nn.functional.softplus((base[:, None] - own)[:, :, None].double() + weight).sum(-1)
    assert torch.allclose(softplus_sums(base, z, weight).double(), want, rtol=1e-5, atol=1e-5)
    start = base.amax(0) + (weight.amax(1) - weight.amin(1)).amax(0)
    assert _products._group(start) == count


@pytest.mark.parametrize(("scale", "size"), [(1, 784), (50, 784), (1, 7), (200, 64)])
def test_totals_of_softplus_are_sums_of_it(scale, size):
    values = scale * Noise.from_seed(0, 3).normal(size)
    want = torch.nn.functional.softplus(values.double()).sum(-1)
    assert torch.allclose(_products.softplus_total(values).double(), want, rtol=1e-6)


def test_factors_that_overflow_where_their_product_does_not_are_not_multiplied():
    base = torch.full((2, 3), -150.0)
    weight, z = torch.tensor([-90.0, 90.0]).expand(3, 2)[None].mT.contiguous(), torch.zeros(2, 1, dtype=torch.int64)
    want = torch.nn.functional.softplus((base + 90)[:, None, None] + weight).sum(-1)
    assert torch.allclose(softplus_sums(base, z, weight.view(1, 2, 3)), want.view(2, 1, 2))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_totals_of_softplus_do_not_overflow_in_half_precision(dtype):
    values = Noise.from_seed(0, 3).normal(512).mul(0.1).to(dtype)
    want = torch.nn.functional.softplus(values.double()).sum(-1)
    assert torch.allclose(_products.softplus_total(values).double(), want, rtol=1e-2)


def test_one_kernel_of_it_gives_the_same():
    base, weight = Noise.from_seed(0, 3).normal(11), Noise.from_seed(1, 4).normal(5, 11)
    z = Noise.from_seed(2, 3).integers(5, 4)
    at_once = _products._at_once(base, z, weight, weight.exp(), 1)
    assert torch.allclose(at_once, softplus_sums(base, z, weight), rtol=1e-5)


def test_the_bound_is_a_bound_on_the_enumerated_likelihood():
    net = model(variables=2).eval()
    grids = torch.cartesian_prod(torch.arange(3), torch.arange(3))
    loss = PictureLoss(net, IMAGES)
    each = torch.stack([loss(grid.expand(6, 2), torch.arange(6)) for grid in grids], 1)
    evidence = torch.log(torch.tensor(9.0)) - torch.logsumexp(-each, 1)
    bound = net.bound(IMAGES, Noise.from_seed(0), samples=2000)
    log_q = net.posterior(IMAGES).log_softmax(-1)
    chance = (log_q[:, 0, grids[:, 0]] + log_q[:, 1, grids[:, 1]]).exp()
    exact = (chance * (each + chance.log() + torch.log(torch.tensor(9.0)))).sum(1)
    assert torch.allclose(bound, exact, atol=0.05) and (bound > evidence - 0.05).all()


# -- training ----------------------------------------------------------------------------------------

ESTIMATORS = {
    "gumbel-softmax": GumbelSoftmax,
    "hard": lambda tau: GumbelSoftmax(tau, hard=True),
    "rao": lambda tau: GumbelRao(tau, samples=2),
    "straight-through": StraightThrough(),
    "reinmax": ReinMax(),
    "direct": lambda epsilon: DirectArgmax(-epsilon),
    "local": LocalExpectation(),
    "local, likeliest": LocalExpectation(top=2),
    "reinforce": Reinforce(baseline=12.0),
    "rloo": Rloo(4),
    "rebar": Rebar(learn=True),
    "relax": Relax(torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(12, 1)), learn=True),
}


@pytest.mark.parametrize("name", ESTIMATORS)
def test_every_estimator_trains(name):
    """On images of four kinds with nothing else to learn."""
    net = model(estimator=ESTIMATORS[name])
    images = IMAGES[:4].repeat(16, 1, 1, 1)
    before = sum(evaluate(net, (images,)).values())
    fit(net, (images,), Fit(120, 32, partial(torch.optim.Adam, lr=0.05), schedule=None))
    after = sum(evaluate(net, (images,)).values())
    assert after < 0.6 * before and int(net.steps) == 120


def test_the_kl_is_let_in_by_and_by_and_counts_in_full_in_evaluation():
    net, plain = model(warm_up=4), model()
    seen = [net.training_terms(IMAGES, Noise.from_seed(0))["kl"] for _ in range(6)]
    whole = plain.training_terms(IMAGES, Noise.from_seed(0))["kl"]
    assert torch.allclose(torch.stack(seen) / whole, torch.tensor([0.25, 0.5, 0.75, 1.0, 1.0, 1.0]))
    assert torch.equal(model(warm_up=9).eval().training_terms(IMAGES, Noise.from_seed(0))["kl"], whole)


def test_parameters_of_the_decoder_see_the_drawn_codes_alone():
    """The decoder's gradient under an estimator that decodes many is that of its own draw."""
    net = model(estimator=LocalExpectation())
    net.training_terms(IMAGES, Noise.from_seed(4))["reconstruction"].backward()
    found = net.decoder[0].weight.grad.clone()
    net.zero_grad()
    z = Noise.from_seed(4).split(6).categorical(net.posterior(IMAGES))
    PictureLoss(net, IMAGES)(z, torch.arange(6)).mean().backward()
    assert torch.allclose(found, net.decoder[0].weight.grad, atol=1e-6)


def test_a_fit_goes_on_from_its_checkpoint_with_its_schedule(tmp_path):
    def run(net, **kw):
        fit(net, (IMAGES,), Fit(10, 3, log_every=5, **kw), seed=2)
        return net

    whole = run(model(schedule=lambda step: 1 / (1 + step)))

    path = tmp_path / "fit.safetensors"
    stopped = run(model(schedule=lambda step: 1 / (1 + step)), checkpoint=path, callbacks=[lambda entry: True])
    assert int(stopped.steps) == 5
    resumed = run(model(schedule=lambda step: 1 / (1 + step)), checkpoint=path)
    assert int(resumed.steps) == 10
    assert all(torch.equal(a, b) for a, b in zip(whole.parameters(), resumed.parameters(), strict=True))


# -- as a generator ------------------------------------------------------------------------------------


@pytest.mark.parametrize("hidden", [(), (7,)])
def test_its_codes_are_searched(hidden):
    net = model(hidden=hidden).eval()
    generator = ls.wrap(net)
    z = Noise.from_seed(5, 2).integers(3, 4)
    assert generator.space == ls.Discrete((4,), 3)
    assert torch.allclose(generator.decode(z), net.decode(z), atol=1e-6)
    constraint = ls.Matches(net.decode(z).detach())
    result = ls.search(generator, constraint, seed=0)
    assert torch.equal(result.latent, z)
    assert torch.equal(generator.encode(IMAGES), net.encode(IMAGES))


@pytest.mark.parametrize(
    ("settings", "named"),
    [
        ({"variables": 0}, "variables"),
        ({"categories": -1}, "categories"),
        ({"hidden": (4, 0)}, "hidden"),
        ({"likelihood": "poisson"}, "likelihood"),
        ({"warm_up": -1}, "warm_up"),
        ({"warm_up": float("nan")}, "warm_up"),
        ({"image_shape": (28, 28)}, "image_shape"),
        ({"estimator": None}, "estimator"),
        ({"hidden": 300}, "hidden"),
        ({"schedule": 0.5}, "schedule"),
        ({"estimator": Reinforce}, "estimator"),
        ({"estimator": lambda tau: Rebar(tau, learn=True)}, "estimator"),
    ],
)
def test_bad_settings_are_named(settings, named):
    with pytest.raises(ls.InvalidArgument, match=f"DiscreteVAE.{named}"):
        model(**settings)


@pytest.mark.parametrize(
    ("images", "likelihood", "expected"),
    [
        (255 * IMAGES, "bernoulli", r"pixels from 0 to 255, expected \[0, 1\]"),
        (2 * IMAGES - 1, "bernoulli", r"expected \[0, 1\]"),
        (3 * IMAGES, "gaussian", r"expected \[-1, 1\]"),
        (IMAGES * torch.nan, "bernoulli", "pixels from nan"),
        (IMAGES[..., :4], "bernoulli", r"floats of shape \(N, 1, 5, 5\)"),
        (IMAGES.long(), "bernoulli", "floats of shape"),
    ],
)
def test_images_that_it_cannot_model_are_refused(images, likelihood, expected):
    net = model(likelihood=likelihood)
    for look in (lambda: net.training_terms(images, Noise.from_seed(0)), lambda: net.bound(images, Noise.from_seed(0))):
        with pytest.raises(ls.InvalidArgument, match=expected):
            look()


def test_one_row_of_noise_is_expected():
    for look in (model().training_terms, model().bound):
        with pytest.raises(ls.InvalidArgument, match="noise of 6 rows, expected one row"):
            look(IMAGES, Noise.from_seed(0, 6))


def test_a_neighbourhood_of_another_shape_is_refused():
    class Narrow(PictureLoss):
        def neighbourhood(self, z, code):
            return super().neighbourhood(z, code)[..., :1]

    logits = torch.zeros(6, 4, 3, requires_grad=True)
    with pytest.raises(ls.InvalidArgument, match=r"losses of shape \(6, 4, 3\)"):
        LocalExpectation()(logits, Narrow(model(), IMAGES), Noise.from_seed(0, 6))


def test_a_bound_of_no_samples_is_refused():
    with pytest.raises(ls.InvalidArgument, match="samples"):
        model().bound(IMAGES, Noise.from_seed(0), samples=0)


def test_likeliest_swaps_under_autocast():
    def gradient(autocast):
        net = model(estimator=LocalExpectation(top=2))
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=autocast):
            terms = net.training_terms(IMAGES, Noise.from_seed(0))
        sum(terms.values()).backward()
        return torch.cat([parameter.grad.flatten() for parameter in net.parameters()])

    # bfloat16 keeps two to three digits.
    found, want = gradient(True), gradient(False)
    assert (found - want).norm() < 0.05 * want.norm()
