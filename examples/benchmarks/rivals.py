"""Rivals from the literature on the codes of digits: G2D2, and SGDD as released, beside GibbsSearch.

    python examples/benchmarks/rivals.py run --count 12     # two tasks; ten minutes on one core
    python examples/benchmarks/rivals.py run --tasks x4 --methods "Gibbs, greedy"
    python examples/benchmarks/rivals.py report --write     # the tables of docs/results/rivals.md

Decoder, prior, judge, noise and tasks are those of posterior.py, and so are its searches. The rivals are our own
implementations, from the papers' formulae and what the notes above each class say of their releases. Test images from
the first on; seeded; one thread. Figures go to `examples/logs/rivals.json`, those that are measured again in the place
of the old ones.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

sys.path.append(str(Path(__file__).parent))
sys.path.append(str(Path(__file__).parents[1]))
import posterior
from codes_bench import pages
from codes_bench.g2d2 import G2D2
from codes_bench.split_gibbs import SplitGibbs
from posterior import GREEDY, SAMPLED, Given, Task

import latentsearch as ls

LOG = Path(__file__).parents[1] / "logs" / "rivals.json"
PAGE = Path(__file__).parents[2] / "docs" / "results" / "rivals.md"


def published(task: Task) -> float:
    """From nats to a sum of squares of pixels between -1 and 1, in which G2D2 weighs its divergence."""
    return 8 * task.noise**2


def split_gibbs(decodes: int) -> SplitGibbs:
    """SGDD's rounds for codes, with as many moves as so many decodes pay for; 350,000 as released."""
    return SplitGibbs(rounds=70, passes=16, moves=decodes // 70 - 1, scale=10.0)


# A method: how to search, for what, and the evaluations that pay for it beside passes of the prior.
Method = tuple[Callable[[Task], ls.Searcher], int | None]
METHODS: dict[str, Method] = {
    "AutoSearch, no prior": (lambda task: ls.AutoSearch(), 1000),
    "Gibbs, sampled": (lambda task: SAMPLED, 3000),
    "Gibbs, greedy": (lambda task: GREEDY, 3000),
    "Gibbs, sampled, 1,000": (lambda task: SAMPLED, 1000),
    "Gibbs, greedy, 1,000": (lambda task: GREEDY, 1000),
    "G2D2": (lambda task: G2D2(published(task)), None),
    "G2D2, in nats": (lambda task: G2D2(published(task), divergence=published(task)), None),
    "SGDD as released": (lambda task: split_gibbs(20_000), None),
}
FREE = ("AutoSearch, no prior",)  # of a prior


def measure(given: Given, task: Task, name: str, seed: int) -> dict[str, Any]:
    make, budget = METHODS[name]
    goal = task.plain if name in FREE else posterior.posterior(given, task)
    searcher = make(task)
    result = searcher.search(given.generator, goal, seed=seed, run=ls.Run(evaluations=budget))
    spent = {"evaluations": round(float(result.evaluations.mean()), 1), "seconds": round(result.seconds, 1)}
    return {"method": name} | posterior.judged(result.latent, given, task) | spent


def run(options: argparse.Namespace) -> None:
    given = posterior.given_of("mnist-512", options.first, options.count)
    log: dict[str, Any] = json.loads(options.out.read_text()) if options.out.exists() else {}
    settings = {"first": options.first, "count": len(given.images), "kappa": options.kappa, "seed": options.seed}
    if log.get("settings") != settings:
        log = {"settings": settings, "torch": torch.__version__, "tasks": {}}
    for name in options.tasks:
        task = posterior.task_of(given, name, options.kappa)
        part = log["tasks"].setdefault(name, {"noise": round(task.noise, 5), "rows": []})
        part["encoder"] = posterior.judged(given.generator.encode(given.images), given, task)
        for method in options.methods:
            found = measure(given, task, method, options.seed)
            print(name, found, flush=True)
            part["rows"] = [*(row for row in part["rows"] if row["method"] != method), found]
            options.out.write_text(json.dumps(log, indent=1) + "\n")


COLUMNS = {
    "within ε": ("within tolerance", "{:.0%}"),
    "in band": ("in band", "{:.0%}"),
    "both": ("both", "{:.0%}"),
    "read right": ("read right", "{:.0%}"),
    "bits": ("bits per code", "{:.2f}"),
    "hidden error": ("hidden error", "{:.4f}"),
    "evaluations": ("evaluations", "{:,.0f}"),
    "seconds": ("seconds", "{:.0f}"),
}


def table(part: dict[str, Any]) -> str:
    """Of one task: the encoder, then a line a method."""
    rows = {"*encoder*": part["encoder"]}
    rows |= {row["method"]: row for row in sorted(part["rows"], key=lambda row: list(METHODS).index(row["method"]))}
    return pages.table("method", rows, COLUMNS)


def report(log: dict[str, Any]) -> str:
    count = log["settings"]["count"]
    tasks = log["tasks"].items()
    return "".join(f"\n**{posterior.TITLES[name]}** ({count} digits)\n\n{table(part)}\n\n" for name, part in tasks)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("command", choices=("run", "report"))
    parser.add_argument("--tasks", nargs="*", default=posterior.TASKS, choices=posterior.TASKS)
    parser.add_argument("--methods", nargs="*", default=list(METHODS), choices=list(METHODS))
    parser.add_argument("--first", type=int, default=0, help="test image")
    parser.add_argument("--count", type=int, default=24)
    parser.add_argument("--kappa", type=float, default=0.5, help="share of the observed values that counts as noise")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=LOG)
    parser.add_argument("--write", action="store_true", help="report: into docs/results/rivals.md")
    options = parser.parse_args()
    torch.set_num_threads(1)
    # Cold softmaxes are full of denormal numbers, with which a CPU is several times slower.
    torch.set_flush_denormal(True)
    if options.command == "run":
        run(options)
        return
    text = report(json.loads(options.out.read_text()))
    if options.write:
        pages.put(PAGE, "codes", text)
    else:
        print(text)


if __name__ == "__main__":
    main()
