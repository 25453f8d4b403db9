"""What `models.fit` refuses, and what it never loses."""

from __future__ import annotations

import pytest
import torch

from latentsearch import _checkpoint, models
from latentsearch.errors import BrokenFile, InvalidArgument
from latentsearch.relaxations import Annealed, GumbelSoftmax, ReinMax

IMAGES = (torch.arange(8 * 16).view(8, 1, 4, 4) % 3 == 0).float()


def make(estimator=GumbelSoftmax, **settings):
    with models.initialised(0):
        return models.DiscreteVAE((1, 4, 4), variables=2, categories=3, estimator=estimator, **settings)


def test_a_checkpoint_of_another_estimator_is_refused(tmp_path):
    models.fit(make(ReinMax()), (IMAGES,), steps=2, batch_size=4, checkpoint=tmp_path / "fit")
    models.fit(make(ReinMax()), (IMAGES,), steps=2, batch_size=4, checkpoint=tmp_path / "fit")
    for other in (GumbelSoftmax, lambda tau: ReinMax(tau + 1)):
        with pytest.raises(BrokenFile, match="another fit"):
            models.fit(make(other), (IMAGES,), steps=2, batch_size=4, checkpoint=tmp_path / "fit")


@pytest.mark.parametrize("settings", [{"warm_up": 9}, {"schedule": Annealed(rate=1.0, every=1)}], ids=str)
def test_a_checkpoint_of_another_warm_up_or_schedule_is_refused(tmp_path, settings):
    models.fit(make(), (IMAGES,), steps=2, batch_size=4, checkpoint=tmp_path / "fit")
    with pytest.raises(BrokenFile, match="another fit"):
        models.fit(make(**settings), (IMAGES,), steps=2, batch_size=4, checkpoint=tmp_path / "fit")


def test_a_loss_that_is_not_finite_ends_the_fit_and_keeps_what_was_saved(tmp_path):
    model, path = make(ReinMax()), tmp_path / "fit"

    def poison(step, history):
        with torch.no_grad():
            model.decoder[0].bias.fill_(torch.nan)

    with pytest.raises(FloatingPointError, match="not finite"):
        models.fit(model, (IMAGES,), steps=4, batch_size=4, log_every=2, checkpoint=path, report=poison)
    saved, header = _checkpoint.load(path, kind="fit")
    assert header["step"] == 2 and all(tensor.isfinite().all() for tensor in saved.values())


@pytest.mark.parametrize("setting", ["steps", "batch_size", "log_every"])
def test_numbers_that_make_no_fit_are_refused(setting):
    with pytest.raises(InvalidArgument, match=setting):
        models.fit(make(), (IMAGES,), **({"steps": 1} | {setting: 0}))


def test_images_alone_are_no_sequence_of_tensors():
    with pytest.raises(InvalidArgument, match=r"write \(images,\)"):
        models.fit(make(), IMAGES, steps=1)


def test_unequal_validation_is_refused_before_the_first_step():
    model = make()
    before = model.decoder[0].bias.clone()
    with pytest.raises(InvalidArgument, match="validation"):
        models.fit(model, (IMAGES,), steps=1, validation=(IMAGES, IMAGES[:2]))
    assert torch.equal(model.decoder[0].bias, before)


def test_what_has_nothing_to_learn_is_refused():
    class Fixed(torch.nn.Module):
        def training_terms(self, images, noise):
            return {"mean": images.mean()}

    with pytest.raises(InvalidArgument, match="without parameters"):
        models.fit(Fixed(), (IMAGES,), steps=1)


def test_an_evaluation_that_fails_leaves_the_model_as_it_was():
    model = make().train()
    with pytest.raises(InvalidArgument):
        models.evaluate(model, (IMAGES + 3,))
    assert model.training
