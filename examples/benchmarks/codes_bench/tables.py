"""The tables of docs/results/codes.md, between its markers, and a page a task; all of them made from the logs."""

from __future__ import annotations

import re
import statistics
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from codes_bench import methods
from codes_bench.logs import Log
from codes_bench.tasks import EXACT, TASKS

PAGE = Path(__file__).parents[3] / "docs" / "results" / "codes.md"
PENDING = "*Not measured yet.*"
# Ratios to the best known, and curves, stop at a thousandth of the yardstick.
FLOOR = 1e-3

# Of the summary: the models on which all methods were measured, and the budgets it shows.
MODELS = ("mnist-512", "mnist-40", "cifar10-8x8")
BUDGETS = (300, 1500, 5000)
_CHOSEN_AT = 1500

# By task: the goal, and what counts as 1.0.
GOALS: Mapping[str, tuple[str, str]] = {
    "match": ("Look like a test image.", "the loss of the model's own codes of that image"),
    "x4": ("Look like a test image when shrunk four times.", "the loss of the model's own codes of that image"),
    "inpaint": ("Look like the left half of a test image.", "the loss of the model's own codes of that image"),
    "classified": ("Be of another class, as one classifier says.", "that classifier is 90 % sure"),
    "bright": (
        "Have as many bright pixels in the middle as a test image has: a rule without a gradient.",
        "the loss of the model's own codes of that image, or one pixel",
    ),
    "edit-inside": (
        "Look like an image that differs from the source in 8 codes, and change at most 8.",
        "a 255th of the range, root mean square",
    ),
    "edit-outside": (
        "Look as much like another image as changing 8 codes allows.",
        "the loss of the model's own codes of that image, which no such edit can use",
    ),
    "planted": (
        "Look like an image decoded from random codes, so that the optimum is 0.",
        "a 255th of the range, root mean square",
    ),
}

Records = dict[str, dict[str, Any]]  # of one method, by stage and seed


# -- pages ---------------------------------------------------------------------------------------


def pages(found: dict[str, Log], page: Path = PAGE) -> dict[Path, str]:
    """By path, what the logs make of the summary's page and of the pages of the tasks."""
    texts = {page: filled(page.read_text(), summary(found))}
    for task in TASKS:
        if measured := of_task(found, task):
            texts[page.with_suffix("") / f"{task}.md"] = task_page(task, measured)
    return texts


def filled(page: str, text: str) -> str:
    """The page with the text between its markers."""
    pattern = re.compile(r"(<!-- begin: results -->\n).*?(<!-- end: results -->)", re.DOTALL)
    return pattern.sub(lambda m: f"{m[1]}\n{text}\n\n{m[2]}", page)


def of_task(found: dict[str, Log], task: str) -> dict[str, dict[str, Any]]:
    """What was measured of a task, by model."""
    return {name: log["tasks"][task] for name, log in found.items() if task in log.get("tasks", {})}


def task_page(task: str, measured: dict[str, dict[str, Any]]) -> str:
    """Everything that was measured of a task."""
    goal, yardstick = GOALS[task]
    parts = [
        "---\nhide:\n  - toc\n---",
        "<!-- Made from the logs by `codes.py report --write`: do not edit. -->",
        f"# {task}: every method",
        f"{goal} A loss of 1.0 is {yardstick}. Part of the [comparison of searches in codes](../codes.md), which says "
        "how it was counted. Cells: the mean loss, and in brackets the share of problems at 1.0 or below. "
        "*÷ best known* is the median over problems of the loss divided by the best that any method here has found.",
        f"![Loss against evaluations, task {task}](../img/codes_{task}.png)",
    ]
    for name, log in measured.items():
        parts += [f"## {name}", losses(log["methods"], baseline(task)), distances(log)]
    parts += [ends(measured), proofs(measured)]
    return "\n\n".join(part for part in parts if part) + "\n"


# -- the summary ---------------------------------------------------------------------------------


