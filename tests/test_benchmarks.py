"""What the benchmarks logged is what the documentation says."""

from __future__ import annotations

import json
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
sys.path.append(str(ROOT / "examples" / "benchmarks"))

import swap_scores  # noqa: E402


def test_the_page_on_swaps_shows_the_log():
    page = (ROOT / "docs" / "explanation" / "swaps.md").read_text()
    for line in swap_scores.table(json.loads(swap_scores.LOG.read_text())).splitlines():
        assert line in page
