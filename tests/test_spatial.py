"""examples/benchmarks/spatial.py, on a VQ-VAE that was never trained."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

import pytest
import torch

import latentsearch as ls
from latentsearch import models, training

sys.path.append(str(Path(__file__).parents[1] / "examples" / "benchmarks"))

import spatial
from codes_bench import generators


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    images = ls.Noise.from_seed(0).uniform(60, 3, 32, 32)[0]
    with training.initialised(0):
        base = models.VQVAE((3, 32, 32), codebook_size=8, width=8, channels=8, residual_blocks=1).eval()
        judge = models.Classifier((3, 32, 32)).eval()
    monkeypatch.setattr(spatial, "cifar10_subset", lambda split: (images, torch.zeros(60)))
    monkeypatch.setattr(generators, "trained", lambda name: base)
    monkeypatch.setattr(generators, "judge", lambda data: judge)
    for name, part in (("TRAIN", slice(0, 40)), ("HELD_OUT", slice(40, 60)), ("REFERENCE", slice(10, 40))):
        monkeypatch.setattr(spatial, name, part)
    monkeypatch.setattr(spatial, "COMPONENTS", 2)
    monkeypatch.setattr(spatial, "PATCHES", 200)
    monkeypatch.setattr(spatial, "CHAIN", ls.MALASearch(burn_in=2, transitions=2))
    monkeypatch.setattr(spatial, "BUDGETS", (6, 10))


@pytest.mark.usefixtures("small")
def test_every_prior_is_measured_within_its_budget(tmp_path: Path) -> None:
    named = [spatial.NONE, *spatial.PRIORS]
    options = argparse.Namespace(tasks=["x4"], priors=named, count=3, seed=0, out=tmp_path / "log.json")
    spatial.run(options)
    log = json.loads(options.out.read_text())
    assert set(log["nats"]) == set(spatial.PRIORS)
    rows = log["tasks"]["x4"]
    assert set(rows) == {"*encodings*", *spatial.METHODS} and rows.pop("*encodings*")["floor"] >= 0
    assert all(row["evaluations"] <= 16 and row["hidden"] > 0 for row in rows.values())
    assert all(name in spatial.table(rows) for name in rows)
