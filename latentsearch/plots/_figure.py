"""Figures of matplotlib, an extra: made without pyplot, so that none is shown and none is kept."""

from __future__ import annotations

from typing import TYPE_CHECKING

from latentsearch.errors import Unsupported

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


def new_figure(caller: str, width: float, height: float) -> tuple[Figure, Axes]:
    """A figure of so many inches, and its axes, without a frame above and at the right."""
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        hint = "pip install 'latentsearch[plot]'"
        raise Unsupported(caller, got="no package matplotlib", expected="the extra `plot`", hint=hint) from error
    figure = Figure(figsize=(width, height), layout="constrained")
    axes = figure.subplots()
    axes.spines[["top", "right"]].set_visible(False)
    return figure, axes
