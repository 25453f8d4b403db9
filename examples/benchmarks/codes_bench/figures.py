"""The figures of docs/results/codes.md and of its tasks: losses against evaluations, and strips of images."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from codes_bench import generators, methods, tables, tasks
from codes_bench.logs import Log
from codes_bench.measure import search
from latentsearch import plots

FOLDER = Path(__file__).parents[3] / "docs" / "results" / "img"
# Okabe and Ito's colours for the package's methods, Tol's muted ones for the others: safe for the colour-blind.
_SOLID = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000", "#8C510A",
          "#999999", "#F0E442")  # fmt: skip
_DASHED = ("#332288", "#88CCEE", "#44AA99", "#117733", "#999933", "#DDCC77", "#CC6677", "#882255", "#AA4499", "#555555",
           "#BBBBBB")  # fmt: skip
_MARKERS = "osD^vP*Xph<>"

# Of the summary: the best method of each kind, on one model.
SUMMARY_TASKS, SUMMARY_MODEL = ("match", "x4", "inpaint", "planted"), "cifar10-8x8"

# Of the strips.
SHOWN = ("AutoSearch", "RelaxedSearch", "EvolutionSearch", "straight-through, Adam", "GCG", "algorithm 3, snapped")
SHOWN_TASKS = ("match", "x4", "inpaint", "classified", "edit-inside", "planted")
_STRIP, _STRIP_ROWS = 8, 500  # images, and evaluations for each


def styles() -> dict[str, dict[str, Any]]:
    """Colour, dash and marker of every method; the same in all figures."""
    names = methods.names()
    own, others = ([n for n in names if methods.is_own(n) == mine] for mine in (True, False))
    return {
        name: {"color": colours[i % len(colours)], "ls": dash, "marker": _MARKERS[i % len(_MARKERS)]}
        for group, colours, dash in ((own, _SOLID, "-"), (others, _DASHED, "--"))
        for i, name in enumerate(group)
    }


def curves(found: Mapping[str, Log], shown: Iterable[str], folder: Path) -> list[Path]:
    """One figure a task, a panel a generator: the mean ratio to the yardstick against evaluations."""
    paths = []
    for task in shown:
        measured = {name: log["tasks"][task]["methods"] for name, log in found.items() if task in log.get("tasks", {})}
        if measured:
            paths.append(_curves_of_task(task, measured, folder / f"codes_{task}.png"))
    return paths


def summary(found: Mapping[str, Log], folder: Path) -> Path:
    """A panel a task: AutoSearch, and the best of each kind of other methods."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(13, 3.6), layout="constrained")
    FigureCanvasAgg(figure)
    panels, looks = figure.subplots(1, len(SUMMARY_TASKS), squeeze=False)[0], styles()
    for panel, task in zip(panels, SUMMARY_TASKS, strict=True):
        by_method = found[SUMMARY_MODEL]["tasks"][task]["methods"]
        for method in filter(None, tables.champions(by_method).values()):
            for i, (budgets, means) in enumerate(stretches(by_method[method])):
                panel.loglog(budgets, means, ms=4, lw=1.5, label=None if i else method, **looks[method])
        _dress(panel, f"{task}, {SUMMARY_MODEL}")
        panel.legend(fontsize=8, frameon=False)
    panels[0].set_ylabel("mean loss ÷ yardstick")
    return _save(figure, folder / "codes_summary.png")


def _dress(panel: Any, title: str) -> None:
    limits = panel.get_ylim()  # the line at 1 is shown where losses come near it
    panel.axhline(1, color="0.6", lw=0.8, zorder=0)
    panel.set_ylim(limits)
    panel.set(title=title, xlabel="evaluations")
    panel.grid(which="major", color="0.92", lw=0.6)
    panel.spines[["top", "right"]].set_visible(False)


def _save(figure: Any, path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=110, metadata={"Software": None})
    return path


def _curves_of_task(task: str, measured: Mapping[str, dict[str, tables.Records]], path: Path) -> Path:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(4.2 * len(measured) + 0.4, 5.6), layout="constrained")
    FigureCanvasAgg(figure)
    panels, looks, handles = figure.subplots(1, len(measured), squeeze=False)[0], styles(), {}
    for panel, (name, by_method) in zip(panels, measured.items(), strict=True):
        for method, records in by_method.items():
            for budgets, means in stretches(records):
                (handles[method],) = panel.loglog(budgets, means, ms=4, lw=1.3, **looks[method])
        _dress(panel, name)
    panels[0].set_ylabel("mean loss ÷ yardstick")
    figure.suptitle(f"{task}: the package's methods solid, others dashed")
    ordered = [name for name in looks if name in handles]
    figure.legend(
        [handles[n] for n in ordered], ordered, loc="outside lower center", ncols=max(2 * len(measured), 2),
        fontsize=8, frameon=False,
    )  # fmt: skip
    return _save(figure, path)


def stretches(records: tables.Records) -> list[tuple[list[int], list[float]]]:
    """Budgets and mean ratios of one method; means over other images are not joined to those before."""
    parts: dict[int, tuple[list[int], list[float]]] = {}
    for budget in tables.budgets_of({"": records}):
        if found := tables.ratios(records, budget):
            budgets, means = parts.setdefault(len(found), ([], []))
            budgets.append(budget)
            means.append(max(statistics.fmean(found), tables.FLOOR))
    return list(parts.values())


def strip(name: str, task: str, steps: Mapping[str, float | None], folder: Path) -> Path:
    """Images found by some methods with few evaluations, below the true one and the model's own codes of it."""
    generator, _ = generators.load(name)
    problem = tasks.make(generator, name, task, _STRIP, seed=0)
    rows = [problem.images, generator.decode(generator.encode(problem.images))]
    labels = ["image", "its own codes"]
    for method, step in steps.items():
        found = search(problem, methods.method(method, step), _STRIP_ROWS, seed=0)
        rows.append(found.output.contiguous().clamp(0, 1))
        labels.append(method)
    title = {0: f"{name}, {task}, {_STRIP_ROWS} evaluations"}
    return plots.save_grid(folder / f"codes_strip_{name}_{task}.png", rows, labels, titles=title, scale=2)
