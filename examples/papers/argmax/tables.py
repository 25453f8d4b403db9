"""The tables of docs/results/direct_argmax.md, from the logs."""

from __future__ import annotations

import re
import statistics
import textwrap
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from argmax import attributes, semi
from argmax.bounds import METHODS, SETTINGS

# Test bounds in nats of the paper's Figure 2 and section 6.1.
PAPER: Mapping[str, Mapping[str, float]] = {
    "20x10": {"direct": 103.62, "gumbel-softmax": 105.36},
    "20x2": {"direct": 126.37, "gumbel-softmax": 128.92, "rebar": 127.07, "relax": 126.66},
    "1x40": {"direct": 145.64, "gumbel-softmax": 145.67},
    "1x8": {"direct": 168.57},
    "3x2": {"direct": 177.9},
    "1x64": {"direct": 147.59},
    "6x2": {"direct": 161.09},
}


def write(page: Path, logs: Mapping[str, Any]) -> None:
    """Put what the logs say between the markers of the page."""
    text = page.read_text()
    for name, make in PARTS.items():
        body = make(logs[name])
        pattern = re.compile(rf"^( *)(<!-- begin: {name} -->\n).*?(<!-- end: {name} -->)", re.DOTALL | re.MULTILINE)
        if (place := pattern.search(text)) is None:
            raise SystemExit(f"{page} has no place for {name}")
        # Within a block that folds away, what it holds is indented as its markers are.
        own = textwrap.indent(f"\n{body}\n", place[1])
        text = f"{text[: place.start()]}{place[1]}{place[2]}{own}{place[1]}{place[3]}{text[place.end() :]}"
    page.write_text(text)


def table(head: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(map(str, line)) + " |" for line in lines) + "\n"


def bounds(log: Mapping[str, Any]) -> str:
    """A row a setting, method and way of fitting: test bounds over seeds, beside the paper's."""
    rows = []
    for name in SETTINGS:
        for method in METHODS:
            fits: dict[str, list[Any]] = {}
            for key, record in log.get(name, {}).get(method, {}).items():
                fits.setdefault(key.rsplit(", seed", 1)[0], []).append(record)
            for fitting, records in fits.items():
                tests = [record["test"] for record in records]
                spread = f" ± {statistics.stdev(tests):.2f}" if len(tests) > 1 else ""
                paper = PAPER.get(name.split(",")[0], {}).get(method, "")
                epochs = ", ".join(str(record["epoch"]) for record in records)
                rows.append(
                    [name, method, f"{statistics.fmean(tests):.2f}{spread}", paper, len(tests), fitting, epochs]
                )
    return table(
        ["model", "estimator", "test bound", "the paper's", "seeds", "fit", "epoch that validation chose"], rows
    )


def gradients(log: Mapping[str, Any]) -> str:
    """Bias and standard deviation, each relative to the norm of the exact gradient."""
    rows = []
    for model, found in log.items():
        for name, by in found.items():
            if isinstance(by, dict):
                rows += [[model, name, setting, f"{b:.3g}", f"{s:.3g}"] for setting, (b, s) in by.items()]
    return table(["model", "estimator", "epsilon or temperature", "bias", "standard deviation"], rows)


def labelled(log: Mapping[str, Any]) -> str:
    """Accuracy and bound on the test images, a table a recipe."""
    return "\n".join(f"### {recipe}\n\n{semi.table(records)}\n" for recipe, records in log.items())


def switched(log: Mapping[str, Any]) -> str:
    """The share of attributes that the rules find as asked."""
    return "\n".join(f"### {section}\n\n{attributes.table(records)}\n" for section, records in log.items())


def speed(log: Mapping[str, Mapping[str, float]]) -> str:
    """Steps a second, and how many times the loop's."""
    rows = []
    for model, found in log.items():
        least = found["a loop of decodes"]
        rows += [[model, name, value, f"{value / least:.1f}"] for name, value in found.items()]
    return table(["model", "losses of all swaps", "steps a second", "times a loop's"], rows)


# What each part of the page is made by, under the name of its log.
PARTS: Mapping[str, Callable[[Mapping[str, Any]], str]] = {
    "bounds": bounds, "gradients": gradients, "speed": speed, "semi": labelled, "attributes": switched,
}  # fmt: skip
