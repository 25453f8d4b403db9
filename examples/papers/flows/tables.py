"""The log as Markdown."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from folds import folded

CONFIGURATION = {
    1: "1: N(0, I), 0.1, Adam",
    2: "2: N(5, I), 0.1, Nesterov",
    3: "3: N(5, I), 1.0, Nesterov",
    4: "4: N(0, I), 0.1, Nesterov",
}


def tables(log: dict[str, Any]) -> str:
    """What the mended runs come to, and the rest folded."""
    details = {
        "As published: how long each run lasts": _published(log),
        "The causes, one at a time": _causes(log),
        "More codes": _sizes(log),
    }
    return "\n\n".join([_mended(log), *(folded(*each).rstrip() for each in details.items())])


def _table(head: Sequence[str], rows: list[list[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def _published(log: dict[str, Any]) -> str:
    rows = []
    for run in log["published"]:
        survived = f"{sum(run['finite'])} of {len(run['finite'])}"
        lasted = f"{min(run['lasted'])} to {max(run['lasted'])}"
        rows.append([CONFIGURATION[run["configuration"]], run["reading"], f"{run['lr']:g}", survived, lasted])
    head = ["as published", "reading", "step size", f"finite after {log['steps']['published']} steps", "steps lasted"]
    return _table(head, rows)


def _mended(log: dict[str, Any]) -> str:
    rows = []
    for run in log["mended"]:
        kind = "correlated" if run["correlated"] else "independent"
        row = [CONFIGURATION[run["configuration"]], kind, f"{sum(run['finite'])} of {len(run['finite'])}"]
        rows.append([*row, _span(run["reverse"]), _span(run["forward"])])
    return _table(["mended", "positions", "finite", "KL(flow ‖ target)", "KL(target ‖ flow)"], rows)


def _causes(log: dict[str, Any]) -> str:
    rows = []
    for run in log["causes"]:
        what = "mended, with" if "mended" in run else "as published, without"
        survived = f"{sum(run['finite'])} of {len(run['finite'])}"
        lasted = f"{min(run['lasted'])} to {max(run['lasted'])}"
        row = [what, run["cause"], survived, lasted, _span(run["last"])]
        rows.append([*row, _span(run.get("reverse", [])), _span(run.get("forward", []))])
    return _table(
        ["recipe", "cause", "finite", "steps lasted", "last objective", "KL(flow ‖ target)", "KL(target ‖ flow)"], rows
    )


def _sizes(log: dict[str, Any]) -> str:
    rows = [
        [str(run["codes"]), str(sum(run["finite"])), _span(run["reverse"]), _span(run["forward"])]
        for run in log["sizes"]
    ]
    return _table(["K, mended, Adam", "finite", "KL(flow ‖ target)", "KL(target ‖ flow)"], rows)


def _span(values: list[float | None]) -> str:
    numbers = [value for value in values if value is not None]
    if not numbers:
        return "–"
    low, high = f"{min(numbers):.2g}", f"{max(numbers):.2g}"
    return low if low == high else f"{low} to {high}"
