"""The tables of docs/results/codes.md, made from the logs between the markers of the page."""

from __future__ import annotations

import re
import statistics
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from codes_bench import methods
from codes_bench.logs import Log
from codes_bench.tasks import EXACT, TASKS

PAGE = Path(__file__).parents[3] / "docs" / "results" / "codes.md"
PENDING = "*Not measured yet.*"
# Ratios to the best known, and curves, stop at a thousandth of the yardstick.
FLOOR = 1e-3

Records = dict[str, dict[str, Any]]  # of one method, by stage and seed


def fill(page: Path, text: str) -> None:
    """Write the text between the page's markers."""
    pattern = re.compile(r"(<!-- begin: results -->\n).*?(<!-- end: results -->)", re.DOTALL)
    page.write_text(pattern.sub(lambda m: f"{m[1]}\n{text}\n\n{m[2]}", page.read_text()))


def report(found: dict[str, Log]) -> str:
    """Everything that was measured, task by task."""
    parts = [certificates(found), proofs(found)] if any("tasks" in log for log in found.values()) else []
    for task in TASKS:
        measured = {name: log["tasks"][task] for name, log in found.items() if task in log.get("tasks", {})}
        if measured:
            parts += [f"### {task}", picture(task)]
            for name, log in measured.items():
                parts += [f"#### {task}, {name}", losses(log["methods"], floor(task)), distances(log)]
    return "\n\n".join(part for part in parts if part) or PENDING


def picture(task: str) -> str:
    """The figure of a task, if it was drawn."""
    name = f"codes_{task}.png"
    return f"![Loss against rows decoded, task {task}](img/{name})" if (PAGE.parent / "img" / name).exists() else ""


def table(head: Iterable[str], rows: Iterable[Iterable[object]]) -> str:
    head = list(head)
    lines = [head, ["---"] * len(head), *(list(map(str, row)) for row in rows)]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


# -- losses --------------------------------------------------------------------------------------


def floor(task: str) -> float:
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
    head = ["method", "seeds", *(f"{b} rows" for b in budgets), "÷ best known"]
    return table([*head, "share that reaches 1", "rows to 1", "seconds to 1", "overhead"], rows)


def budgets_of(found: dict[str, Records]) -> list[int]:
    budgets = {int(b) for records in found.values() for record in records.values() for b in record["ratio"]}
    return sorted(budgets)


def seeds_of(records: Records) -> int:
    return len({key.split()[-1] for key in records})


def ratios(records: Records, budget: int) -> list[float]:
    """Of all seeds and problems, losses divided by the yardstick."""
    return [value for record in records.values() for value in record["ratio"].get(str(budget), [])]


def cell(values: Sequence[float]) -> str:
    """Mean / median (share that is as good as the yardstick)."""
    if not values:
        return ""
    share = sum(value <= 1 for value in values) / len(values)
    return f"{number(statistics.fmean(values))} / {number(statistics.median(values))} ({share:.0%})"


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
    """The median ratio to the best known, at the largest budget of each stage that was measured."""
    stages: dict[int, list[float]] = {}
    for record in records.values():
        budget = max(map(int, record["ratio"]))
        values = record["ratio"][str(budget)]
        own = [max(a, least) / max(b, least) for a, b in zip(values, best, strict=False)]
        stages.setdefault(budget, []).extend(own)
    return ", ".join(f"{number(statistics.median(stages[b]))} at {b}" for b in sorted(stages))


def reached(records: Records) -> list[str]:
    """Share, rows and seconds of the yardstick, and the overhead: means over seeds of the first stage measured."""
    stage = next(iter(records)).split()[0]
    own = [record for key, record in records.items() if key.split()[0] == stage]
    share = statistics.fmean(record["reached"]["share"] for record in own)
    rows = [record["reached"]["rows"] for record in own if record["reached"]["rows"] is not None]
    seconds = [record["reached"]["seconds"] for record in own if record["reached"]["seconds"] is not None]
    overhead = statistics.median(part["overhead"] for record in own for part in record["runs"].values())
    cells = [f"{statistics.fmean(rows):.0f}" if rows else "-", f"{statistics.fmean(seconds):.1f}" if seconds else "-"]
    return [f"{share:.0%}", *cells, f"{overhead:.2f}"]


# -- answers, and certificates -------------------------------------------------------------------


def distances(log: dict[str, Any]) -> str:
    """How far the answers at the last budget of the first stage are from the data, folded away."""
    lines = dict(log["baselines"])
    for name, records in log["methods"].items():
        stage = next(iter(records)).split()[0]
        own = [record["answers"] for key, record in records.items() if key.split()[0] == stage]
        lines[name] = {key: statistics.fmean(answer[key] for answer in own) for key in own[0]}
    names = {
        "nearest": "nearest training picture",
        "confidence": "the judge's confidence",
        "wanted": "the judge's probability of the wanted class",
        "judged": "judged as wanted",
        "codes": "codes recovered",
        "grids": "grids recovered",
    }
    shown = [key for key in names if any(key in line for line in lines.values())]
    rows = [[name, *(f"{line[key]:.3f}" if key in line else "-" for key in shown)] for name, line in lines.items()]
    body = table(["answers of", *(names[key] for key in shown)], rows)
    return '??? note "Distance of the answers from the data"\n\n' + re.sub("^", "    ", body, flags=re.MULTILINE)


def proofs(found: dict[str, Log]) -> str:
    """Which share of long runs ends with every single swap tried in vain, and what they came to."""
    rows = []
    for name, log in found.items():
        for task, part in log.get("tasks", {}).items():
            for method, records in part.get("proofs", {}).items():
                for record in records.values():
                    (budget, run), count = next(iter(record["runs"].items())), record["problems"]
                    optimal = f"{run['ends'].get('OPTIMAL', 0) / count:.0%}"
                    spent = f"{run['rows'] / count:.0f}"
                    loss = cell(record["ratio"][budget])
                    rows.append([name, task, method, count, budget, spent, optimal, loss])
    if not rows:
        return ""
    head = ["generator", "task", "method", "runs", "rows at most", "rows spent", "OPTIMAL: no swap helps", "loss"]
    return "### Every single swap\n\n" + table(head, rows)


def certificates(found: dict[str, Log]) -> str:
    """Which share of runs of 5,000 rows ends with a certificate."""
    rows = []
    for name, log in found.items():
        for task, part in log.get("tasks", {}).items():
            for method in methods.CERTIFIED:
                runs = [record["runs"].get("5000") for record in part["methods"].get(method, {}).values()]
                ends = [end for run in runs if run for end, n in run["ends"].items() for _ in range(n)]
                if ends:
                    shares = [ends.count(end) / len(ends) for end in ("OPTIMAL", "STALLED")]
                    rows.append([name, task, method, len(ends), *(f"{share:.0%}" for share in shares)])
    if not rows:
        return ""
    head = ["generator", "task", "method", "runs", "OPTIMAL: no swap helps", "STALLED: no likely swap helps"]
    return "### Certificates at 5,000 rows\n\n" + table(head, rows)
