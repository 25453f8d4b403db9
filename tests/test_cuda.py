"""The same on a graphics card: what is made there stays there, and comes to what a CPU comes to.

`LATENTSEARCH_TEST_DEVICE=cpu` runs this file on a machine without one, which looks at the tests and not at CUDA.
"""

from __future__ import annotations

import os

import pytest
import torch
from test_laws import ESTIMATORS, SEARCHERS, draw, function_constraints, image_constraints

import latentsearch as ls
from latentsearch import models, relaxations, training, zoo
from latentsearch.noise import Noise
from latentsearch.testing import check_constraint, check_generator

DEVICE = os.environ.get("LATENTSEARCH_TEST_DEVICE", "cuda")
if DEVICE == "cuda" and not torch.cuda.is_available():
    pytest.skip("no CUDA device: torch.cuda.is_available() is False", allow_module_level=True)


def image_generator() -> ls.Generator:
    with training.initialised(0):
        decoder = torch.nn.Sequential(torch.nn.Linear(6, 16), torch.nn.Tanh(), torch.nn.Linear(16, 64))
    return ls.ContinuousGenerator(decoder.append(torch.nn.Unflatten(1, (1, 8, 8))).to(DEVICE).eval(), (6,))


def grids() -> ls.Generator:
    with training.initialised(0):
        decoder = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3, padding=1), torch.nn.Tanh(), torch.nn.Conv2d(4, 1, 1))
    return ls.CodebookGenerator(decoder.to(DEVICE).eval(), draw(5, 3, dtype=torch.float32).to(DEVICE), (4, 4))


def problem(searcher: ls.Searcher) -> tuple[ls.Generator, ls.Constraint]:
    """A generator that the searcher can search, with a constraint for two problems that can be fulfilled."""
    for make in (grids, image_generator):
        generator = make()
        z = generator.prior.sample(Noise.from_seed(3, 2, device=generator.device))
        constraint = ls.Matches(generator.decode(z).detach())
        try:
            searcher.search(generator, constraint, seed=0, run=ls.Run(evaluations=9))
        except ls.Unsupported:
            continue
        return generator, constraint
    pytest.skip("the searcher takes neither")


@pytest.mark.parametrize("searcher", SEARCHERS, ids=repr)
def test_searches_stay_on_the_device_and_keep_their_promises(searcher: ls.Searcher) -> None:
    generator, constraint = problem(searcher)
    init = generator.prior.sample(Noise.from_seed(5, 2, device=generator.device))
    results = [searcher.search(generator, constraint, init=init, seed=1, run=ls.Run(evaluations=150)) for _ in range(2)]
    first, again = results
    assert first.latent.device.type == first.output.device.type == first.score.loss.device.type == DEVICE
    before, after = (
        constraint(generator.decode(init), init).loss,
        constraint(generator.decode(first.latent), first.latent).loss,
    )
    torch.testing.assert_close(first.score.loss, after, rtol=1e-3, atol=1e-5)
    assert (first.score.loss <= before + 1e-6).all() and (first.evaluations <= 150).all()
    assert torch.equal(first.latent, again.latent)


# One of each class; on a CPU one of all, so that the test is known to run.
EACH = list({type(searcher): searcher for searcher in reversed(SEARCHERS)}.values())
MODELS = ("mnist-vae", "mnist-vqvae-512", "mnist-vqvae-40")


def searches_the_zoo(name: str, searcher: ls.Searcher, device: str) -> None:
    """Wrap one of the package's own models on a device and search it for two images of its test set."""
    generator = ls.wrap(zoo.load(name).to(device))
    images = zoo.images()[0][:2].to(device)
    goal = ls.Matches(images)
    try:
        result = searcher.search(generator, goal, seed=0, run=ls.Run(evaluations=40))
    except ls.Unsupported as error:
        pytest.skip(str(error))
    assert result.latent.device.type == result.output.device.type == device
    again = goal(generator.decode(result.latent), result.latent).loss
    torch.testing.assert_close(result.score.loss, again, rtol=1e-3, atol=1e-5)
    assert (result.evaluations <= 40).all() and result.score.loss.isfinite().all()


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("searcher", EACH, ids=lambda searcher: type(searcher).__name__)
def test_every_search_takes_the_zoo(name: str, searcher: ls.Searcher) -> None:
    searches_the_zoo(name, searcher, DEVICE)


