"""The tables of docs/results/test_time_optimization.md, made from the logs between markers of the page."""

from __future__ import annotations

import re
import statistics
import textwrap
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from tto import budgets, logs

MNIST_VARIANCE = 0.0949  # of the training pixels, as in train_zoo.py
SHOWN = (10, 100, 1_000, 3_000, 10_000, 100_000)  # of the patiences in the log
PENDING = "*Not measured yet.*"
LABELS = {"0.1": "0.1 (the paper's, if a mean)", "307.2": "307.2 (the paper's, if a sum)"}


def fill(page: Path, log: Path) -> None:
    """Write every table between its markers, `<!-- begin: name -->` and `<!-- end: name -->`."""
    text = page.read_text()
    for name, table in tables(log).items():
        begin, end = (f"<!-- {edge}: {re.escape(name)} -->" for edge in ("begin", "end"))
        pattern = re.compile(rf"^( *)({begin}\n).*?({end})", re.DOTALL | re.MULTILINE)
        # Within a block that folds away, a table is indented as its markers are.
        text = pattern.sub(lambda m, table=table: f"{m[1]}{m[2]}\n{textwrap.indent(table, m[1])}\n\n{m[1]}{m[3]}", text)
    page.write_text(text)


def tables(log: Path) -> dict[str, str]:
    """All tables by name; those without figures say so."""
    trained = {data: logs.read(log / f"train_vqvae_{data}.json") for data in ("cifar10", "mnist", "fashion-mnist")}
    trained["mnist, the package's"] = zoo(logs.read(log / "train_zoo.json"))
    walks = logs.read(log / "tto_traversals.json").get("cifar10", {})
    reached = logs.read(log / "tto_budgets.json")
    made = {
        "codebook sizes": codebook_sizes(trained),
        "seeds": seeds(trained["cifar10"]),
        "traversals": traversals(walks),
        "flat stretches": flat_stretches(walks),
        "patience": patience(walks),
        "carrying on": carrying_on(logs.read(log / "tto_carry_on.json").get("cifar10", {})),
        "tuning": tuning(logs.read(log / "tto_tuning.json")),
    }
    for data, start in (("cifar10", "encoded"), ("cifar10", "random"), ("mnist", "encoded")):
        made[f"budgets {data} {start}"] = comparison(reached.get(data, {}), start)
    return made


def table(head: Iterable[str], rows: Iterable[Iterable[object]]) -> str:
    """A Markdown table, or the word that there is nothing yet."""
    head, rows = list(head), [list(map(str, row)) for row in rows]
    if not rows:
        return PENDING
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


# -- training ---------------------------------------------------------------------------------------


def codebook_sizes(trained: dict[str, dict[str, Any]]) -> str:
    """K = 512 against K = 40, for each data set and update of the codebook."""
    rows = []
    for data, log in trained.items():
        for update in ("ema", "gradient"):
            pair = [log.get(f"K{size}-{update}-0") for size in (512, 40)]
            if all(pair):
                rows.append([data, update, *_difference(*pair)])
    head = ["data", "codebook", "K = 512: MSE", "K = 40: MSE", "difference", "relative", "difference / variance",
            "codes used", "perplexity"]  # fmt: skip
    return table(head, rows)


def zoo(log: dict[str, Any]) -> dict[str, Any]:
    """The two MNIST models that the package carries, in the form of the other logs."""
    sizes = {"K512-ema-0": "mnist-vqvae-512", "K40-ema-0": "mnist-vqvae-40"}
    return {
        name: log[own] | {"test_mse_over_variance": log[own]["test_mse"] / MNIST_VARIANCE}
        for name, own in sizes.items()
        if own in log
    }


def _difference(large: dict[str, Any], small: dict[str, Any]) -> list[str]:
    gap = small["test_mse"] - large["test_mse"]
    scaled = small["test_mse_over_variance"] - large["test_mse_over_variance"]
    return [
        f"{large['test_mse']:.5f}", f"{small['test_mse']:.5f}", f"{gap:+.5f}", f"{gap / large['test_mse']:+.0%}",
        f"{scaled:+.4f}", f"{large['codes_used']} / {small['codes_used']}",
        " / ".join(f"{row['perplexity']:.0f}" if "perplexity" in row else "-" for row in (large, small)),
    ]  # fmt: skip


