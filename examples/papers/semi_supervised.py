"""Figures 3, 4 and 7 of *Direct Optimization through arg max for Discrete VAE*: semi-supervised pictures.

    python examples/papers/semi_supervised.py run                       # Figure 3: MNIST with 50 to 600 labels
    python examples/papers/semi_supervised.py run --recipe paper        # equation 11 and nothing else
    python examples/papers/semi_supervised.py run --times 10            # with ten times the passes of the bound
    python examples/papers/semi_supervised.py run --data attributes     # Figure 4, with attributes of digits
    python examples/papers/semi_supervised.py pictures                  # docs/results/img/argmax_*.png
    python examples/papers/semi_supervised.py report                    # the figures, as tables

Everything is seeded. What a log in `examples/logs/` holds already is not done again; weights go to
`runs/`, and without them a run whose figures are there is not done again either.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

import torch

ROOT = Path(__file__).parents[2]
sys.path[:0] = [path for path in (str(ROOT / "examples"), str(Path(__file__).parent)) if path not in sys.path]
from argmax import semi  # noqa: E402
from tto import logs  # noqa: E402


def run_semi(options: argparse.Namespace) -> None:
    """Every method, seed and number of labels asked for, as the log lacks them."""
    recipe = semi.longer(semi.RECIPES[options.recipe], options.times)
    section = options.recipe + (f" x{options.times}" if options.times > 1 else "")
    path, data = options.logs / "argmax_semi.json", semi.load()
    for seed in options.seeds:
        for method in options.methods:
            done = logs.read(path).get(section, {})
            runs = semi.chain(data, section, recipe, method, seed, tuple(options.counts), options.runs, done)
            logs.write(path, section, runs)


def main(arguments: Sequence[str] | None = None) -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("command", choices=["run", "report", "pictures"])
    parser.add_argument("--data", choices=["digits", "attributes"], default="digits")
    parser.add_argument("--recipe", choices=list(semi.RECIPES), default="ours")
    parser.add_argument("--times", type=int, default=1, help="so many times the passes of the bound")
    parser.add_argument("--methods", nargs="+", choices=semi.METHODS, default=list(semi.METHODS))
    parser.add_argument("--counts", nargs="+", type=int, default=list(semi.COUNTS), help="numbers of labels")
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument("--runs", type=Path, default=ROOT / "runs", help="where weights go")
    parser.add_argument("--logs", type=Path, default=ROOT / "examples" / "logs")
    options = parser.parse_args(arguments)
    options.runs.mkdir(parents=True, exist_ok=True)
    if options.command == "run":
        run_semi(options)


if __name__ == "__main__":
    torch.set_num_threads(1)
    # Cold softmaxes are full of denormal numbers, with which a CPU is several times slower.
    torch.set_flush_denormal(True)
    main()
