"""Section 5 of *Exploring Test Time Optimization for Discrete Neural Representation Learners*, measured again.

    python examples/papers/train_vqvae.py cifar10                        # the models, first
    python examples/papers/test_time_optimization.py traversals         # Table 1
    python examples/papers/test_time_optimization.py carry-on           # what follows a repeat
    python examples/papers/test_time_optimization.py tune               # step sizes, on other images
    python examples/papers/test_time_optimization.py budgets            # what each search reaches
    python examples/papers/test_time_optimization.py pictures           # docs/results/img/tto_*.png
    python examples/papers/test_time_optimization.py report             # the tables of docs/results/

Add `--data mnist` to `tune` and `budgets` for the MNIST model that the package carries, and
`--fast` to try any of them on few pairs and evaluations, with figures and images in `runs/fast/`. Everything
is seeded; figures go to `examples/logs/`, one file a subcommand.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

ROOT = Path(__file__).parents[2]
sys.path[:0] = [path for path in (str(ROOT / "examples"), str(Path(__file__).parent)) if path not in sys.path]
from data import cifar10_subset, mnist  # noqa: E402
from tto import budgets, logs, pictures, tables, traversals  # noqa: E402
from tto.bench import Bench, fast_layout, load_model, make_benches  # noqa: E402

from latentsearch import models, zoo  # noqa: E402

STARTS = {"cifar10": budgets.STARTS, "mnist": budgets.STARTS[:1]}


@dataclass(frozen=True)
class Paths:
    """Where things are read and written."""

    runs: Path = Path("runs")
    logs: Path = ROOT / "examples" / "logs"
    page: Path = ROOT / "docs" / "results" / "test_time_optimization.md"

    @property
    def images(self) -> Path:
        return self.page.parent / "img"


def load(data: str, runs: Path) -> tuple[models.VQVAE, Tensor]:
    """The model with K = 512 and seed 0, and the test images."""
    if data == "mnist":
        return fast_layout(zoo.load("mnist-vqvae-512")), mnist("test")[0]
    return load_model(runs / "cifar10-K512-ema-0.safetensors"), cifar10_subset("test")[0]


FILES = {"traversals": "tto_traversals", "carry-on": "tto_carry_on", "tune": "tto_tuning", "budgets": "tto_budgets"}


def run(command: str, data: str, bench: Bench, tuning: Bench, paths: Paths, fast: bool) -> None:
    """One subcommand that searches; what its log holds already is not done again."""
    path = paths.logs / f"{FILES[command]}.json"
    done = logs.read(path).get(data, {})
    scale, starts = budgets.scale(fast), STARTS[data]
    if command == "traversals":
        entries = traversals.sweep(bench, traversals.quick(traversals.SWEEP) if fast else traversals.SWEEP, done)
    elif command == "carry-on":
        settings = traversals.quick(traversals.CARRY_ON) if fast else traversals.CARRY_ON
        entries = traversals.carry_on(bench.part(0, traversals.CARRY_ON_PAIRS), settings, done)
    elif command == "tune":
        entries = budgets.tune(tuning, scale, starts, done)
    else:
        tuned = logs.read(paths.logs / f"{FILES['tune']}.json").get(data, {})
        entries = budgets.compare(bench, budgets.chosen(tuned), scale, done, starts)
    logs.write(path, data, entries)


def main(arguments: Sequence[str] | None = None, *, model: models.VQVAE | None = None,
         images: Tensor | None = None, paths: Paths | None = None) -> None:  # fmt: skip
    """The command line; a model, test images and paths can be put in by hand."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("command", choices=["traversals", "carry-on", "tune", "budgets", "pictures", "report"])
    parser.add_argument("--data", choices=["cifar10", "mnist"], default="cifar10")
    parser.add_argument("--runs", type=Path, default=Path("runs"), help="where train_vqvae.py put the weights")
    parser.add_argument("--first", type=int, help="budgets: only the first so many pairs; the others can follow")
    parser.add_argument("--fast", action="store_true", help="few pairs and evaluations, to see it work")
    options = parser.parse_args(arguments)
    if options.command == "report":
        paths = paths or Paths()
        tables.fill(paths.page, paths.logs)
        return
    if paths is None:
        fast = options.runs / "fast"  # a quick run must not touch what the page reports
        paths = Paths(options.runs, fast, fast / "page.md") if options.fast else Paths(options.runs)
    if model is None or images is None:
        model, images = load(options.data, paths.runs)
    sizes = {"pairs": 4, "tuning": 2} if options.fast else {}
    bench, tuning = make_benches(model, images, **sizes)
    if options.command == "budgets":
        bench = bench.part(0, options.first or len(bench))
    if options.command == "pictures":
        pictures.draw_all(bench, paths.logs, paths.runs, paths.images, options.fast)
        return
    run(options.command, options.data, bench, tuning, paths, options.fast)


if __name__ == "__main__":
    torch.set_num_threads(1)
    # Cold softmaxes are full of denormal numbers, with which a CPU is several times slower.
    torch.set_flush_denormal(True)
    main()
