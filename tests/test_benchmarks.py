"""What the benchmarks logged is what the documentation says, and outsiders play by the rules."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest
import torch

import latentsearch as ls
from latentsearch import zoo
from latentsearch.testing import Check, parametrize_with_checks

ROOT = Path(__file__).parents[1]
sys.path.append(str(ROOT / "examples" / "benchmarks"))

import branch_and_bound  # noqa: E402
import codes as bench  # noqa: E402
import swap_scores  # noqa: E402
from codes_bench import methods, outsiders, tasks  # noqa: E402


def test_the_page_on_swaps_shows_the_log():
    page = (ROOT / "docs" / "explanation" / "swaps.md").read_text()
    for line in swap_scores.table(json.loads(swap_scores.LOG.read_text())).splitlines():
        assert line in page


def test_the_page_on_proofs_shows_the_log():
    page = (ROOT / "docs" / "explanation" / "proofs.md").read_text()
    for line in branch_and_bound.table(json.loads(branch_and_bound.LOG.read_text())).splitlines():
        assert line in page


@parametrize_with_checks([outsiders.GCG(batch=4, top=3), outsiders.OnePlusLambda(children=5)])
def test_outsiders_keep_the_laws(check: Check) -> None:
    check()


@pytest.fixture(scope="module")
def problem() -> tasks.Problem:
    """As `tasks.make` makes them, of the pictures that the package carries."""
    generator, images = ls.wrap(zoo.load("mnist-vqvae-40")), zoo.images()[0][:3]
    assert isinstance(generator, ls.CodebookGenerator)
    wish, own = tasks.superresolution(images), generator.encode(images)
    yardstick = wish(generator.decode(own), own).loss
    return tasks.Problem(generator, wish, yardstick, torch.zeros(3, 7, 7, dtype=torch.int64))


@pytest.mark.parametrize("name", ["RelaxedSearch", "GCG", "algorithm 2"])
def test_a_method_is_measured_at_every_budget(name, problem, monkeypatch):
    monkeypatch.setattr(bench, "BUDGETS", (70, 140))
    found = bench.measure(problem, name, 1000.0 if name in methods.TUNED else None, seed=0)
    assert list(found["budgets"]) == ["70", "140"] and found["problems"] == 3
    assert 0 < found["budgets"]["140"]["mean"] <= found["budgets"]["70"]["mean"] or name == "RelaxedSearch"
    assert name in bench.table({name: {"0": found}})


def test_the_rule_counts_bright_pixels():
    images = zoo.images()[0][:2]
    rule = tasks.bright(images)
    none = torch.zeros_like(images)
    wanted = (images[:, 0, 7:21, 7:21] > 0.5).flatten(1).sum(1)
    assert torch.equal(rule(none, none).loss, wanted.float()) and (rule(images, images).loss == 0).all()
    assert methods.names(rule.differentiable) == list(methods.NO_GRADIENT)