def seeds(log: dict[str, Any]) -> str:
    """How much of the codebook is used, and how well each seed reconstructs; each kind beside its own best."""
    kinds = {"norm": range(5), "ema": range(3)}
    found = {kind: [name for s in wanted if (name := f"K512-{kind}-{s}") in log] for kind, wanted in kinds.items()}
    if not any(found.values()):
        return PENDING
    rows, verdicts = [], []
    for kind, names in found.items():
        if not names:
            continue
        best = min(log[name]["test_mse"] for name in names)
        rows += [_seed_row(name, log[name], best) for name in names]
        used = sum(log[name]["codes_used"] >= 0.9 * 512 for name in names)
        near = sum(log[name]["test_mse"] <= 1.15 * best for name in names)
        verdicts.append(
            f"`{kind}`: at least 90 % of the codes in use in {used} of {len(names)} seeds, "
            f"test MSE within 15 % of the best in {near}."
        )
    head = ["run", "steps", "codes used", "perplexity", "test MSE", "above the best of its kind"]
    return table(head, rows) + "\n\n" + " ".join(verdicts)


def _seed_row(name: str, row: dict[str, Any], best: float) -> list[str]:
    return [
        name, f"{row['steps']:,}", f"{row['codes_used']} ({row['codes_used'] / 512:.1%})",
        f"{row['perplexity']:.0f}", f"{row['test_mse']:.5f}", f"{row['test_mse'] / best - 1:+.1%}",
    ]  # fmt: skip


# -- traversals -------------------------------------------------------------------------------------


def traversals(log: dict[str, Any]) -> str:
    """Table 1 for every search and step size."""
    rows = []
    for entry in _in_order(log):
        unique, ends, loop = entry["unique"], entry["ends"], entry["loop"]
        loops = f"{loop['median']:g}, {loop['max']}" if "max" in loop else "-"
        rows.append([
            _kind(entry), _step(entry), f"{unique['mean']:.2f}", f"{unique['std']:.2f}", unique["min"], unique["max"],
            ends.get("repeat", 0), ends.get("stall", 0), f"{ends.get('cap', 0)} ({entry['cap_rows']})", loops,
            f"{entry['best_over_own']:.2f}",
        ])  # fmt: skip
    head = ["search", "step size", "mean", "std", "min", "max", "repeated", "stalled", "hit the cap (evaluations)",
            "loop: median, max", "best loss / encoding's"]  # fmt: skip
    return table(head, rows)


def flat_stretches(log: dict[str, Any]) -> str:
    """Steps of the step size for one change of codes."""
    rows = [
        [_kind(e), _step(e), *(f"{e['waits'][q]:,}" for q in ("10%", "50%", "90%", "99%", "max")),
         f"{e['wait_deviation_over_mean']:.1f}"]
        for e in _in_order(log)
        if e["waits"] and not e["reading"]
    ]  # fmt: skip
    return table(["search", "step size", "10 %", "median", "90 %", "99 %", "max", "std / mean"], rows)


def patience(log: dict[str, Any]) -> str:
    """Unique grids had the search given up earlier: mean (std; min-max)."""
    rows = []
    for entry in _in_order(log):
        if not entry["reading"] and entry["lr"] < 1000:  # above, hardly any change takes more than one step
            cells = (entry["within_patience"][str(p)] for p in SHOWN)
            rows.append([_kind(entry), _step(entry), *(
                f"{c['mean']:.1f} ({c['std']:.1f}; {c['min']}-{c['max']})" for c in cells
            )])  # fmt: skip
    return table(["search", "step size", *(f"λ = {p:,}" for p in SHOWN)], rows)


