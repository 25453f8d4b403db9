"""examples/papers/melody_constraints.py: its page shows its log, and what it says of melodies."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest
import torch

sys.path.append(str(Path(__file__).parents[1] / "examples" / "papers"))
import melody_constraints as script

from latentsearch.melodies import HOLD, REST


def test_the_page_shows_the_log() -> None:
    rows = json.loads(script.LOG.read_text())["rows"]
    page = script.PAGE.read_text()
    assert len(rows) == 5
    for row in rows:
        line = next(line for line in page.splitlines() if line.startswith(f"| {row['method']} |"))
        for name in ("C major", "E flat major", "121 notes"):
            assert f"{row[name]:.3f} ({row[f'{name}, fully']:.1%})" in line, "run melody_constraints.py report --write"


def test_several_rules_are_worth_their_product_and_counted_apart() -> None:
    tune = torch.full((2, 32), HOLD)
    tune[0, :4] = torch.tensor([60, 62, 61, 63])  # half of it in C
    tune[1, :2] = torch.tensor([60, REST])
    rules = script.rules(2)["C major, 2 notes"]
    assert script.all_of(rules)(tune).tolist() == pytest.approx([0.5, 0.5])
    found = script.scored(tune, rules)
    assert found["C major"] == 0.75 and found["C major, fully"] == 0.5
    assert found["2 notes"] == 0.75 and found["2 notes, fully"] == 0.5


def test_variety_counts_melodies_and_steps() -> None:
    tunes = torch.tensor([[60, HOLD], [60, HOLD], [60, 62], [61, HOLD], [65, 65]])
    # The first two against the next two; the odd one is left out of pairs.
    assert script.variety(tunes) == {"distinct": 4 / 5, "apart": 0.5}


def test_what_the_page_says_of_the_cost() -> None:
    assert f"{script.saved():.0f} times fewer multiply-adds" in script.PAGE.read_text()
