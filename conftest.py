"""What every collected item shares: one thread, and the code blocks of the documentation as tests."""

from __future__ import annotations

import os
import tempfile
from typing import Any

import pytest
import torch
from sybil import Sybil
from sybil.parsers.markdown import PythonCodeBlockParser

# Small tensors gain nothing from threads, and lose much on a machine that is busy with something else.
torch.set_num_threads(1)


def _enter(namespace: dict[str, Any]) -> None:
    """Blocks of one page run in a folder of their own, where what they write does not litter."""
    folder = tempfile.TemporaryDirectory(prefix="latentsearch-docs-")
    namespace["_leave"] = (folder, os.getcwd())
    os.chdir(folder.name)


def _leave(namespace: dict[str, Any]) -> None:
    folder, home = namespace["_leave"]
    os.chdir(home)
    folder.cleanup()


pytest_collect_file = Sybil(
    parsers=[PythonCodeBlockParser()],
    patterns=["README.md", "docs/*.md", "docs/**/*.md"],
    setup=_enter,
    teardown=_leave,
).pytest()


def pytest_itemcollected(item: pytest.Item) -> None:
    """Examples of docstrings run as a reader pastes them: with what they import, and nothing of their module."""
    if isinstance(item, pytest.DoctestItem):
        item.dtest.globs = {"__name__": "__main__"}
