"""Figures of matplotlib, an extra: made without pyplot, so that none is shown and none is kept."""

from __future__ import annotations

from typing import TYPE_CHECKING

from latentsearch.errors import Unsupported

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from PIL import Image

_DOTS = 100  # an inch


def bare_figure(caller: str, width: float, height: float) -> Figure:
    """A figure of so many inches, without axes."""
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        hint = "pip install 'latentsearch[plot]'"
        raise Unsupported(caller, got="no package matplotlib", expected="the extra `plot`", hint=hint) from error
    return Figure(figsize=(width, height), layout="constrained")


def new_figure(caller: str, width: float, height: float) -> tuple[Figure, Axes]:
    """A figure of so many inches, and its axes, without a frame above and at the right."""
    figure = bare_figure(caller, width, height)
    axes = figure.subplots()
    axes.spines[["top", "right"]].set_visible(False)
    return figure, axes


def figure_of(caller: str, image: Image.Image) -> Figure:
    """A figure that is an image and nothing else, a dot for a pixel."""
    import numpy

    figure = bare_figure(caller, image.width / _DOTS, image.height / _DOTS)
    figure.set_layout_engine("none")
    figure.set_dpi(_DOTS)
    axes = figure.add_axes((0, 0, 1, 1))
    axes.imshow(numpy.asarray(image), cmap="gray", vmin=0, vmax=255, aspect="auto", interpolation="nearest")
    axes.set_axis_off()
    return figure
