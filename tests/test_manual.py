"""The manual can be read: code fits its column, and links of the home page stay on the site."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[1]
PAGES = [REPOSITORY / "README.md", REPOSITORY / "CONTRIBUTING.md", *sorted((REPOSITORY / "docs").rglob("*.md"))]
COLUMNS = 76  # what a code block shows beside the navigation


def code_lines(text: str) -> Iterator[tuple[int, str]]:
    """(number, line) of all that stands in a fenced block, indented ones included."""
    fence = ""
    for number, line in enumerate(text.splitlines(), 1):
        mark = re.match(r"\s*(`{3,}|~{3,})", line)
        if mark and (not fence or line.strip() == fence):
            fence = "" if fence else mark[1]
        elif fence:
            yield number, line


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(REPOSITORY).as_posix())
def test_code_blocks_fit_their_column(page: Path) -> None:
    wide = [number for number, line in code_lines(page.read_text()) if len(line) > COLUMNS]
    assert not wide, f"lines {wide} are wider than {COLUMNS} columns; put a comment on a line of its own"


def test_wide_code_is_seen() -> None:
    text = "```python\nok\n" + "x" * 77 + "\n```\n" + "y" * 90 + "\n    ```sh\n    " + "z" * 80 + "\n    ```\n"
    assert [number for number, _ in code_lines(text)] == [2, 3, 7]


def test_links_of_the_home_page_stay_on_the_site() -> None:
    """What it takes from the README names its links; the README defines them for GitHub, the page for the site."""
    readme, home = (REPOSITORY / "README.md").read_text(), (REPOSITORY / "docs" / "index.md").read_text()
    parts = re.findall(r'^--8<-- "README.md:(\w+)"$', home, re.MULTILINE)
    taken = [re.search(rf"\[start:{part}\] -->(.*)<!-- --8<-- \[end:{part}\]", readme, re.DOTALL) for part in parts]
    body = "".join(part[1] for part in taken if part)
    assert len(body) > 3000 and "https://github.com" not in body and "](docs/" not in body
    defined = dict(re.findall(r"^\[(\w+)\]: (\S+)$", home, re.MULTILINE))
    assert set(re.findall(r"\]\[(\w+)\]", body)) == set(defined)
    assert all((REPOSITORY / "docs" / target).exists() for target in defined.values())


@pytest.mark.parametrize("page", sorted((REPOSITORY / "docs" / "tutorials").glob("*.md")), ids=lambda page: page.stem)
def test_tutorials_end_in_the_image_that_they_show(page: Path) -> None:
    """``docs/.scripts/draw_tutorials.py`` puts it there."""
    image, text = f"{page.stem}.png", page.read_text(encoding="utf-8")
    assert f"](../assets/{image})" in text and f'save_grid("{image}"' in text
    assert 0 < (REPOSITORY / "docs" / "assets" / image).stat().st_size < 50_000, "an image of a page is small"


# Words of one house, each with the field's word that says the same.
PRIVATE = {
    r"wish(es)?": "constraint, goal",
    r"luck": "randomness",
    r"mends?": "hint",
    r"judges": "threshold",
    r"afresh": "restart",
    r"dear(er)?": "expensive",
}


@pytest.mark.parametrize(
    "page",
    [page for page in PAGES if "results" not in page.parts],
    ids=lambda page: page.relative_to(REPOSITORY).as_posix(),
)
def test_pages_speak_the_words_of_the_field(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    found = {word: instead for word, instead in PRIVATE.items() if re.search(rf"\b{word}\b", text, re.IGNORECASE)}
    assert not found, f"write {', '.join(found.values())} in place of {', '.join(found)}"