def summary(found: dict[str, Log]) -> str:
    """One line a task and model: AutoSearch, and the best of each kind of other methods."""
    rows = []
    for task in TASKS:
        link = f"[{task}](codes/{task}.md)"
        for name, log in of_task(found, task).items():
            if name in MODELS:
                best = champions(log["methods"]).values()
                rows.append([link, name, *(shown(log["methods"], method) for method in best)])
                link = ""
    return table(["task", "model", *kinds()], rows) if rows else PENDING


def kinds() -> dict[str, list[str]]:
    """The methods that are compared, by kind."""
    published = [*methods.TUNED, *methods.outsiders()]
    packages = list(methods.packages())
    single = [name for name in methods.names() if name not in ("AutoSearch", *published, *packages)]
    return {
        "AutoSearch": ["AutoSearch"],
        "best single method of the package": single,
        "best published method": published,
        "best optimiser of another package": packages,
    }


def champions(found: dict[str, Records]) -> dict[str, str | None]:
    """The best method of each kind."""
    return {kind: champion(found, names) for kind, names in kinds().items()}


def champion(found: dict[str, Records], names: Sequence[str], budget: int = _CHOSEN_AT) -> str | None:
    """The method of the lowest mean at a budget, of those that were measured there."""
    means = {name: mean_at(found[name], budget) for name in names if name in found}
    known = {name: mean for name, mean in means.items() if mean is not None}
    return min(known, key=lambda name: known[name]) if known else None


def mean_at(records: Records, budget: int) -> float | None:
    values = ratios(records, budget)
    return statistics.fmean(values) if values else None


def shown(found: dict[str, Records], name: str | None) -> str:
    """The method, and below it its means at the budgets of the summary, on one line."""
    if name is None:
        return "-"
    means = "\N{NO-BREAK SPACE}· ".join(short(mean_at(found[name], budget)) for budget in BUDGETS)
    means = means.replace(" ", "\N{NO-BREAK SPACE}")
    return means if name == "AutoSearch" else f"{name}<br>{means}"


def short(mean: float | None) -> str:
    """Two digits, as a summary needs no more."""
    if mean is None:
        return "-"
    return "<0.001" if mean < FLOOR else f"{mean:.2g}" if mean < 100 else f"{mean:.0f}"


def table(head: Iterable[str], rows: Iterable[Iterable[object]]) -> str:
    head = list(head)
    lines = [head, ["---"] * len(head), *(list(map(str, row)) for row in rows)]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


# -- losses --------------------------------------------------------------------------------------


def baseline(task: str) -> float:
    """The ratio to the yardstick below which losses are all alike: where the optimum is 0, what nobody sees."""
    return 1.0 if task in EXACT else FLOOR


def losses(found: dict[str, Records], least: float = FLOOR) -> str:
    """One line a method, the best at the last budget first."""
    budgets = budgets_of(found)
    best = best_known(found)

    def last(name: str) -> tuple[int, float]:
        known = [b for b in budgets if ratios(found[name], b)]
        return (-known[-1], statistics.fmean(ratios(found[name], known[-1]))) if known else (0, 0.0)

    rows = []
    for name in sorted(found, key=last):
        cells = [cell(ratios(found[name], b)) for b in budgets]
        rows.append([name, seeds_of(found[name]), *cells, to_best(found[name], best, least), *reached(found[name])])
    head = ["method", "seeds", *(f"{b:,}" for b in budgets), "÷ best known"]
    return table([*head, "share that reaches 1", "evaluations to 1", "overhead"], rows)


def budgets_of(found: dict[str, Records]) -> list[int]:
    budgets = {int(b) for records in found.values() for record in records.values() for b in record["ratio"]}
    return sorted(budgets)


def seeds_of(records: Records) -> int:
    return len({key.split()[-1] for key in records})


def ratios(records: Records, budget: int) -> list[float]:
    """Of all seeds and problems, losses divided by the yardstick."""
    return [value for record in records.values() for value in record["ratio"].get(str(budget), [])]


def cell(values: Sequence[float]) -> str:
    """Mean (share that is as good as the yardstick)."""
    if not values:
        return ""
    share = sum(value <= 1 for value in values) / len(values)
    return f"{number(statistics.fmean(values))} ({share:.0%})"


def number(value: float) -> str:
    return f"{value:.3g}" if value < 1000 else f"{value:.0f}"


