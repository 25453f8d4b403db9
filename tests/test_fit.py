"""What `fit` refuses, what it never loses, and what a plan says."""

from __future__ import annotations

import pytest
import torch

from latentsearch import Fit, _checkpoint, fit, models
from latentsearch.errors import BrokenFile, InvalidArgument
from latentsearch.relaxations import Annealed, GumbelSoftmax, ReinMax
from latentsearch.training import evaluate, initialised

IMAGES = (torch.arange(8 * 16).view(8, 1, 4, 4) % 3 == 0).float()


def make(estimator=GumbelSoftmax, **settings):
    with initialised(0):
        return models.DiscreteVAE((1, 4, 4), variables=2, categories=3, estimator=estimator, **settings)


def test_a_checkpoint_of_another_estimator_is_refused(tmp_path):
    fit(make(ReinMax()), (IMAGES,), Fit(2, 4, checkpoint=tmp_path / "fit"))
    fit(make(ReinMax()), (IMAGES,), Fit(2, 4, checkpoint=tmp_path / "fit"))
    for other in (GumbelSoftmax, lambda tau: ReinMax(tau + 1)):
        with pytest.raises(BrokenFile, match="another fit"):
            fit(make(other), (IMAGES,), Fit(2, 4, checkpoint=tmp_path / "fit"))


@pytest.mark.parametrize("settings", [{"warm_up": 9}, {"schedule": Annealed(rate=1.0, every=1)}], ids=str)
def test_a_checkpoint_of_another_warm_up_or_schedule_is_refused(tmp_path, settings):
    fit(make(), (IMAGES,), Fit(2, 4, checkpoint=tmp_path / "fit"))
    with pytest.raises(BrokenFile, match="another fit"):
        fit(make(**settings), (IMAGES,), Fit(2, 4, checkpoint=tmp_path / "fit"))


def test_a_loss_that_is_not_finite_ends_the_fit_and_keeps_what_was_saved(tmp_path):
    model, path = make(ReinMax()), tmp_path / "fit"

    def inject_nan(entry):
        with torch.no_grad():
            model.decoder[0].bias.fill_(torch.nan)

    with pytest.raises(FloatingPointError, match="not finite"):
        fit(model, (IMAGES,), Fit(4, 4, log_every=2, checkpoint=path, callbacks=[inject_nan]))
    saved, header = _checkpoint.load(path, kind="fit")
    assert header["step"] == 2 and all(tensor.isfinite().all() for tensor in saved.values())


NUMBERS = ["steps", "batch_size", "log_every", "patience", "checkpoint_every", "clip", "average"]


@pytest.mark.parametrize("setting", NUMBERS)
def test_settings_that_make_no_plan_are_refused(setting):
    with pytest.raises(InvalidArgument, match=setting):
        Fit(**({"steps": 1, "best": "sum"} | {setting: 0}))


def test_images_alone_are_no_sequence_of_tensors():
    with pytest.raises(InvalidArgument, match=r"write \(images,\)"):
        fit(make(), IMAGES, Fit(1))


def test_unequal_validation_is_refused_before_the_first_step():
    model = make()
    before = model.decoder[0].bias.clone()
    with pytest.raises(InvalidArgument, match="validation"):
        fit(model, (IMAGES,), Fit(1), validation=(IMAGES, IMAGES[:2]))
    assert torch.equal(model.decoder[0].bias, before)


def test_what_has_nothing_to_learn_is_refused():
    class Fixed(torch.nn.Module):
        def training_terms(self, images, noise):
            return {"mean": images.mean()}

    with pytest.raises(InvalidArgument, match="without parameters"):
        fit(Fixed(), (IMAGES,), Fit(1))


def test_an_evaluation_that_fails_leaves_the_model_as_it_was():
    model = make().train()
    with pytest.raises(InvalidArgument):
        evaluate(model, (IMAGES + 3,))
    assert model.training


class Dropped(torch.nn.Module):
    """Draws from torch's global random state, as dropout does."""

    def __init__(self):
        super().__init__()
        self.layer = torch.nn.Linear(2, 1)
        self.dropout = torch.nn.Dropout(0.5)

    def training_terms(self, x, noise):
        return {"loss": self.layer(self.dropout(x)).square().mean()}


def test_dropout_draws_from_the_seed_and_a_resumed_fit_ends_as_an_uninterrupted_one(tmp_path):
    def fitted(**settings):
        with initialised(0):
            model = Dropped()
        fit(model, (torch.ones(8, 2),), Fit(6, 4, **settings))
        return torch.cat([parameter.detach().flatten() for parameter in model.parameters()])

    torch.manual_seed(1)
    first = fitted()
    before = torch.get_rng_state()
    assert torch.equal(fitted(), first) and torch.equal(torch.get_rng_state(), before)
    saved = {"checkpoint": tmp_path / "fit", "checkpoint_every": 2}
    fitted(log_every=3, callbacks=[lambda entry: entry.step == 3], **saved)
    assert torch.equal(fitted(**saved), first)


def test_what_is_around_a_fit_changes_nothing_in_it() -> None:
    def trained() -> torch.Tensor:
        with initialised(0):
            model = models.VAE((1, 8, 8), width=2, channels=8)
        fit(model, (torch.ones(8, 1, 8, 8),), Fit(steps=2, batch_size=4))
        return model.decoder[0].weight.detach().clone()

    plain = trained()
    with torch.no_grad():
        assert torch.equal(trained(), plain)
