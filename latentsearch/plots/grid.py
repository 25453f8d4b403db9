"""A labelled grid of images."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from torch import Tensor

from latentsearch._checks import require_file_path
from latentsearch.plots._canvas import Canvas


def save_grid(
    path: str | os.PathLike[str],
    rows: Sequence[Tensor],
    labels: Sequence[str],
    *,
    titles: Mapping[int, str] | None = None,
    scale: int = 3,
    value_range: tuple[float, float] = (0.0, 1.0),
) -> Path:
    """Write rows of images as a PNG file, a label to the left of each row.

    Images of different sizes are enlarged, pixel by pixel, to the size of the largest, so that a
    small one can stand above what was found for it. Values a little out of range are clipped.

    Args:
        path: Where to, a name that ends in ``.png``; folders are made.
        rows: Images ``(n, C, H, W)`` for each row, C being 1 or 3; n may differ.
        labels: One for each row.
        titles: Headings: the number of a row, and what to write above it.
        scale: How many times the largest images are enlarged.
        value_range: What is shown black and white.

    Returns:
        The path.

    Raises:
        InvalidArgument: If a row has another shape, is not floating, or lies far out of range, or the path is none of
            such a file.

    Example:
        >>> import tempfile
        >>> import torch
        >>> from latentsearch import plots
        >>> folder = tempfile.mkdtemp()
        >>> target, small = torch.rand(4, 1, 28, 28), torch.rand(4, 1, 7, 7)
        >>> plots.save_grid(f"{folder}/grid.png", [small, target], ["seen", "target"], titles={0: "x4"}).name
        'grid.png'
    """
    path = require_file_path("save_grid.path", path, "grid.png", kinds=(".png",))
    image = Canvas("save_grid", rows, labels, titles, scale, value_range).draw()
    path.parent.mkdir(parents=True, exist_ok=True)
    image.save(path, format="PNG", optimize=True)
    return path
