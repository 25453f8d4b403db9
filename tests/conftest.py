"""Settings and fixtures of the test suite."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import torch
from hypothesis import settings

torch.set_num_threads(1)

# The same examples every time, and no deadline: the machine may be busy with something else.
settings.register_profile("latentsearch", deadline=None, derandomize=True)
settings.load_profile("latentsearch")


@pytest.fixture(scope="session")
def data_root() -> Path:
    """The folder of real data: $LATENTSEARCH_DATA, else ``../shared/data`` next to the repository."""
    named = os.environ.get("LATENTSEARCH_DATA")
    root = Path(named) if named else Path(__file__).resolve().parents[2] / "shared" / "data"
    if root.is_dir():
        return root
    reason = f"no real data: $LATENTSEARCH_DATA is {named or 'not set'} and {root} is no folder"
    if os.environ.get("LATENTSEARCH_REQUIRE_DATA") == "1":
        pytest.fail(f"LATENTSEARCH_REQUIRE_DATA=1, but there is {reason}")
    pytest.skip(reason)