def carrying_on(log: dict[str, Any]) -> str:
    """What follows the first repeat."""
    rows = []
    for e in _in_order(log):
        new = e["new_grids"]
        rows.append([
            _kind(e), _step(e), e["pairs"], e["repeated"], e["visit_new_grids"],
            f"{new['median']:g} ({new['min']}-{new['max']})" if new else "-",
            f"{e['moves_after']['median']:g}" if new else "-", f"{e['new_share_of_moves']:.0%}",
            e["new_in_last_tenth"], e["end_periodic"], e["only_the_first_loop"],
            f"{e['best_at_repeat']:.2f} / {e['best_at_end']:.2f}",
        ])  # fmt: skip
    head = ["search", "step size", "pairs", "repeated", "visit new grids afterwards", "new grids: median (range)",
            "moves watched: median", "new / moves", "still new in the last tenth", "end periodic",
            "only the first loop again", "best loss / encoding's: at the repeat / at the end"]  # fmt: skip
    return table(head, rows)


def _in_order(log: dict[str, Any]) -> list[dict[str, Any]]:
    readings = ["", "snapped", "reset"]
    return sorted(log.values(), key=lambda e: (readings.index(e["reading"]), e["algorithm"], e["lr"]))


def _kind(entry: dict[str, Any]) -> str:
    return f"{entry['algorithm'].capitalize()}{entry['reading'] and ', ' + entry['reading']}"


def _step(entry: dict[str, Any]) -> str:
    text = f"{entry['lr']:g}"
    return LABELS.get(text, f"{entry['lr']:,g}")


# -- budgets ----------------------------------------------------------------------------------------


def tuning(log: dict[str, Any]) -> str:
    """Every candidate's mean ratio on the tuning images."""
    rows = []
    for data, entries in log.items():
        for e in entries.values():
            cells = [f"{lr}: {mean:.3f}" for lr, mean in e["means"].items()]
            cells = [
                f"**{cell}**" if float(lr) == e["best"] else cell for lr, cell in zip(e["means"], cells, strict=True)
            ]
            rows.append([data, e["method"], e["start"], e["rows"], ", ".join(cells)])
    return table(["data", "search", "start", "evaluations", "step size: mean loss / encoding's"], rows)


def comparison(log: dict[str, Any], start: str) -> str:
    """Mean, median and share at most 1 of the ratio, for each search and budget."""
    entries = {name: log.get(f"{name}, {start}") for name in budgets.METHODS}
    if entries[budgets.RANDOM] is None and entries[budgets.START] is not None:
        entries[budgets.RANDOM] = _with_start(log.get(f"{budgets.RANDOM}, random"), entries[budgets.START])
    # A run that is under way has some searches ahead of others: compare the pairs that all of them have done.
    same = min((entry["pairs"] for entry in entries.values() if entry), default=0)
    rows = []
    for name, entry in entries.items():
        if entry is not None:
            entry = entry | {"ratio": {key: values[:same] for key, values in entry["ratio"].items()}}
            cells = [_ratio(entry["ratio"][key]) for key in entry["ratio"] if key.isdigit()]
            stopped = entry["ratio"].get("to the first repeat")
            repeats = f"{entry['repeats']} of {entry['pairs']}" if "repeats" in entry else "-"
            rows.append([name, _tuned(entry.get("lr")), same, *cells, _ratio(stopped) if stopped else "-", repeats])
    counts = next((k for e in entries.values() if e for k in [[b for b in e["ratio"] if b.isdigit()]]), [])
    each = [f"{count} evaluations" for count in counts]
    head = ["search", "step size", "pairs", *each, "up to the first repeat", "repeat"]
    return table(head, rows)


def _tuned(lr: float | list[float] | None) -> str:
    """One step size, or one for each budget where they differ."""
    sizes = dict.fromkeys(lr if isinstance(lr, list) else [lr])
    return ", ".join(f"{size:g}" for size in sizes) if all(sizes) else "-"


def _ratio(values: list[float]) -> str:
    share = sum(value <= 1 for value in values) / len(values)
    return f"{statistics.mean(values):.3f}, {statistics.median(values):.3f}, {share:.0%}"


def _with_start(found: dict[str, Any] | None, start: dict[str, Any]) -> dict[str, Any] | None:
    """Random search from another start: the better of that start and the draws."""
    if found is None:
        return None
    pairs = min(found["pairs"], start["pairs"])
    ratio = {
        rows: [min(a, b) for a, b in zip(values[:pairs], start["ratio"][rows][:pairs], strict=True)]
        for rows, values in found["ratio"].items()
    }
    return found | {"ratio": ratio, "pairs": pairs}
