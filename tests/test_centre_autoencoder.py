"""Autoencoders with a pull to zero, to centres or to codes: what the losses are, and what they do to encodings."""

from __future__ import annotations

from functools import partial
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import latentsearch as ls
from latentsearch import models, training
from latentsearch.models.centre_autoencoder import squared_error
from latentsearch.testing import check_prior

SHAPE = (1, 8, 8)
NOISE = ls.Noise.from_seed(0)


def blobs(rows: int) -> Tensor:
    """Smooth random images."""
    noise = ls.Noise.from_seed(1, rows).normal(1, 2, 2)
    return nn.functional.interpolate(noise, scale_factor=4, mode="bilinear").sigmoid()


def build(**settings: Any) -> models.CentreAutoencoder:
    with training.initialised(0):
        return models.CentreAutoencoder(SHAPE, **{"width": 3, "channels": 8} | settings)


def fitted(model: nn.Module, steps: int = 150) -> nn.Module:
    plan = ls.Fit(steps, batch_size=64, optimizer=partial(torch.optim.Adam, lr=3e-3), schedule=None, log_every=steps)
    ls.fit(model, (blobs(256),), plan)
    return model.eval().requires_grad_(False)


def plain(zero_pull: float) -> nn.Module:
    with training.initialised(0):
        return models.Autoencoder(SHAPE, width=3, channels=8, zero_pull=zero_pull)


def test_each_centre_pulls_the_image_that_is_nearest_to_it() -> None:
    model, images = build(centres=4, pull=0.5, decoded_pull=0.25).eval(), blobs(10)
    terms = model.training_terms(images, NOISE)
    mixed = images[NOISE.fold(1).uniform(10)[0].argsort()]
    looked, rebuilt = mixed[:5], mixed[5:]
    z = model.encode(looked)
    closest = [min(range(5), key=lambda n: float((z[n] - v).detach().square().sum())) for v in model.centres]
    assert len(set(closest)) > 1
    pull = torch.stack([(z[n] - v).square().sum() for n, v in zip(closest, model.centres, strict=True)]).mean()
    assert torch.allclose(terms["pull"], 0.5 * pull)
    assert torch.allclose(terms["decoded_pull"], 0.25 * squared_error(model.decode(model.centres), looked[closest]))
    assert torch.allclose(terms["reconstruction"], squared_error(model.decode(model.encode(rebuilt)), rebuilt))


@pytest.mark.parametrize(("similarity", "nearest"), [("l2", 0), ("cosine", 1), ("dot", 2)])
def test_nearest_is_by_distance_by_angle_or_by_product(similarity: Any, nearest: int) -> None:
    model = build(centres=3, width=2, similarity=similarity)
    with torch.no_grad():
        model.centres.copy_(torch.tensor([[1.0, 0.5], [0.5, 0.05], [4.0, 3.0]]))
    assert int(model.nearest(torch.tensor([[1.0, 0.1]]))) == nearest


def test_averages_move_centres_to_encodings_and_the_loss_moves_the_encoder_alone() -> None:
    model, images = build(centres=2, update="ema", decay=0.75), blobs(8)
    before = model.centres.clone()
    terms = model.training_terms(images, NOISE)
    z = model.encode(images[NOISE.fold(1).uniform(8)[0].argsort()][:4]).detach()
    closest = torch.cdist(z, before).argmin(0)
    assert torch.allclose(model.centres, before + 0.25 * (z[closest] - before), atol=1e-6)
    terms["pull"].backward()
    assert model.centres.grad is None and not model.centres.requires_grad
    assert any(
        parameter.grad is not None and bool((parameter.grad != 0).any()) for parameter in model.encoder.parameters()
    )
    held = model.centres.clone()
    model.eval().training_terms(images, NOISE)
    assert torch.equal(model.centres, held)


