"""The logs: one JSON file a generator, so that generators can be measured at the same time."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parents[2] / "logs" / "codes"

Log = dict[str, Any]


def read(folder: Path, name: str) -> Log:
    """The log of a generator; an empty one if nothing was measured yet."""
    path = folder / f"{name}.json"
    return json.loads(path.read_text()) if path.exists() else {}


def write(folder: Path, name: str, log: Log) -> None:
    """The whole file or nothing; lists of numbers take one line each."""
    folder.mkdir(parents=True, exist_ok=True)
    text = json.dumps(log, indent=1, ensure_ascii=False)
    text = re.sub(r"\[\s+([^\[\]{}]*?)\s+\]", lambda m: "[" + re.sub(r"\s+", "", m[1]) + "]", text)
    part = folder / f".{name}.part"
    part.write_text(text + "\n")
    os.replace(part, folder / f"{name}.json")


def digits(values: list[float], count: int = 4) -> list[float]:
    """Rounded to significant digits, whole numbers without a point."""
    rounded = [float(f"{value:.{count}g}") for value in values]
    return [int(value) if value.is_integer() else value for value in rounded]
