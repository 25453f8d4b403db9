"""Run the code of a page that ends in an image, and put the image where the page shows it.

    python docs/.scripts/draw_tutorials.py

Tests run the same code, and keep nothing of it.
"""

import os
import re
import shutil
import tempfile
from pathlib import Path

DOCS = Path(__file__).resolve().parents[1]


def draw(page: Path) -> Path:
    """The image of a page, which is named as the page is."""
    blocks = re.findall(r"^```python\n(.*?)^```$", page.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE)
    image = page.with_suffix(".png").name
    home = Path.cwd()
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        exec(compile("\n".join(blocks), str(page), "exec"), {"__name__": "__main__"})
        os.chdir(home)
        return Path(shutil.copy(Path(folder) / image, DOCS / "assets" / image))


if __name__ == "__main__":
    for page in (*sorted((DOCS / "tutorials").glob("*.md")), DOCS / "howto" / "complete.md"):
        print(draw(page))
