"""Which relaxation should a search in codes take? Every estimator in `RelaxedSearch`, under the same budgets.

    python examples/benchmarks/relaxations.py tune       # temperatures and widths, on other images
    python examples/benchmarks/relaxations.py run        # examples/logs/relaxations.json
    python examples/benchmarks/relaxations.py report     # the table of docs/results/direct_argmax.md

Tasks, generators, starts and yardsticks are those of `codes.py`. Each estimator takes the best on 16 other
images of a few last temperatures (or widths) and of two learning rates, with 300 evaluations;
nothing is tuned per image.
"""

from __future__ import annotations

import argparse
import itertools
import json
import sys
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

sys.path.append(str(Path(__file__).parent))
from codes_bench import generators, tasks
from codes_bench.measure import search

import latentsearch as ls
from latentsearch import relaxations

LOG = Path(__file__).parents[1] / "logs" / "relaxations.json"
PAGE = Path(__file__).parents[2] / "docs" / "results" / "direct_argmax.md"
BUDGETS, TUNING_ROWS, TUNING_COUNT = (100, 300, 1000), 300, 16
RATES = (0.2, 0.5)
_LAST = (0.05, 0.2, 0.5)  # temperatures, from 1
_WIDTHS = (1e3, 1e4, 1e5)  # of losses that are means over pixels, so of a few thousandths

# A factory from the temperatures of a search, and what its second setting is.
Factory = Callable[[Tensor], relaxations.Estimator]
RELAXATIONS: Mapping[str, tuple[Callable[[float], Factory], tuple[float, ...]]] = {
    "softmax": (lambda _: relaxations.SoftmaxRelaxation, _LAST),
    "gumbel-softmax": (lambda _: relaxations.GumbelSoftmax, _LAST),
    "gumbel-softmax, hard": (lambda _: partial(relaxations.GumbelSoftmax, hard=True), _LAST),
    "gumbel-rao": (lambda _: partial(relaxations.GumbelRao, samples=4), _LAST),
    "straight-through": (lambda _: relaxations.StraightThrough, _LAST),
    "reinmax": (lambda _: lambda tau: relaxations.ReinMax(), (1.0,)),
    "rebar": (lambda _: relaxations.Rebar, _LAST),
    "rloo, 4 draws": (lambda _: lambda tau: relaxations.Rloo(4), (1.0,)),
    "direct, likeliest": (lambda width: lambda tau: relaxations.DirectArgmax(-width, top=1), _WIDTHS),
    "local expectation, likeliest": (lambda _: lambda tau: relaxations.LocalExpectation(top=1), (1.0,)),
}


def searcher(name: str, setting: float, rate: float) -> ls.RelaxedSearch:
    make, _ = RELAXATIONS[name]
    last = setting if name not in ("direct, likeliest",) else 0.05
    optimizer = partial(torch.optim.Adam, lr=rate, betas=(0.9, 0.9), eps=1e-20)
    return ls.RelaxedSearch(relaxation=make(setting), temperature=(1.0, last), optimizer=optimizer)


def ratios(problem: tasks.Problem, method: ls.Searcher, evaluations: int) -> Tensor:
    return search(problem, method, evaluations, seed=0).score.loss / problem.yardstick


def best(log: dict[str, float]) -> tuple[float, float]:
    setting, rate = min(log, key=lambda key: log[key]).split()
    return float(setting), float(rate)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("command", choices=["tune", "run", "report"])
    parser.add_argument("--generators", nargs="+", default=["cifar10-8x8", "mnist-512"], choices=generators.GENERATORS)
    parser.add_argument("--tasks", nargs="+", default=["match", "x4"], choices=list(tasks.TASKS))
    parser.add_argument("--count", type=int, default=32, help="images")
    options = parser.parse_args()
    torch.set_num_threads(1)
    torch.set_flush_denormal(True)
    log: dict[str, Any] = json.loads(LOG.read_text()) if LOG.exists() else {}
    if options.command == "report":
        write(log)
        return
    for generator_name, name in itertools.product(options.generators, RELAXATIONS):
        generator, _ = generators.load(generator_name)
        of = log.setdefault(generator_name, {}).setdefault(name, {"tuning": {}})
        if options.command == "tune":
            problem = tasks.make(generator, generator_name, "match", TUNING_COUNT, seed=0, tuning=True)
            for setting, rate in itertools.product(RELAXATIONS[name][1], RATES):
                if (key := f"{setting:g} {rate:g}") not in of["tuning"]:
                    mean = ratios(problem, searcher(name, setting, rate), TUNING_ROWS).mean()
                    of["tuning"][key] = float(f"{mean:.4g}")
                    print(generator_name, name, key, of["tuning"][key], flush=True)
        else:
            for task in options.tasks:
                problem = tasks.make(generator, generator_name, task, options.count, seed=0)
                for budget in BUDGETS:
                    if (key := f"{task} {budget}") not in of:
                        found = ratios(problem, searcher(name, *best(of["tuning"])), budget)
                        of[key] = [float(f"{found.mean():.4g}"), float(f"{found.median():.4g}")]
                        print(generator_name, name, key, of[key], flush=True)
        LOG.write_text(json.dumps(log, indent=1) + "\n")


def write(log: dict[str, Any]) -> None:
    """Put the table between the markers of the page."""
    before, rest = PAGE.read_text().split("<!-- begin: relaxations -->\n")
    after = rest.split("<!-- end: relaxations -->")[1]
    PAGE.write_text(f"{before}<!-- begin: relaxations -->\n\n{table(log)}\n<!-- end: relaxations -->{after}")


def table(log: dict[str, Any]) -> str:
    """Mean ratios, a row an estimator."""
    columns = [f"{task} {budget}" for task in ("match", "x4") for budget in BUDGETS]
    lines = []
    for generator, found in log.items():
        lines += [f"| {generator} | {' | '.join(columns)} | last temperature (width), rate |"]
        lines += ["| --- " * (len(columns) + 2) + "|"]
        for name, of in found.items():
            figures = [f"{of[column][0]:.3g}" if column in of else "" for column in columns]
            lines.append(f"| {name} | {' | '.join(figures)} | {' '.join(f'{n:g}' for n in best(of['tuning']))} |")
        lines.append("")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
