"""A labelled grid of images, as a figure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from torch import Tensor

from latentsearch.plots._canvas import Canvas
from latentsearch.plots._figure import figure_of

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def image_grid(
    rows: Sequence[Tensor],
    labels: Sequence[str],
    *,
    titles: Mapping[int, str] | None = None,
    scale: int = 2,
    value_range: tuple[float, float] = (0.0, 1.0),
) -> Figure:
    """Draw rows of images, a label to the left of each: what [save_grid][latentsearch.plots.save_grid] writes.

    Args:
        rows: Images ``(n, C, H, W)`` for each row, C being 1 or 3; n may differ.
        labels: One for each row.
        titles: Headings: the number of a row, and what to write above it.
        scale: How many times the largest images are enlarged.
        value_range: What is shown black and white.

    Returns:
        A matplotlib figure; the extra ``plot`` has the package.

    Raises:
        InvalidArgument: If a row has another shape, is not floating, or lies far out of range.
        Unsupported: If matplotlib is not installed.

    Example:
        >>> import torch
        >>> from latentsearch import plots
        >>> figure = plots.image_grid([torch.rand(4, 1, 28, 28), torch.rand(4, 1, 28, 28)], ["given", "found"])
        >>> len(figure.axes)
        1
    """
    return figure_of("image_grid", Canvas("image_grid", rows, labels, titles, scale, value_range).draw())
