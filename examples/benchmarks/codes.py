"""Searches in grids of codes, compared: the same problems, the same starts, the same budgets of decoded rows.

    python examples/benchmarks/train_models.py                      # the CIFAR-10 models, first
    python examples/benchmarks/codes.py tune                        # step sizes, on other pictures
    python examples/benchmarks/codes.py run                         # everything; hours
    python examples/benchmarks/codes.py run --generators mnist-512 --tasks match x4
    python examples/benchmarks/codes.py report                      # the tables, from the logs

All starts are uniform random codes; seeds 0, 1, ... are seeds of starts and of the methods' own noise. A
loss is one row, a loss with its gradient two. Figures go to `examples/logs/bench_codes*.json`; what is
there already is not done again.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

sys.path.append(str(Path(__file__).parent))
from codes_bench import methods, tasks

import latentsearch as ls

LOGS = Path(__file__).parents[1] / "logs"
RESULTS, STEPS = LOGS / "bench_codes.json", LOGS / "bench_codes_tuning.json"
BUDGETS = (100, 300, 500, 1000, 1500)
TUNING_ROWS = 300


def read(path: Path) -> dict[str, Any]:
    return json.loads(path.read_text()) if path.exists() else {}


def write(path: Path, log: dict[str, Any]) -> None:
    path.write_text(json.dumps(log, indent=1) + "\n")


def figures(loss: Tensor, yardstick: Tensor) -> dict[str, float]:
    """Of one budget: losses divided by the yardstick where it is not 0, and the share that is as good."""
    ratio = loss / yardstick if bool((yardstick > 0).all()) else loss
    solved = (loss <= yardstick).float().mean().item()
    return {"mean": round(ratio.mean().item(), 4), "median": round(ratio.median().item(), 4), "share": round(solved, 3)}


def measure(problem: tasks.Problem, name: str, step: float | None, seed: int) -> dict[str, Any]:
    """One method on all problems of a kind."""
    searcher, start, found, ends = methods.method(name, step), time.perf_counter(), {}, {}
    if name in methods.FITTED:
        for rows in BUDGETS:
            result = search(problem, searcher, rows, seed)
            found[str(rows)] = figures(result.score.loss, problem.yardstick)
            ends[str(rows)] = dict(Counter(status.name for status in result.status))
    else:
        result = search(problem, searcher, BUDGETS[-1], seed)
        for rows in BUDGETS:
            found[str(rows)] = figures(result.trace.loss_at(rows), problem.yardstick)
        ends[str(BUDGETS[-1])] = dict(Counter(status.name for status in result.status))
    seconds = round(time.perf_counter() - start, 1)
    return {"problems": len(problem.yardstick), "budgets": found, "ends": ends, "seconds": seconds, "step": step}


def search(problem: tasks.Problem, searcher: ls.Searcher, rows: int, seed: int) -> ls.SearchResult:
    run = ls.Run(rows=rows, chunk_rows=64)
    return searcher.search(problem.generator, problem.wish, init=problem.init, seed=seed, run=run)


def tune(options: argparse.Namespace) -> None:
    """The best step size of each tuned method for each generator, on the match task of other pictures."""
    log = read(STEPS)
    for name in options.generators:
        problem = tasks.make(tasks.load(name, options.runs), name, "match", tasks.TUNING, seed=0, tuning=True)
        for method, (make, steps) in methods.TUNED.items():
            done = log.setdefault(name, {}).setdefault(method, {})
            for step in steps:
                if f"{step:g}" not in done:
                    loss = search(problem, make(step), TUNING_ROWS, seed=0).score.loss
                    done[f"{step:g}"] = figures(loss, problem.yardstick)["mean"]
                    print(name, method, step, done[f"{step:g}"], flush=True)
                    write(STEPS, log)


def best_step(name: str, method: str) -> float | None:
    """The tuned step size; None for what has none."""
    if method not in methods.TUNED:
        return None
    found = read(STEPS).get(name, {}).get(method)
    if not found:
        raise SystemExit(f"no step size for {method} on {name}: run `codes.py tune --generators {name}` first")
    return float(min(found, key=lambda step: found[step]))


def run(options: argparse.Namespace) -> None:
    """Every method on every task of every generator, seed by seed."""
    log = read(RESULTS)
    for name in options.generators:
        generator = tasks.load(name, options.runs)
        for task in options.tasks:
            count, seeds = (64, options.seeds) if task in ("match", "x4") else (16, 1)
            for seed in range(seeds):
                problem = tasks.make(generator, name, task, count, seed, tuning=False)
                for method in methods.names(problem.wish.differentiable):
                    done = log.setdefault(name, {}).setdefault(task, {}).setdefault(method, {})
                    if str(seed) not in done:
                        done[str(seed)] = measure(problem, method, best_step(name, method), seed)
                        print(name, task, method, seed, done[str(seed)]["budgets"], flush=True)
                        write(RESULTS, log)


def table(found: dict[str, Any]) -> str:
    """Mean over seeds of the mean ratio at each budget, with the share that is as good as the yardstick."""
    lines = ["| method | seeds | " + " | ".join(f"{rows} rows" for rows in BUDGETS) + " |"]
    lines.append("| --- " * (len(BUDGETS) + 2) + "|")
    last = str(BUDGETS[-1])

    def mean(seeds: dict[str, Any], rows: str, key: str) -> float:
        return sum(seed["budgets"][rows][key] for seed in seeds.values()) / len(seeds)

    for method, seeds in sorted(found.items(), key=lambda item: mean(item[1], last, "mean")):
        cells = [f"{mean(seeds, str(r), 'mean'):.3g} ({mean(seeds, str(r), 'share'):.0%})" for r in BUDGETS]
        lines.append(f"| {method} | {len(seeds)} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def report(options: argparse.Namespace) -> None:
    for name, by_task in read(RESULTS).items():
        for task, found in by_task.items():
            print(f"\n{name}, {task}\n\n{table(found)}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("command", choices=["tune", "run", "report"])
    parser.add_argument("--generators", nargs="+", default=list(tasks.GENERATORS), choices=tasks.GENERATORS)
    parser.add_argument("--tasks", nargs="+", default=list(tasks.TASKS), choices=list(tasks.TASKS))
    parser.add_argument("--seeds", type=int, default=3, help="for match and x4; one for the others")
    parser.add_argument("--runs", type=Path, default=Path("runs"), help="where train_models.py put the weights")
    options = parser.parse_args()
    torch.set_num_threads(1)
    # Cold softmaxes are full of denormal numbers, with which a CPU is several times slower.
    torch.set_flush_denormal(True)
    {"tune": tune, "run": run, "report": report}[options.command](options)


if __name__ == "__main__":
    main()