@pytest.mark.parametrize("estimator", ESTIMATORS, ids=repr)
def test_estimates_are_those_of_the_cpu(estimator: relaxations.Estimator) -> None:
    weight = draw(6, dtype=torch.float64, seed=8)

    def estimate(device: str) -> tuple[torch.Tensor, torch.Tensor]:
        own = weight.to(device)

        def loss(z: torch.Tensor, row: torch.Tensor) -> torch.Tensor:
            soft = z if z.is_floating_point() else torch.nn.functional.one_hot(z, 3).to(own.dtype)
            return (soft.flatten(1) @ own + row).square()

        logits = draw(4, 2, 3, dtype=torch.float64, seed=9).to(device).requires_grad_()
        if isinstance(estimator, torch.nn.Module):
            estimator.to(device)
        value = estimator(logits, loss, Noise.from_seed(2, 4).to(device))
        (gradient,) = torch.autograd.grad(value.sum(), logits)
        return value.detach().cpu(), gradient.cpu()

    on_device, on_cpu = estimate(DEVICE), estimate("cpu")
    torch.testing.assert_close(on_device, on_cpu, rtol=1e-6, atol=1e-8)


def test_generators_keep_their_laws() -> None:
    for generator in (image_generator(), grids()):
        assert generator.device.type == DEVICE
        check_generator(generator)  # raises at the first law that is broken


def test_constraints_keep_their_laws() -> None:
    generator = image_generator()
    for constraint in (*image_constraints(torch.float32, 3), *function_constraints(torch.float32, 3)):
        if isinstance(constraint, ls.Classified):
            constraint.classifier.to(DEVICE)  # the user's own module, which `Constraint.to` leaves where it is
        assert constraint.to(generator.device, generator.dtype).problems in (1, 3)
        check_constraint(constraint, generator)


def test_noise_is_that_of_the_cpu() -> None:
    here, there = Noise.from_seed(0, 3), Noise.from_seed(0, 3).to(DEVICE)
    assert torch.equal(here.fold(1).split(2).bits(99), there.fold(1).split(2).bits(99).cpu())
    torch.testing.assert_close(here.gumbel(99), there.gumbel(99).cpu(), rtol=1e-5, atol=1e-5)


IMAGES = (torch.arange(8 * 64).view(8, 1, 8, 8) % 3 == 0).float()


@pytest.mark.parametrize("model", ["dense", "discrete", "mixed", "vae", "vqvae"])
def test_fits_go_where_the_model_is(model: str, tmp_path) -> None:
    def trained() -> torch.nn.Module:
        with training.initialised(0):
            net = {
                "dense": lambda: models.DenseVAE((1, 8, 8), width=3, hidden=8),
                "discrete": lambda: models.DiscreteVAE((1, 8, 8), variables=3, categories=4,
                                                       estimator=lambda e: relaxations.DirectArgmax(-e)),
                "mixed": lambda: models.MixedVAE((1, 8, 8)),
                "vae": lambda: models.VAE((1, 8, 8), width=3, channels=8, residual_blocks=1),
                "vqvae": lambda: models.VQVAE((1, 8, 8), codebook_size=6, width=3, channels=8, residual_blocks=1),
            }[model]().to(DEVICE)  # fmt: skip
        data = (IMAGES, torch.full((8,), -1)) if model == "mixed" else (IMAGES,)
        ls.fit(net, data, ls.Fit(4, 4, log_every=2, checkpoint=tmp_path / "fit"), validation=data)
        return net

    first, resumed = trained(), trained()
    for name, weight in first.state_dict().items():
        assert weight.device.type == DEVICE and torch.equal(weight, resumed.state_dict()[name]), name
