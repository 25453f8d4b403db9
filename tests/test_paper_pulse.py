"""examples/papers/pulse.py, on two of the images that come with the package."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

import pytest
import torch

import latentsearch as ls
from latentsearch import zoo

sys.path.append(str(Path(__file__).parents[1] / "examples" / "papers"))
import pulse


def few(split: str) -> tuple[torch.Tensor, torch.Tensor]:
    images, labels = zoo.images()
    return images[:8], labels[:8]


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> argparse.Namespace:
    monkeypatch.setattr(pulse, "mnist", few)
    return argparse.Namespace(problems=2, seeds=1, budgets=(8, 20))


@pytest.mark.parametrize("method", pulse.METHODS)
def test_every_method_is_measured_within_its_budget(method: str, small: argparse.Namespace) -> None:
    task = pulse.task_of("mnist-vae", 8, pulse.padded(few("test")[0][:2]))
    rows = list(pulse.measure(task, method, zoo.load("mnist-classifier").eval(), small))
    assert [row["budget"] for row in rows] == [8, 20, "stop"]
    assert all(row["evaluations"] <= most for row, most in zip(rows, (8, 20, 20), strict=True))
    assert all(0 <= row["within"] <= 1 for row in rows)


def test_epsilon_is_what_most_codes_of_the_encoder_come_to(small: argparse.Namespace) -> None:
    images = pulse.padded(few("test")[0])
    task = pulse.task_of("mnist-vae", 4, images)
    z = task.generator.encode(images)
    with torch.no_grad():
        score = task.goal.below(task.epsilon)(task.generator.decode(z), z)
    assert isinstance(score, ls.Score)
    assert int(score.passed.sum()) == 7


def test_the_page_shows_the_log() -> None:
    assert pulse.report(json.loads(pulse.LOG.read_text())) in pulse.PAGE.read_text(), "run pulse.py report --write"