def test_a_centre_that_nothing_is_near_is_put_on_an_encoding() -> None:
    images = blobs(32)
    moved = {}
    for revive_below in (0.0, 0.5):
        model = build(centres=3, revive_below=revive_below, decay=0.5)
        with torch.no_grad():
            model.centres[2] = 1000.0
            for step in range(4):
                model.training_terms(images, NOISE.fold(step))
        moved[revive_below] = float(model.centres[2].detach().abs().max())
    assert moved[0.0] == 1000 and moved[0.5] < 10


def test_a_pull_to_one_centre_makes_encodings_compact_and_they_still_reconstruct() -> None:
    images, spread, error = blobs(256), {}, {}
    found = {"free": plain(0.0), "pulled": build(pull=0.2), "collapsed": plain(100.0)}
    for name, model in found.items():
        z = fitted(model).encode(images)
        spread[name], error[name] = float(z.var(0).sum()), float(squared_error(model.decode(z), images))
    constant = float(squared_error(images.mean(0, keepdim=True).expand_as(images), images))
    assert spread["collapsed"] < 0.01 * spread["pulled"] < 0.01 * spread["free"], spread
    assert error["pulled"] < 0.7 * constant and error["collapsed"] > 0.95 * constant, (error, constant)


def test_it_is_a_generator_that_is_searched() -> None:
    model = build(centres=4).eval().requires_grad_(False)
    generator = ls.wrap(model)
    target = generator.decode(model.centres[:2])
    result = ls.search(generator, ls.Matches(target), seed=0, run=ls.Run(evaluations=200))
    assert generator.space == ls.Continuous((3,)) and bool((result.score.loss < 0.05).all())
    twin = models.CentreAutoencoder(**model.settings)
    twin.load_state_dict(model.state_dict())


@pytest.mark.parametrize(
    ("settings", "match"),
    [
        ({"centres": 0}, "CentreAutoencoder.centres: got 0"),
        ({"looked_at": 1.0}, "looked_at: got 1.0, expected a number in"),
        ({"similarity": "l1"}, "'l2' or 'cosine' or 'dot'"),
        ({"update": "sgd"}, "CentreAutoencoder.update"),
        ({"pull": -1.0}, "CentreAutoencoder.pull"),
    ],
)
def test_bad_settings_are_refused(settings: Any, match: str) -> None:
    with pytest.raises(ls.InvalidArgument, match=match):
        build(**settings)


def test_bad_images_are_refused() -> None:
    with pytest.raises(ls.InvalidArgument, match="two at least"):
        build().training_terms(blobs(1), NOISE)
    with pytest.raises(ls.InvalidArgument, match="divide bytes by 255"):
        build().training_terms(blobs(4) * 255, NOISE)
    with pytest.raises(ls.InvalidArgument, match=r"Autoencoder\.image_shape.*divisible by 4"):
        models.Autoencoder((1, 6, 8))


def test_a_gaussian_around_each_centre_is_a_prior() -> None:
    noise = NOISE.fold(3).split(400)
    place = torch.tensor([[-5.0, 0.0, 0.0], [5.0, 1.0, 0.0]])
    latents = place[(noise.uniform()[:, None] < 0.25).long()[:, 0]] + noise.normal(3) * torch.tensor([0.5, 0.1, 0.0])
    centres = torch.cat([place, torch.full((1, 3), 90.0)])
    prior = ls.priors.GaussianMixture.around(centres, latents)
    check_prior(prior)
    assert torch.equal(prior.means, place) and float(prior.log_weights.exp()[1]) == pytest.approx(0.25, abs=0.06)
    drawn = prior.sample(ls.Noise.from_seed(9, 4000))
    left = drawn[drawn[:, 0] < 0]
    assert float(left[:, 0].std()) == pytest.approx(0.5, rel=0.1) and float(left[:, 2].std()) > 0
    generator = ls.wrap(build(centres=4).eval().requires_grad_(False), prior=prior)
    assert ls.search(generator, ls.LogPrior(prior), seed=0, run=ls.Run(evaluations=40)).latent.shape == (1, 3)
    with pytest.raises(ls.InvalidArgument, match=r"GaussianMixture\.centres.*\(K, 3\), as the latents"):
        ls.priors.GaussianMixture.around(torch.zeros(2, 4), latents)


