"""The record of every experiment: small JSON files, written entry by entry."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any


def read(path: Path) -> dict[str, Any]:
    """What the file holds; nothing if there is none yet."""
    return json.loads(path.read_text()) if path.exists() else {}


def write(path: Path, section: str, entries: Iterable[tuple[str, Any]]) -> None:
    """Put entries into a section as they come, so that a run cut short keeps what it has."""
    for name, entry in entries:
        log = read(path)
        log.setdefault(section, {})[name] = entry
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(_dump(log))
        print(section, name, {k: v for k, v in entry.items() if not k.startswith(("each", "ratio"))}, flush=True)


def _dump(log: dict[str, Any]) -> str:
    """JSON of few lines: lists and small tables each on one."""
    text = json.dumps(log, indent=1)
    text = re.sub(r"\[[^\[\]{}]*\]", lambda m: re.sub(r"\s+", " ", m[0]), text)
    return re.sub(r"\{[^{}]*\}", lambda m: re.sub(r"\s+", " ", m[0]), text) + "\n"
