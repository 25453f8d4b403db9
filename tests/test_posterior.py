"""examples/benchmarks/posterior.py and its priors, on a few of the images that come with the package."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest
import torch

import latentsearch as ls
from latentsearch import zoo
from latentsearch.errors import BrokenFile

sys.path.append(str(Path(__file__).parents[1] / "examples" / "benchmarks"))

import posterior
import train_priors
from codes_bench import generators, priors


@pytest.fixture
def given(monkeypatch: pytest.MonkeyPatch) -> posterior.Given:
    images, labels = zoo.images()
    monkeypatch.setattr(posterior, "mnist", lambda split: (images, labels))
    monkeypatch.setattr(posterior, "REFERENCE", slice(0, 20))
    monkeypatch.setattr(posterior, "NOISE_FROM", 40_000)  # all that there are
    monkeypatch.setattr(generators, "judge", lambda data: zoo.load("mnist-classifier").eval())
    return posterior.given_of("mnist-512", 0, 2)


@pytest.mark.parametrize("method", posterior.METHODS)
def test_every_method_is_measured_within_its_budget(method: str, given: posterior.Given) -> None:
    task = posterior.task_of(given, "x4", 0.5)
    row = posterior.measure(given, task, method, 60, seed=0)
    assert row["evaluations"] <= 60
    assert all(0 <= row[name] <= 1 for name in ("within tolerance", "in band", "both", "read right"))


def test_half_the_values_count_for_a_wider_noise(given: posterior.Given) -> None:
    whole, half = (posterior.task_of(given, "inpaint", kappa).noise for kappa in (1.0, 0.5))
    assert half == pytest.approx(2**0.5 * whole)


def test_the_reader_of_halves_does_not_see_the_other_half() -> None:
    images = torch.rand(2, 1, 28, 28)
    reader = posterior.HalfReader().eval()
    other = torch.where(posterior.seen_half(images) > 0, images, 0.3)
    assert torch.equal(reader(images), reader(other))


def test_the_page_shows_the_log() -> None:
    page = posterior.PAGE.read_text()
    assert posterior.report(json.loads(posterior.LOG.read_text())) in page, "run posterior.py report --write"
    assert len(page.splitlines()) <= 100


@pytest.mark.parametrize("data", posterior.DATA)
def test_a_judge_shares_nothing_with_what_it_judges(data: str) -> None:
    prior, judge = (priors.RECIPES[f"{data}-{role}"] for role in ("masked", "judge"))
    assert prior.last <= judge.first
    assert prior.seed != judge.seed and prior.model is not judge.model


def test_weights_are_those_of_the_log(tmp_path: Path) -> None:
    generator, _ = generators.load("mnist-512")
    with pytest.raises(BrokenFile, match=r"run train_priors.py mnist-512-judge"):
        priors.load("mnist-512-judge", generator, folder=tmp_path)
    (tmp_path / "log.json").write_text("{}")
    with pytest.raises(BrokenFile, match="SHA-256"):
        priors.load("mnist-512-judge", generator, log=tmp_path / "log.json")


def test_views_begin_with_the_image_and_its_mirror_image() -> None:
    images = torch.rand(3, 3, 8, 8)
    found = train_priors.views(images, 4)
    assert torch.equal(found[0], images) and torch.equal(found[1], images.flip(-1))
    assert all(view.shape == images.shape for view in found)


def test_training_goes_by_the_recipe(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    recipe = priors.Recipe(priors.PixelCNN, "mnist-512", 0, 12, 4, 1, 8, 1, 0.1, 0.02, 2, 0, log_every=1)
    monkeypatch.setitem(train_priors.RECIPES, "small", recipe)
    generator, _ = generators.load("mnist-512")
    codes = generator.encode(zoo.images()[0])
    grids, plain, held_out = train_priors.split_of(recipe, codes[:, None])
    assert torch.equal(grids, codes[:8]) and torch.equal(plain, grids) and torch.equal(held_out, codes[8:12])
    model = train_priors.build(recipe, generator, train_priors.histogram_of(plain))
    history = train_priors.fit("small", model, grids, held_out, tmp_path)
    figures = train_priors.worth(model, train_priors.histogram_of(plain), held_out, codes[12:])
    assert history.step == [1, 2]
    assert figures["test_bits_of"]["uniform"] == 9.0
    assert isinstance(model, ls.AutoregressivePrior)