# -- grids -------------------------------------------------------------------------------------------


def grid(**settings: Any) -> models.VQAutoencoder:
    with training.initialised(0):
        return models.VQAutoencoder(SHAPE, **{"codebook_size": 6, "width": 3, "channels": 8} | settings)


def test_each_code_pulls_the_nearest_vector_of_all_positions() -> None:
    model, images = grid(pull=0.5).eval(), blobs(10)
    terms = model.training_terms(images, NOISE)
    mixed = images[NOISE.fold(1).uniform(10)[0].argsort()]
    vectors = model.encode_embedding(mixed[:5]).reshape(-1, 3)
    assert len(vectors) == 5 * 2 * 2
    closest = torch.cdist(model.codebook, vectors).argmin(1)
    pull = (vectors[closest] - model.codebook).square().sum(1).mean()
    assert torch.allclose(terms["pull"], 0.5 * pull, rtol=1e-5)
    # What is reconstructed never goes through the codebook.
    direct = model.decode_embedding(model.encode_embedding(mixed[5:]).movedim(-1, 1))
    assert torch.allclose(terms["reconstruction"], squared_error(direct, mixed[5:]))


def test_codes_are_those_nearest_to_the_encoders_vectors() -> None:
    model, images = grid().eval(), blobs(4)
    codes = model.encode(images)
    assert torch.equal(codes, torch.cdist(model.encode_embedding(images), model.codebook).argmin(-1))
    assert torch.equal(model.decode(codes), model.decode_embedding(model.codebook[codes].movedim(-1, 1)))


def test_a_grid_is_a_generator_of_codes_that_is_searched_and_keeps_its_settings() -> None:
    model = grid(update="ema", revive_below=0.1).eval().requires_grad_(False)
    generator = ls.wrap(model)
    target = generator.decode(torch.tensor([[[0, 1], [2, 3]]]))
    result = ls.search(generator, ls.Matches(target), seed=0)
    assert float(result.score.loss) < 1e-9 and generator.space == ls.Discrete((2, 2), 6)
    twin = models.VQAutoencoder(**model.settings)
    twin.load_state_dict(model.state_dict())
    assert torch.equal(twin.eval().encode(blobs(4)), model.encode(blobs(4)))


def test_a_fit_brings_codes_to_vectors() -> None:
    images, model = blobs(256), grid(update="ema", decay=0.9, revive_below=0.1)
    fitted(model)
    vectors = model.encode_embedding(images).reshape(-1, 3)
    spread = float(vectors.var(0).sum().sqrt())
    assert float(torch.cdist(model.codebook, vectors).amin(1).max()) < spread
    free, quantised = (
        model.decode_embedding(each)
        for each in (model.encode_embedding(images).movedim(-1, 1), model.codebook[model.encode(images)].movedim(-1, 1))
    )
    constant = float(squared_error(images.mean(0, keepdim=True).expand_as(images), images))
    assert float(squared_error(free, images)) < float(squared_error(quantised, images)) < 1.5 * constant


@pytest.mark.parametrize(
    ("settings", "match"),
    [
        ({"codebook_size": 0}, r"VQAutoencoder\.codebook_size: got 0"),
        ({"looked_at": 0.0}, r"VQAutoencoder\.looked_at: got 0\.0, expected a number in"),
        ({"update": "sgd"}, r"VQAutoencoder\.update"),
        ({"width": 0}, r"VQAutoencoder\.width"),
    ],
)
def test_bad_settings_of_grids_are_refused(settings: Any, match: str) -> None:
    with pytest.raises(ls.InvalidArgument, match=match):
        grid(**settings)
    with pytest.raises(ls.InvalidArgument, match="divisible by 4"):
        models.VQAutoencoder((1, 6, 8))
    with pytest.raises(ls.InvalidArgument, match=r"VQAutoencoder\.images: got one image"):
        grid().training_terms(blobs(1), NOISE)
