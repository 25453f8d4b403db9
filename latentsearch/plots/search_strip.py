"""A search as it went, moment by moment."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from latentsearch._checks import require_count
from latentsearch.errors import InvalidArgument, describe
from latentsearch.plots.image_grid import image_grid

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def search_strip(
    frames: Tensor,
    targets: Tensor | None = None,
    *,
    moments: int = 8,
    labels: Sequence[str] | None = None,
    scale: int = 2,
    value_range: tuple[float, float] = (0.0, 1.0),
) -> Figure:
    """Draw the best output of each problem at some moments of its search, a row a problem, what was asked at the end.

    Args:
        frames: ``(T, B, C, H, W)``, such as ``film.decode(generator)`` of a [Film][latentsearch.plots.Film] gives.
        targets: ``(B, C, H, W)``: what to show last in each row.
        moments: Images a row, spread over the frames; the first and the last are among them.
        labels: One a problem.
        scale: How many times images are enlarged.
        value_range: What is shown black and white.

    Returns:
        A matplotlib figure; the extra ``plot`` has the package.

    Raises:
        InvalidArgument: If the frames are not images, or there are not as many targets as problems.
        Unsupported: If matplotlib is not installed.

    Example:
        >>> import torch
        >>> from latentsearch import plots
        >>> figure = plots.search_strip(torch.rand(20, 3, 1, 28, 28), torch.rand(3, 1, 28, 28))
    """
    require_count("search_strip.moments", moments)
    if not isinstance(frames, Tensor) or frames.ndim != 5 or not frames.numel():
        got = describe(frames) if isinstance(frames, Tensor) else type(frames).__name__
        raise InvalidArgument("search_strip.frames", got=got, expected="images (T, B, C, H, W)")
    if targets is not None and (not isinstance(targets, Tensor) or len(targets) != frames.shape[1]):
        got = describe(targets) if isinstance(targets, Tensor) else type(targets).__name__
        raise InvalidArgument("search_strip.targets", got=got, expected=f"{frames.shape[1]} images")
    shown = torch.linspace(0, len(frames) - 1, min(moments, len(frames))).round().long().unique()
    rows = list(frames[shown].transpose(0, 1))
    if targets is not None:
        if targets.shape[1:] != frames.shape[2:]:
            expected = f"images of the frames' shape, {tuple(frames.shape[2:])}"
            raise InvalidArgument("search_strip.targets", got=describe(targets), expected=expected)
        rows = [torch.cat([row, target[None].to(row)]) for row, target in zip(rows, targets, strict=True)]
    return image_grid(rows, [""] * len(rows) if labels is None else labels, scale=scale, value_range=value_range)
