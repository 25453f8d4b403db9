"""The reference models: they learn, do not collapse, and resume to the same weights."""

from __future__ import annotations

from functools import partial

import pytest
import torch
from torch.optim import Adam

import latentsearch as ls
from latentsearch import models, training
from latentsearch.models.vqvae import Codebook

SHAPE = (1, 8, 8)


def blobs(rows: int) -> torch.Tensor:
    """Smooth random images with some structure to compress."""
    noise = ls.Noise.from_seed(0, rows).normal(1, 2, 2)
    return torch.nn.functional.interpolate(noise, scale_factor=4, mode="bilinear").sigmoid()


def build(kind: str, **settings) -> torch.nn.Module:
    with training.initialised(0):
        if kind == "vae":
            return models.VAE(SHAPE, width=4, channels=8)
        if kind == "classifier":
            return models.Classifier(SHAPE, classes=2, channels=4)
        return models.VQVAE(SHAPE, **({"codebook_size": 32, "width": 4, "channels": 16, "variance": 0.05} | settings))


def data_for(kind: str) -> tuple[torch.Tensor, ...]:
    images = blobs(256)
    return (images, (images.mean((1, 2, 3)) > 0.5).long()) if kind == "classifier" else (images,)


@pytest.mark.parametrize("kind", ["vae", "vqvae", "classifier"])
def test_fitting_lowers_the_loss(kind):
    model, data = build(kind), data_for(kind)
    before = sum(training.evaluate(model, data).values())
    # Grey pixels have an entropy of their own, which no code can lower: the VAE gains little here.
    gain = 0.998 if kind == "vae" else 0.9
    history = ls.fit(model, data, ls.Fit(60, 32, partial(Adam, lr=3e-3), log_every=20), validation=data)
    assert history.step == [20, 40, 60] and not model.training
    assert sum(values[-1] for values in history.validation.values()) < gain * before


def test_the_divergence_of_a_vae_is_that_of_its_posterior():
    model, images = build("vae"), blobs(5)
    mean, std = model.posterior(images)
    normal = torch.distributions.Normal(mean, std)
    exact = torch.distributions.kl_divergence(normal, torch.distributions.Normal(0.0, 1.0)).sum(1).mean()
    torch.testing.assert_close(model.training_terms(images, ls.Noise.from_seed(0))["kl"], exact)
    assert torch.equal(model.encode(images), mean)


@pytest.mark.parametrize("kind", ["vae", "vqvae"])
def test_a_killed_fit_resumes_to_the_same_weights(kind, tmp_path):
    data = data_for(kind)
    whole = build(kind)
    ls.fit(whole, data, ls.Fit(30, 16, log_every=10))

    class Killed(Exception):
        pass

    def kill(entry: training.Entry) -> None:
        if entry.step == 20:
            raise Killed

    path = tmp_path / "fit.safetensors"
    with pytest.raises(Killed):
        ls.fit(build(kind), data, ls.Fit(30, 16, log_every=10, checkpoint=path, callbacks=[kill]))
    resumed = build(kind)
    history = ls.fit(resumed, data, ls.Fit(30, 16, log_every=10, checkpoint=path))
    assert history.step == [10, 20, 30]
    for (name, a), b in zip(whole.state_dict().items(), resumed.state_dict().values(), strict=True):
        assert torch.equal(a, b), name


def test_the_checkpoint_of_another_fit_is_refused(tmp_path):
    path = tmp_path / "fit.safetensors"
    ls.fit(build("vae"), data_for("vae"), ls.Fit(2, 16, checkpoint=path))
    with pytest.raises(ls.BrokenFile, match="another fit"):
        ls.fit(build("vae"), data_for("vae"), ls.Fit(3, 16, checkpoint=path))


def test_unequal_data_are_refused():
    with pytest.raises(ls.InvalidArgument, match="same number of rows"):
        ls.fit(build("vae"), (torch.zeros(4, *SHAPE), torch.zeros(3)), ls.Fit(1))


def test_the_ema_codebook_uses_every_code_and_the_published_one_does_not():
    used = {}
    for update in ("ema", "gradient"):
        model = build("vqvae", codebook_size=64, update=update)
        ls.fit(model, data_for("vqvae"), ls.Fit(300, 64, partial(Adam, lr=3e-3)))
        used[update] = int((model.encode(blobs(256)).flatten().bincount(minlength=64) > 0).sum())
    assert used["ema"] >= 58  # 90% of 64
    assert used["gradient"] < used["ema"]


def test_dead_codes_are_put_on_encodings():
    codebook = Codebook(size=8, width=2).train()
    noise = ls.Noise.from_seed(0, 1)
    encodings = noise.normal(200, 2)[0]
    codebook.learn(encodings, noise)
    codebook.vectors[3] = 1e6  # far from everything: nothing will choose it
    codebook.sums[3] = codebook.vectors[3] * codebook.counts[3]
    for step in range(400):
        codebook.learn(encodings, noise.fold(step))
    assert codebook.vectors.abs().max() < 10
    assert len(codebook.nearest(encodings).unique()) == 8


def test_the_published_codebook_starts_uniform_between_minus_and_plus_one_over_k():
    with training.initialised(0):
        vectors = Codebook(size=40, width=64, update="gradient").vectors
    assert vectors.abs().max() <= 1 / 40
    assert float(vectors.detach().var()) == pytest.approx((1 / 40) ** 2 / 3, rel=0.1)


def test_initialised_leaves_the_global_random_state_alone():
    before = torch.get_rng_state()
    with training.initialised(0):
        first = torch.nn.Linear(2, 2).weight
    with training.initialised(0):
        assert torch.equal(torch.nn.Linear(2, 2).weight, first)
    assert torch.equal(before, torch.get_rng_state())


def test_gradients_pass_the_quantiser_straight_through():
    model = build("vqvae").train()
    images = blobs(4)
    sum(model.training_terms(images, ls.Noise.from_seed(0)).values()).backward()
    assert model.encoder[0].weight.grad.abs().max() > 0
