"""examples/papers/direct_argmax.py on few images of noise, and its page beside its logs."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest
import torch

from latentsearch.models import PictureLoss
from latentsearch.noise import Noise
from latentsearch.relaxations.estimator import neighbourhood
from latentsearch.testing import Check, parametrize_with_checks

PAPERS = Path(__file__).parents[1] / "examples" / "papers"
sys.path[:0] = [str(PAPERS)]
import direct_argmax as script  # noqa: E402
from argmax import bounds, digits, gradients, speed, tables  # noqa: E402


@pytest.fixture
def few(monkeypatch):
    """200 images to train, 50 to validate, 50 to test."""
    grey = Noise.from_seed(7, 300).uniform(1, 28, 28).square()
    images = digits.binary(grey, 0)
    parts = {"train": images[:200], "validation": images[200:250], "test": images[250:]}
    monkeypatch.setattr(digits, "parts", lambda **kind: parts)
    monkeypatch.setattr(bounds, "SAMPLES", 3)
    return parts


def test_pixels_are_drawn_with_their_grey_value_as_the_chance():
    grey = torch.tensor([0.0, 0.25, 0.75, 1.0]).expand(4000, 1, 1, 4)
    first, second = digits.binary(grey, 0), digits.binary(grey, 1)
    assert torch.allclose(first.mean(0).flatten(), torch.tensor([0.0, 0.25, 0.75, 1.0]), atol=0.03)
    assert torch.equal(first, digits.binary(grey, 0)) and not torch.equal(first, second)
    assert torch.equal(digits.binary(grey, 0, threshold=True)[0, 0, 0], torch.tensor([0.0, 0.0, 1.0, 1.0]))


def test_bounds_are_logged_once_and_fits_go_on(few, tmp_path, capsys):
    arguments = ["bounds", "--settings", "3x2", "--methods", "direct", "enumerated", "--epochs", "2", "--logs",
                 str(tmp_path), "--runs", str(tmp_path / "runs")]  # fmt: skip
    script.main(arguments)
    log = json.loads((tmp_path / "argmax_bounds.json").read_text())["3x2"]
    record = log["direct"]["2 epochs, 0.001, seed 0"]
    assert set(log) == {"direct", "enumerated"} and len(record["validation"]) == 2
    assert record["epoch"] == 1 + record["validation"].index(min(record["validation"]))
    capsys.readouterr()
    script.main(arguments)
    assert capsys.readouterr().out == ""
    assert "3x2 | direct" in tables.bounds({"3x2": log})


@pytest.mark.parametrize("method", bounds.METHODS)
def test_every_method_takes_a_step(few, method):
    net = bounds.model(bounds.Setting(2, 3), method, 0, bounds.Fitting(50)).train()
    terms = net.training_terms(few["train"][:5], Noise.from_seed(0))
    (terms["reconstruction"] + terms["kl"]).backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in net.encoder.parameters())
    assert net.training_terms(few["train"][:5], Noise.from_seed(0))["kl"].requires_grad == ("no KL" not in method)


def test_the_stretched_schedule_comes_as_far_as_300_epochs():
    steps = 500
    assert bounds.schedule(50)(50 * steps - 1) == pytest.approx(bounds.schedule(300)(300 * steps - 1), rel=0.01)


@parametrize_with_checks([bounds.Enumerated()])
def test_the_control_keeps_the_laws(check: Check) -> None:
    check()


def test_gradients_of_an_unbiased_estimator_have_no_bias_and_those_of_enumeration_no_deviation(few):
    net = gradients.trained(1, steps=2)
    exact = gradients.gradient(net, bounds.Enumerated(), few["train"][:20], 0)
    bias, deviation = gradients.figures(net, bounds.Enumerated(), few["train"][:20], exact, draws=5)
    assert bias < 1e-3 and deviation < 1e-3
    bias, deviation = gradients.figures(net, gradients.Rloo(4), few["train"][:20], exact, draws=100)
    assert bias < 0.25 * deviation


def test_the_loop_that_speed_is_measured_against_gives_the_same_losses(few):
    net = bounds.model(bounds.Setting(4, 3), "direct", 0, bounds.Fitting(1))
    loss, z = PictureLoss(net, few["train"][:6]), Noise.from_seed(0, 6).integers(3, 4)
    assert torch.allclose(speed.looped(loss, z, 3), neighbourhood(loss, z, 3), rtol=1e-5)


def test_the_page_shows_the_logs():
    page = script.PAGE.read_text()
    for name, make in tables.PARTS.items():
        for line in make(script.read(script.LOGS / f"argmax_{name}.json")).splitlines():
            assert line in page, f"{name}: run direct_argmax.py report"


def test_categories_in_use_are_those_of_images_enough():
    net = bounds.model(bounds.Setting(2, 3), "direct", 0, bounds.Fitting(1)).eval()
    z = torch.tensor([[0, 2]] * 9 + [[1, 2]] * 10 + [[2, 0]] * 11)
    net.encode = lambda images: z  # type: ignore[method-assign]
    assert bounds.used(net, torch.zeros(30, 1, 28, 28)) == 2 + 2
    assert bounds.used(net, torch.zeros(30, 1, 28, 28), least=9) == 3 + 2
