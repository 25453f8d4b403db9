"""A page of HTML in one file: its style, its figures and its text are inside, and it loads nothing."""

from __future__ import annotations

import base64
import html
import io
import os
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from latentsearch._checks import in_short, require_file_path
from latentsearch.errors import InvalidArgument

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_STYLE = """
body { font: 16px/1.55 system-ui, sans-serif; color: #222; max-width: 60rem; margin: 2rem auto; padding: 0 1.2rem }
h1 { font-size: 1.7rem; margin-bottom: .2rem } h2 { font-size: 1.2rem; margin-top: 2.2rem }
.lead { color: #555; margin-top: 0 } .note { color: #555; font-size: .92rem }
table { border-collapse: collapse; margin: .8rem 0 } th { text-align: left; font-weight: 600 }
th, td { padding: .3rem .9rem .3rem 0; border-bottom: 1px solid #e4e4e4; vertical-align: top }
td.mark { white-space: nowrap } .good { color: #12743c } .fair { color: #a15c00 } .poor { color: #b3261e }
.wide { overflow-x: auto }
pre { background: #f5f6f8; padding: .8rem 1rem; overflow-x: auto; border-radius: 4px; font-size: .9rem }
figure { margin: 1rem 0 } img { max-width: 100%; height: auto } figcaption { color: #555; font-size: .92rem }
"""


class Page:
    """Blocks one after the other; every text is escaped.

    Args:
        title: The heading, and the browser's.
        lead: A line under it.

    Example:
        >>> from latentsearch.report import Page
        >>> page = Page("A search", "two problems")
        >>> page.text("All < 0.1.")
        >>> "All &lt; 0.1." in page.html()
        True
    """

    def __init__(self, title: str, lead: str = "") -> None:
        self.title, self._blocks = title, [f"<h1>{_escaped('title', title)}</h1>"]
        if _escaped("lead", lead):
            self._blocks.append(f'<p class="lead">{html.escape(lead)}</p>')

    def heading(self, text: str) -> None:
        """The heading of a section."""
        self._blocks.append(f"<h2>{_escaped('heading', text)}</h2>")

    def text(self, text: str, *, note: bool = False) -> None:
        """A paragraph; a note is smaller."""
        self._blocks.append(f"<p{' class=note' if note else ''}>{_escaped('text', text)}</p>")

    def code(self, source: str) -> None:
        """Lines to paste."""
        self._blocks.append(f"<pre>{_escaped('code', source)}</pre>")

    def table(self, head: Sequence[str], rows: Sequence[Sequence[str]], marks: Sequence[str] = ()) -> None:
        """Rows of cells; ``marks``, one a row, colours the first cell: good, fair or poor."""
        lines = ["<tr>" + "".join(f"<th>{_escaped('cell', cell)}</th>" for cell in head) + "</tr>"]
        for number, row in enumerate(rows):
            first = f'<td class="mark {marks[number]}">' if marks else "<td>"
            cells = [
                first + _escaped("cell", row[0]) + "</td>",
                *(f"<td>{_escaped('cell', cell)}</td>" for cell in row[1:]),
            ]
            lines.append("<tr>" + "".join(cells) + "</tr>")
        self._blocks.append('<div class="wide"><table>' + "".join(lines) + "</table></div>")

    def figure(self, figure: Figure, caption: str = "") -> None:
        """A figure of matplotlib, as an image inside the page."""
        words = _escaped("caption", caption)
        stream = io.BytesIO()
        figure.savefig(stream, format="png", metadata={"Software": None})
        data = base64.b64encode(stream.getvalue()).decode()
        label = f"<figcaption>{words}</figcaption>" if caption else ""
        image = f'<img src="data:image/png;base64,{data}" alt="{html.escape(caption, quote=True)}">'
        self._blocks.append(f"<figure>{image}{label}</figure>")

    def html(self) -> str:
        """The whole file."""
        head = f'<meta charset="utf-8"><title>{html.escape(self.title)}</title><style>{_STYLE}</style>'
        view = '<meta name="viewport" content="width=device-width">'
        body = "\n".join(self._blocks)
        return f"<!doctype html>\n<html lang=en>\n<head>{head}{view}</head>\n<body>\n{body}\n</body>\n</html>\n"

    def write(self, path: str | os.PathLike[str]) -> Path:
        """Write the file; folders are made, and a file of this name is replaced only once all is written."""
        path = require_file_path("Page.write", path)
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor, part = tempfile.mkstemp(suffix=".part", dir=path.parent)
        try:
            with open(descriptor, "w", encoding="utf-8") as file:
                file.write(self.html())
            os.chmod(part, 0o666 & ~_umask())
            os.replace(part, path)
        except BaseException:
            os.unlink(part)
            raise
        return path


def _escaped(what: str, text: object) -> str:
    if not isinstance(text, str):
        raise InvalidArgument(f"Page.{what}", got=in_short(text), expected="a text")
    return html.escape(text)


def _umask() -> int:
    """That of the process, which can only be read by setting it."""
    mask = os.umask(0)
    os.umask(mask)
    return mask
