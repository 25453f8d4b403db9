"""Figures of all seeds, as tables."""

from __future__ import annotations

import statistics
from collections.abc import Iterable
from typing import Any

from .fits import GREY, GRIDS, MODELS, VECTORS, ZERO

Logs = list[dict[str, Any]]
Key = tuple[str | int, ...]

SPACES: dict[str, tuple[Key, str]] = {
    "squared error": (("squared error",), "{:.1f}"),
    "linear probe": (("probe",), "{:.1%}"),
    "spread": (("spread",), "{:.2f}"),
    "confidence on lines": (("lines", "confidence"), "{:.1%}"),
    "path": (("lines", "path"), "{:.2f}"),
    "halfway": (("lines", "middle"), "{:.0f}"),
    "reconstructions": (("reconstructions",), "{:.1f}"),
    "own density": (("samples", "own"), "{:.0f}"),
    "one Gaussian": (("samples", "mixture of 1"), "{:.0f}"),
    "mixture of 10": (("samples", "mixture of 10"), "{:.1f}"),
    "mixture of 50": (("samples", "mixture of 50"), "{:.1f}"),
}
CENTRES: dict[str, tuple[Key, str]] = {
    "attract data": (("use", "used"), "{:.0%}"),
    "perplexity": (("use", "perplexity"), "{:.1f}"),
    "merged": (("use", "merged"), "{:.0%}"),
    "moves, first epoch": (("epochs", "moves", 0), "{:.2f}"),
    "last": (("epochs", "moves", -1), "{:.3f}"),
    "spread": (("use", "spread"), "{:.2f}"),
}
CODES: dict[str, tuple[Key, str]] = {
    "error from codes": (("squared error",), "{:.1f}"),
    "from vectors": (("direct", "squared error"), "{:.1f}"),
    "codes used": (("used",), "{:.0%}"),
    "probe of codes": (("probe of codes",), "{:.1%}"),
    "confidence on lines": (("lines", "confidence"), "{:.1%}"),
    "reconstructions": (("reconstructions",), "{:.1f}"),
    "uniform codes": (("samples", "uniform"), "{:.0f}"),
    "histogram": (("samples", "histogram"), "{:.0f}"),
    "fitted prior": (("samples", "fitted"), "{:.0f}"),
    "one code replaced: read as before": (("replaced", "kept"), "{:.0%}"),
    "pixels changed": (("replaced", "changed"), "{:.1%}"),
}
SEARCH: dict[str, tuple[Key, str]] = {
    f"{name}: {what}": (("search", name, key), shape)
    for name in ("match", "super-resolution", "inpainting")
    for what, key, shape in (("loss / encoder's", "ratio", "{:.2f}"), ("solved", "solved", "{:.0%}"))
}


def values(logs: Logs, model: str, key: Key, data: str = "mnist") -> list[float]:
    """A figure of each seed."""
    found = []
    for log in logs:
        entry: Any = log[data][model]
        if key[-1] == "ratio":
            entry = {"ratio": _ratio(entry["search"][key[1]])}
            key_left: Iterable[str | int] = ("ratio",)
        else:
            key_left = key
        for each in key_left:
            entry = entry[each]
        found.append(float(entry))
    return found


def _ratio(entry: dict[str, float]) -> float:
    return entry["loss"] / entry["encoder"]


def mean(logs: Logs, model: str, key: Key, data: str = "mnist") -> float:
    return statistics.mean(values(logs, model, key, data))


def said(shape: str, found: list[float]) -> str:
    """A mean, and the deviation of the seeds."""
    middle = shape.format(statistics.mean(found))
    if len(found) < 2:
        return middle
    unit = "%" if middle.endswith("%") else ""
    deviation = shape.format(statistics.stdev(found)).removesuffix("%")
    return f"{middle.removesuffix('%')} ± {deviation}{' ' + unit if unit else ''}"


def of(logs: Logs, models: Iterable[str], columns: dict[str, tuple[Key, str]], data: str = "mnist") -> str:
    """A table with a line a model; what a model does not have is left empty."""
    lines = [f"| model | {' | '.join(columns)} |", f"| --- |{' ---: |' * len(columns)}"]
    for model in models:
        cells = []
        for key, shape in columns.values():
            try:
                cells.append(said(shape, values(logs, model, key, data)))
            except KeyError:
                cells.append("")
        lines.append(f"| {model} | {' | '.join(cells)} |")
    return "\n".join(lines)


def report(logs: Logs) -> dict[str, str]:
    """All tables by name."""
    with_centres = [name for name in MODELS if "centre" in name]
    return {
        "spaces": of(logs, (*VECTORS, *ZERO), SPACES),
        "centres": of(logs, with_centres, CENTRES),
        "grey": of(logs, [name for name in GREY if name != "AE"], CENTRES, "cifar10"),
        "grids": of(logs, GRIDS, CODES),
        "searches": of(logs, (*VECTORS, *GRIDS), SEARCH),
    }
