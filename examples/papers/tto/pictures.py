"""The figures of docs/results/test_time_optimization.md."""

from __future__ import annotations

import statistics
from pathlib import Path
from typing import Any

import torch

from tto import budgets, logs, strips
from tto.bench import Bench, load_model

COLOURS = {
    "K512-ema-0": "tab:blue",
    "K40-ema-0": "tab:orange",
    "K512-gradient-0": "tab:green",
    "K40-gradient-0": "tab:red",
}
DPI = 110


def draw_all(bench: Bench, log: Path, runs: Path, out: Path, fast: bool = False) -> None:
    """Every figure whose figures are there."""
    import matplotlib

    matplotlib.use("Agg")
    out.mkdir(parents=True, exist_ok=True)
    training(logs.read(log / "train_vqvae_cifar10.json"), out / "tto_training.png")
    reconstructions(bench, runs, out / "tto_reconstructions.png")
    unique_grids(logs.read(log / "tto_traversals.json").get("cifar10", {}), out / "tto_unique_grids.png")
    reached(logs.read(log / "tto_budgets.json"), out / "tto_budgets.png")
    found = strips.strips(bench, [strips.SETTINGS[-1]] if fast else strips.SETTINGS)
    if found:
        strips.draw(found, out / "tto_strips.png")


def training(log: dict[str, Any], path: Path) -> None:
    """Figure 2: reconstruction and quantisation losses, train and test, against the step."""
    import matplotlib.pyplot as plt

    names = [name for name in COLOURS if name in log]
    if not names:
        return
    figure, (left, right) = plt.subplots(1, 2, figsize=(9, 3.4))
    for name in names:
        history = log[name]["history"]
        for split, style in (("train", ":"), ("validation", "-")):
            label = f"{name}, {'test' if split == 'validation' else 'train'}"
            terms = history[split]
            left.plot(history["step"], terms["reconstruction"], style, color=COLOURS[name], label=label, lw=1.3)
            right.plot(history["step"], terms["commitment"], style, color=COLOURS[name], lw=1.3)
    left.set(yscale="log", xlabel="step", title="reconstruction: MSE / variance of the data")
    right.set(yscale="log", xlabel="step", title=r"quantisation: $\beta$ mean $(z_e - sg[e])^2$")
    left.legend(fontsize=7)
    figure.tight_layout()
    figure.savefig(path, dpi=DPI)
    plt.close(figure)


@torch.no_grad()
def reconstructions(bench: Bench, runs: Path, path: Path, count: int = 10) -> None:
    """Figure 3: test images and what each model makes of them."""
    import matplotlib.pyplot as plt

    targets = bench.targets[:count]
    lines = [("test\nimage", targets)]
    for name in COLOURS:
        weights = runs / f"cifar10-{name}.safetensors"
        if weights.exists():
            model = load_model(weights)
            lines.append((name.removesuffix("-0").replace("-", "\n"), model.decode(model.encode(targets))))
    figure, axes = plt.subplots(
        len(lines), len(targets), figsize=(0.8 * len(targets) + 0.8, 0.8 * len(lines)), squeeze=False
    )
    for line, (title, images) in zip(axes, lines, strict=True):
        for axis, image in zip(line, images, strict=True):
            axis.imshow(
                image.clamp(0, 1).movedim(0, -1).squeeze(-1).numpy(),
                cmap="gray",
                vmin=0,
                vmax=1,
                interpolation="nearest",
            )
            axis.set_axis_off()
        line[0].text(-0.15, 0.5, title, transform=line[0].transAxes, ha="right", va="center", fontsize=8)
    figure.subplots_adjust(left=0.1, right=0.995, top=0.99, bottom=0.01, wspace=0.05, hspace=0.05)
    figure.savefig(path, dpi=DPI)
    plt.close(figure)


