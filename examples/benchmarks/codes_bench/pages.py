"""Tables in pages of the manual that are written by hand otherwise."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

# Of each column its head, what it shows of a row, and how.
Columns = Mapping[str, tuple[str, str]]


def put(page: Path, name: str, text: str) -> None:
    """Write what stands between ``<!-- name -->`` and the next ``<!-- end -->`` of a page anew."""
    before, mark, rest = page.read_text().partition(f"<!-- {name} -->\n")
    _, end, after = rest.partition("<!-- end -->\n")
    if not (mark and end):
        raise ValueError(f"{page} has no <!-- {name} --> with an <!-- end --> after it")
    page.write_text(before + mark + text + end + after)


def table(head: str, rows: Mapping[str, Mapping[str, Any]], columns: Columns) -> str:
    """A line a row, named in the first column; what was not measured is left empty."""
    lines = [f"| {head} | {' | '.join(columns)} |", f"| --- |{' ---: |' * len(columns)}"]
    for name, row in rows.items():
        cells = (shape.format(row[key]) if key in row else "" for key, shape in columns.values())
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return "\n".join(lines)
