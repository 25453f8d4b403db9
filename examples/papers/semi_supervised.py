"""Figures 3, 4, 7 and 8 of *Direct Optimization through arg max for Discrete VAE*: semi-supervised images.

    python examples/papers/semi_supervised.py run                       # Figure 3: MNIST with 50 to 600 labels
    python examples/papers/semi_supervised.py run --recipe paper        # equation 11 and nothing else
    python examples/papers/semi_supervised.py run --times 10            # with ten times the passes of the bound
    python examples/papers/semi_supervised.py run --data attributes     # Figure 4, with attributes of digits
    python examples/papers/semi_supervised.py pictures                  # docs/results/img/argmax_*.png
    python examples/papers/semi_supervised.py report                    # the figures, as tables

Everything is seeded. What a log in `examples/logs/` holds already is not done again, and a run that was stopped
goes on from its last pass. Weights go to `runs/`: runs with more labels, and the images, begin from them.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

import torch

ROOT = Path(__file__).parents[2]
sys.path[:0] = [path for path in (str(ROOT / "examples"), str(Path(__file__).parent)) if path not in sys.path]
from argmax import attributes, semi  # noqa: E402
from tto import logs  # noqa: E402

from latentsearch import plots  # noqa: E402

IMAGES = ROOT / "docs" / "results" / "img"


def section_of(options: argparse.Namespace) -> str:
    """Where the log has the runs of a recipe."""
    return options.recipe + (f" x{options.times}" if options.times > 1 else "")


def run_semi(options: argparse.Namespace) -> None:
    """Every method, seed and number of labels asked for, as the log lacks them."""
    recipe = semi.longer(semi.RECIPES[options.recipe], options.times)
    section = section_of(options)
    path, data = options.logs / "argmax_semi.json", semi.load()
    for seed in options.seeds:
        for method in options.methods:
            done = logs.read(path).get(section, {})
            runs = semi.chain(data, section, recipe, method, seed, tuple(options.counts), options.runs, done)
            logs.write(path, section, runs)


def run_attributes(options: argparse.Namespace) -> None:
    """One model a seed, by the bound and the labels or with the constraint on top."""
    path, section = options.logs / "argmax_attributes.json", f"asked {options.asked:g}"
    for seed in options.seeds:
        done = logs.read(path).get(section, {})
        logs.write(path, section, attributes.run(seed, 4 * options.times, options.asked, options.runs, done))


def report(folder: Path) -> None:
    """All figures as tables."""
    for section, log in logs.read(folder / "argmax_semi.json").items():
        for which in ("validation", "test"):
            print(f"\n## {section}, {which}\n\n{semi.table(log, which)}")
    for section, log in logs.read(folder / "argmax_attributes.json").items():
        print(f"\n## attributes, {section}\n\n{attributes.table(log)}")


def draw(runs: Path, section: str, asked: float, seed: int) -> None:
    """Figures 7, 4 and 8, of the models whose weights are there."""
    for count in (min(semi.COUNTS), max(semi.COUNTS)):
        path = semi.weights(runs, section, f"direct-{count}-{seed}")
        if path.exists():
            rows = semi.classes_by_style(semi.load_model(path), styles=8)
            plots.save_grid(IMAGES / f"argmax_classes_{count}.png", rows, [""] * len(rows), scale=2,
                            titles={0: f"{count} labels; a row is one style in all ten classes"})  # fmt: skip
    path = attributes.weights(runs, asked, seed)
    if path.exists():
        model = semi.load_model(path)
        rows = attributes.switches(model, attributes.load()[2][:8])
        title = "image, decoded, then switched: " + ", ".join(attributes.NAMES)
        plots.save_grid(IMAGES / "argmax_attributes.png", rows, [""] * len(rows), scale=2, titles={0: title})
        found = attributes.combinations(model, ("slanted", "tall", "top-heavy"), styles=12)
        plots.save_grid(IMAGES / "argmax_combinations.png", list(found.values()), list(found), scale=2)


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
    parser.add_argument("--asked", type=float, default=5.0, help="attributes: weight of reading off what was asked for")
    parser.add_argument("--runs", type=Path, default=ROOT / "runs", help="where weights go")
    parser.add_argument("--logs", type=Path, default=ROOT / "examples" / "logs")
    options = parser.parse_args(arguments)
    options.runs.mkdir(parents=True, exist_ok=True)
    if options.command == "run":
        run_semi(options) if options.data == "digits" else run_attributes(options)
    elif options.command == "report":
        report(options.logs)
    else:
        draw(options.runs, section_of(options), options.asked, options.seeds[0])


if __name__ == "__main__":
    torch.set_num_threads(1)
    # Cold softmaxes are full of denormal numbers, with which a CPU is several times slower.
    torch.set_flush_denormal(True)
    main()
