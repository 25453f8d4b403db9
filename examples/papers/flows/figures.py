"""The curves of the reverse KL divergence, as in the paper's Figure 6."""

from __future__ import annotations

from pathlib import Path
from typing import Any

COLOURS = {1: "tab:blue", 2: "tab:orange", 3: "tab:green", 4: "tab:red"}
NAMES = {
    1: "1: N(0, I), 0.1, Adam",
    2: "2: N(5, I), 0.1, Nesterov",
    3: "3: N(5, I), 1.0, Nesterov",
    4: "4: N(0, I), 0.1, Nesterov",
}
RATE = 1e-4  # of the published curves that are drawn: what is larger breaks sooner


def draw(log: dict[str, Any], path: Path) -> None:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(10, 3.4), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots(1, 3)
    for axis, reading in zip(axes[:2], ("as they are", "softmax"), strict=True):
        drawn = [run for run in log["published"] if run["reading"] == reading and run["lr"] == RATE]
        _curves(axis, drawn, f"as published, {reading}: not a divergence")
        axis.set_yscale("symlog", linthresh=1)
    axes[0].set_ylabel("objective, nats a coordinate")
    _curves(axes[2], [run for run in log["mended"] if not run["correlated"]], "mended: KL(flow || target)")
    axes[2].axhline(0.02, color="grey", linewidth=0.8, linestyle="--")
    axes[2].set_ylim(-0.01, 0.1)
    handles = [axes[2].plot([], [], color=colour, label=NAMES[number])[0] for number, colour in COLOURS.items()]
    axes[2].legend(handles=handles, fontsize=7, loc="upper right")
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=110)


def _curves(axis: Any, runs: list[dict[str, Any]], title: str) -> None:
    for run in runs:
        colour = COLOURS[run["configuration"]]
        for seed in zip(*run["curve"], strict=True):
            values = [value for value in seed if value is not None]
            axis.plot([5 * i for i in range(len(values))], values, color=colour, linewidth=0.7, alpha=0.8)
            if values and len(values) < len(seed):
                # Where it became NaN.
                axis.plot(5 * (len(values) - 1), values[-1], "x", color=colour, markersize=5)
    axis.set_title(title, fontsize=9)
    axis.set_xlabel("step")
    axis.tick_params(labelsize=8)
