"""The figures of docs/results/direct_argmax.md, from the logs."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from argmax.bounds import METHODS
from argmax.gradients import BY_TEMPERATURE, BY_WIDTH, FIXED

_COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000", "#8C510A")


def _figure(panels: int, width: float, columns: int) -> tuple[Any, Any]:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    lines = -(-panels // columns)
    figure = Figure(figsize=(width * columns, 3.8 * lines), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots(lines, columns, squeeze=False).flatten()
    for spare in axes[panels:]:
        spare.remove()
    return figure, axes[:panels]


def gradients(found: Mapping[str, Any], path: Path) -> None:
    """Bias and standard deviation by epsilon and temperature; what has neither is a line across."""
    figure, panels = _figure(2, 4.6, columns=2)
    for panel, number, title in zip(panels, (0, 1), ("bias", "standard deviation"), strict=True):
        for colour, name in zip(_COLOURS, [*BY_WIDTH, *BY_TEMPERATURE], strict=False):
            xs = [float(setting) for setting in found[name]]
            ys = [values[number] for values in found[name].values()]
            panel.plot(xs, ys, marker="o", ms=3, color=colour, label=name, ls="-" if name in BY_WIDTH else "--")
        for colour, name in zip(_COLOURS, FIXED, strict=False):
            panel.axhline(found[name][""][number], color=colour, lw=0.9, ls=":", label=name)
        panel.set(xscale="log", yscale="symlog" if number == 0 else "log", title=title, xlabel="ε or temperature")
    panels[0].set_yscale("linear")
    panels[0].set_ylim(-0.05, 2.0)
    panels[0].set_ylabel("relative to the exact gradient")
    panels[1].legend(fontsize=7, loc="center left", bbox_to_anchor=(1, 0.5))
    figure.savefig(path, dpi=110)


def courses(log: Mapping[str, Any], settings: Mapping[str, str], path: Path) -> None:
    """Validation bounds by epoch: a panel a model, a line an estimator, of its longest fit."""
    shown = [name for name in settings if log.get(name)]
    figure, panels = _figure(len(shown), 4.6, columns=2)
    # A method looks the same in all panels.
    methods = [method for method in METHODS if any(method in log[name] for name in shown)]
    styles = dict(zip(methods, itertools.product(("-", "--"), _COLOURS), strict=False))
    for panel, name in zip(panels, shown, strict=True):
        longest = {
            method: max((record["validation"] for record in records.values()), key=len)
            for method, records in log[name].items()
        }
        for method, course in longest.items():
            line, colour = styles[method]
            panel.plot(range(1, len(course) + 1), course, line, color=colour, lw=1.2, label=method)
        panel.set(title=settings[name], xlabel="epoch", ylabel="validation bound, nats")
        best = min(map(min, longest.values()))
        panel.set_ylim(0.98 * best, 1.3 * best)
        panel.legend(fontsize=7)
    figure.savefig(path, dpi=110)
