"""Tables in pages of the manual that are written by hand otherwise."""

from __future__ import annotations

from pathlib import Path


def put(page: Path, name: str, text: str) -> None:
    """Write what stands between ``<!-- name -->`` and the next ``<!-- end -->`` of a page anew."""
    before, mark, rest = page.read_text().partition(f"<!-- {name} -->\n")
    _, end, after = rest.partition("<!-- end -->\n")
    if not (mark and end):
        raise ValueError(f"{page} has no <!-- {name} --> with an <!-- end --> after it")
    page.write_text(before + mark + text + end + after)
