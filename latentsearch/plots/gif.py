"""An animated grid: the search as it went."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from torch import Tensor

from latentsearch._checks import in_short, require_count, require_file_path
from latentsearch.errors import InvalidArgument
from latentsearch.plots._canvas import Canvas

_HOLD = 2000  # milliseconds that the last frame stays


def save_gif(
    path: str | os.PathLike[str],
    rows: Sequence[Tensor],
    labels: Sequence[str],
    *,
    titles: Mapping[int, str] | None = None,
    captions: Sequence[str] = (),
    milliseconds: int = 120,
    scale: int = 3,
    value_range: tuple[float, float] = (0.0, 1.0),
) -> Path:
    """Write an animated GIF: problems side by side, targets above, the search below them.

    It is [save_grid][latentsearch.plots.save_grid] with rows that move. A still row, such as the
    targets, is ``(n, C, H, W)``; a moving one is ``(T, n, C, H, W)``, as
    [Film.decode][latentsearch.plots.Film.decode] gives it. A row that is over keeps its last frame.

    Args:
        path: Where to, a name that ends in ``.gif``; folders are made.
        rows: Still and moving rows; at least one moves.
        labels: One for each row.
        titles: Headings: the number of a row, and what to write above it.
        captions: A line below each frame, such as the step; none, or one for each frame.
        milliseconds: How long a frame stays; the last one stays two seconds.
        scale: How many times the largest images are enlarged.
        value_range: What is shown black and white.

    Returns:
        The path.

    Raises:
        InvalidArgument: If a row has another shape or lies far out of range, or no row moves.

    Example:
        >>> import tempfile
        >>> import torch
        >>> from latentsearch import plots
        >>> folder = tempfile.mkdtemp()
        >>> targets, frames = torch.rand(3, 1, 8, 8), torch.rand(5, 3, 1, 8, 8)
        >>> plots.save_gif(f"{folder}/search.gif", [targets, frames], ["target", "search"]).name
        'search.gif'
    """
    path = require_file_path("save_gif.path", path, "search.gif", kinds=(".gif",))
    require_count("save_gif.milliseconds", milliseconds, 20)
    count = _frames(rows)
    if not isinstance(captions, Sequence) or isinstance(captions, str):
        raise InvalidArgument("save_gif.captions", got=in_short(captions), expected=f"a list of {count} texts, or none")
    if len(captions) not in (0, count):
        raise InvalidArgument(
            "save_gif.captions", got=f"{len(captions)} captions", expected=f"none, or one for each of {count} frames"
        )
    canvas = Canvas("save_gif", rows, labels, titles, scale, value_range, captioned=bool(captions))
    # 32 shades: nobody sees the difference, and the file is half as large.
    shades = [value // 8 * 8 + value // 32 for value in range(256)] * len(canvas.mode)
    frames = [canvas.draw(moment, captions[moment] if captions else "").point(shades) for moment in range(count)]
    path.parent.mkdir(parents=True, exist_ok=True)
    durations = [milliseconds] * (count - 1) + [_HOLD]
    frames[0].save(path, format="GIF", save_all=True, append_images=frames[1:], duration=durations, loop=0)
    return path


def _frames(rows: object) -> int:
    """How many moments the longest moving row has."""
    found = [row for row in rows if isinstance(row, Tensor)] if isinstance(rows, Sequence) else []
    count = max([len(row) for row in found if row.ndim == 5], default=0)
    if not count:
        got = f"no moving row, but {' and '.join(str(tuple(row.shape)) for row in found) or in_short(rows)}"
        raise InvalidArgument("save_gif.rows", got=got, expected="at least one (T, n, C, H, W)")
    return count