def best_known(found: dict[str, Records]) -> list[float]:
    """Of each problem, over all methods, seeds and budgets."""
    best: dict[int, float] = {}
    for records in found.values():
        for record in records.values():
            for values in record["ratio"].values():
                for b, value in enumerate(values):
                    best[b] = min(value, best.get(b, value))
    return [best[b] for b in sorted(best)]


def to_best(records: Records, best: Sequence[float], least: float = FLOOR) -> str:
    """The median ratio to the best known, at the largest budget that was measured."""
    budget = max(int(b) for record in records.values() for b in record["ratio"])
    values = [
        max(a, least) / max(b, least)
        for record in records.values()
        for a, b in zip(record["ratio"].get(str(budget), []), best, strict=False)
    ]
    return f"{number(statistics.median(values))} at {budget:,}"


def reached(records: Records) -> list[str]:
    """Share and evaluations of the yardstick, and the overhead: means over seeds of the first stage measured."""
    stage = next(iter(records)).split()[0]
    own = [record for key, record in records.items() if key.split()[0] == stage]
    share = statistics.fmean(record["reached"]["share"] for record in own)
    rows = [record["reached"]["rows"] for record in own if record["reached"]["rows"] is not None]
    overhead = statistics.median(part["overhead"] for record in own for part in record["runs"].values())
    return [f"{share:.0%}", f"{statistics.fmean(rows):.0f}" if rows else "-", f"{overhead:.2f}"]


# -- answers, and how runs end -------------------------------------------------------------------


def distances(log: dict[str, Any]) -> str:
    """How far the answers at the last budget of the first stage are from the data, folded away."""
    lines = dict(log["baselines"])
    for name, records in log["methods"].items():
        stage = next(iter(records)).split()[0]
        own = [record["answers"] for key, record in records.items() if key.split()[0] == stage]
        lines[name] = {key: statistics.fmean(answer[key] for answer in own) for key in own[0]}
    names = {
        "nearest": "nearest training image",
        "confidence": "the judge's confidence",
        "wanted": "the judge's probability of the target class",
        "judged": "judged as the target class",
        "codes": "codes recovered",
        "grids": "grids recovered",
    }
    shown = [key for key in names if any(key in line for line in lines.values())]
    rows = [[name, *(f"{line[key]:.3f}" if key in line else "-" for key in shown)] for name, line in lines.items()]
    body = table(["answers of", *(names[key] for key in shown)], rows)
    return '??? note "Distance of the answers from the data"\n\n' + re.sub("^", "    ", body, flags=re.MULTILINE)


def ends(measured: dict[str, dict[str, Any]]) -> str:
    """How runs of 5,000 evaluations end."""
    rows = []
    for name, log in measured.items():
        for method in methods.CONVERGING:
            runs = [record["runs"].get("5000") for record in log["methods"].get(method, {}).values()]
            found = [end for run in runs if run for end, n in run["ends"].items() for _ in range(n)]
            if found:
                shares = [found.count(end) / len(found) for end in ("OPTIMAL", "STALLED")]
                rows.append([name, method, len(found), *(f"{share:.0%}" for share in shares)])
    if not rows:
        return ""
    head = ["model", "method", "runs", "OPTIMAL: no single swap improves", "STALLED: none of the top-ranked does"]
    return "## How runs of 5,000 evaluations end\n\n" + table(head, rows)


def proofs(measured: dict[str, dict[str, Any]]) -> str:
    """Which share of long runs ends at a 1-swap local optimum, and what they came to."""
    rows = []
    for name, log in measured.items():
        for method, records in log.get("proofs", {}).items():
            for record in records.values():
                (budget, run), count = next(iter(record["runs"].items())), record["problems"]
                optimal = f"{run['ends'].get('OPTIMAL', 0) / count:.0%}"
                spent = f"{run['rows'] / count:.0f}"
                rows.append([name, method, count, budget, spent, optimal, cell(record["ratio"][budget])])
    if not rows:
        return ""
    head = ["model", "method", "runs", "evaluations at most", "spent", "OPTIMAL: no single swap improves", "loss"]
    return "## Every single swap\n\n" + table(head, rows)