def unique_grids(log: dict[str, Any], path: Path) -> None:
    """Table 1 as a curve, and the flat stretches, against the step size."""
    import matplotlib.pyplot as plt

    if not log:
        return
    figure, (left, right) = plt.subplots(1, 2, figsize=(9.5, 3.8))
    kinds = [
        ("algorithm 2", ""), ("algorithm 3", ""),
        ("algorithm 2", "snapped"), ("algorithm 3", "snapped"), ("algorithm 2", "reset"),
    ]  # fmt: skip
    for number, (algorithm, reading) in enumerate(kinds):
        rows = [entry for entry in log.values() if (entry["algorithm"], entry["reading"]) == (algorithm, reading)]
        rows.sort(key=lambda entry: entry["lr"])
        if rows:
            _curve(left, rows, f"{algorithm}{reading and ', ' + reading}", f"C{number}")
        if rows and not reading:
            _waits(right, rows, algorithm, f"C{number}")
    left.axhline(5.97, color="black", lw=0.8, ls="--")
    left.annotate("paper: 5.97", (0.5, 6.3), fontsize=8)
    for axis in (left, right):
        for lr, text in ((0.1, "0.1 if a mean"), (307.2, "0.1 if a sum")):
            axis.axvline(lr, color="grey", lw=0.8, ls=":")
            axis.annotate(
                text, (lr * 1.15, 0.97), xycoords=("data", "axes fraction"), fontsize=7, color="grey", va="top"
            )
        axis.set(xscale="log", yscale="log", xlabel="step size on our loss (mean over pixels)")
    left.set(title="mean unique grids (hollow: at least; most hit the cap)")
    right.set(title="steps per change of codes: median, 10-90 %")
    left.legend(fontsize=7, loc="lower left")
    right.legend(fontsize=7)
    figure.tight_layout()
    figure.savefig(path, dpi=DPI)
    plt.close(figure)


def _curve(axis: Any, rows: list[dict[str, Any]], label: str, colour: str) -> None:
    """Dots joined by a line; where more than half of the pairs hit the cap, a bound: an arrow head, not joined."""
    bounds = [row for row in rows if row["ends"].get("cap", 0) > row["pairs"] / 2]
    known = [row for row in rows if row not in bounds]
    for found, style in ((known, "o-"), (bounds, "^")):
        lrs, means = [row["lr"] for row in found], [row["unique"]["mean"] for row in found]
        axis.plot(lrs, means, style, color=colour, lw=1.3, ms=5, mfc=colour if found is known else "white")
    axis.plot([], [], "o-", color=colour, label=label, lw=1.3, ms=5)


def _waits(axis: Any, rows: list[dict[str, Any]], label: str, colour: str) -> None:
    rows = [row for row in rows if row["waits"]]
    lrs = [row["lr"] for row in rows]
    axis.plot(lrs, [row["waits"]["50%"] for row in rows], "o-", color=colour, label=label, lw=1.3, ms=4)
    axis.fill_between(
        lrs, [row["waits"]["10%"] for row in rows], [row["waits"]["90%"] for row in rows], color=colour, alpha=0.2
    )


def reached(log: dict[str, Any], path: Path) -> None:
    """The median ratio at each budget, one panel a data set and start."""
    import matplotlib.pyplot as plt

    panels = [
        (data, start)
        for data in log
        for start in budgets.STARTS
        if any(e["start"] == start for e in log[data].values())
    ]
    if not panels:
        return
    figure, axes = plt.subplots(1, len(panels), figsize=(3.6 * len(panels) + 0.6, 3.6), squeeze=False, sharey=True)
    for axis, (data, start) in zip(axes[0], panels, strict=True):
        for number, name in enumerate(budgets.METHODS[1:]):
            entry = log[data].get(f"{name}, {start}")
            if entry:
                rows = [key for key in entry["ratio"] if key.isdigit()]
                medians = [statistics.median(entry["ratio"][key]) for key in rows]
                axis.plot([int(key) for key in rows], medians, "o-", label=name, color=f"C{number}", lw=1.3, ms=4)
        axis.axhline(1, color="black", lw=0.8, ls="--")
        axis.set(xscale="log", yscale="log", xlabel="evaluations", title=f"{data}, from {start} codes")
        axis.set_xticks([100, 500, 1500], ["100", "500", "1500"])
        axis.set_ylim(0.75, 4.2)  # what lies above is far from useful; the tables have it
        axis.set_yticks([0.8, 0.9, 1, 1.2, 1.5, 2, 3, 4], ["0.8", "0.9", "1", "1.2", "1.5", "2", "3", "4"])
        axis.minorticks_off()
    axes[0, 0].set_ylabel("median loss / loss of encoding")
    axes[0, 0].legend(fontsize=7)
    figure.tight_layout()
    figure.savefig(path, dpi=DPI)
    plt.close(figure)
