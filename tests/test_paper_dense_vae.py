"""examples/papers/train_dense_vae.py: what it reads off the bound, and its log."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

import latentsearch as ls
from latentsearch import models, training

sys.path.append(str(Path(__file__).parents[1] / "examples" / "papers"))
import train_dense_vae as script


def test_the_error_of_a_pixel_is_read_off_the_likelihood() -> None:
    with training.initialised(0):
        model = models.DenseVAE((1, 4, 4), width=3, hidden=16, noise=0.2)
    images, noise = ls.Noise.from_seed(1, 6).uniform(1, 4, 4), ls.Noise.from_seed(0)
    figures = script.bound(model, images)
    mean, std = model.posterior(images)
    # The streams of `training.evaluate`: its own, and that of the first batch.
    z = mean + std * noise.fold(3).fold(0).normal(6, 3)[0]
    assert figures["mse"] == pytest.approx((model.decode(z) - images).square().mean().item(), rel=1e-4)
    assert figures["elbo"] == figures["log_likelihood"] - figures["kl"]


def test_the_best_variance_is_where_the_error_equals_it() -> None:
    # Errors that fall with the square root of the variance, 0.02 sqrt(v), cross it at 0.0004.
    rows = {f"{v:g}": {"held_out": {"mse": 0.02 * v**0.5}} for v in (1.0, 1e-2, 1e-4)}
    assert script.best_variance(rows) == pytest.approx(4e-4)
    with pytest.raises(ValueError, match="wider range"):
        script.best_variance({"1": {"held_out": {"mse": 0.1}}, "0.5": {"held_out": {"mse": 0.1}}})


def test_the_page_shows_the_log(capsys: pytest.CaptureFixture[str]) -> None:
    script.report(write=False)
    lines = [line for line in capsys.readouterr().out.splitlines() if line.startswith("|")]
    page = script.PAGE.read_text().splitlines()
    assert len(lines) > 8 and all(line in page for line in lines), "run train_dense_vae.py report --write"


def test_the_log_holds_the_sweep() -> None:
    log = json.loads(script.LOG.read_text())
    assert {float(name) for name in log["sweep"]} == {*script.VARIANCES, log["best_variance"]}
    elbos = {name: row["test"]["elbo"] for name, row in log["sweep"].items()}
    assert float(max(elbos, key=lambda name: elbos[name])) == log["best_variance"]
