"""Tables and figures of *Direct Optimization through arg max for Discrete Variational Auto-Encoder*, measured again.

    python examples/papers/direct_argmax.py bounds                          # Figures 2, 5 and 6: hours
    python examples/papers/direct_argmax.py bounds --settings 20x10 --methods direct "gumbel-softmax" --seeds 0 1 2
    python examples/papers/direct_argmax.py gradients                       # Figure 1
    python examples/papers/direct_argmax.py speed                           # steps a second of the direct estimator
    python examples/papers/direct_argmax.py report                          # the tables of docs/results/

Every fit is a record in `examples/logs/argmax_bounds.json`; what the log holds is not done again, and a fit that is
stopped goes on from its checkpoint in `runs/argmax/`. `--recount` counts the categories that those weights use.
`--compiled` makes one kernel of the losses of single swaps (a C++ compiler, and a minute to begin with). Everything
is seeded.
"""

from __future__ import annotations

import argparse
import fcntl
import json
import re
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

ROOT = Path(__file__).parents[2]
sys.path[:0] = [path for path in (str(ROOT / "examples"), str(Path(__file__).parent)) if path not in sys.path]
from argmax import bounds, figures, gradients, speed, tables  # noqa: E402
from tto.logs import read  # noqa: E402

LOGS = ROOT / "examples" / "logs"
_LISTS = re.compile(r"\[[^\[\]{}\"]*\]")  # of numbers, which take a line each
PAGE = ROOT / "docs" / "results" / "direct_argmax.md"


def put(path: Path, keys: Sequence[str], record: Any) -> None:
    """One record more; two processes may write to one log."""
    with open(Path(tempfile.gettempdir()) / f"{path.name}.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        log = read(path)
        inner = log
        for key in keys[:-1]:
            inner = inner.setdefault(key, {})
        inner[keys[-1]] = record
        text = _LISTS.sub(lambda found: "".join(found[0].split()), json.dumps(log, indent=1))
        path.write_text(text + "\n")


def run_bounds(options: argparse.Namespace) -> None:
    path = options.logs / "argmax_bounds.json"
    for seed in options.seeds:
        for name in options.settings:
            for method in options.methods:
                fitting = bounds.Fitting(
                    options.epochs, options.rate, options.decay, options.warm_up, options.compiled, options.device
                )
                key = f"{fitting}, seed {seed}"
                done = read(path).get(name, {}).get(method, {}).get(key)
                if done is not None:
                    if options.recount:
                        record = done | {"used": bounds.used_by(name, method, seed, fitting, options.runs)}
                        put(path, (name, method, key), record)
                    continue
                record = bounds.train(name, method, seed, fitting, options.runs)
                put(path, (name, method, key), record)
                print(f"{name}, {method}, seed {seed}: {record['test']} at epoch {record['epoch']}", flush=True)


def run_gradients(options: argparse.Namespace) -> None:
    images = gradients.digits.parts()["validation"][: bounds.BATCH]
    for variables, steps in gradients.MODELS.items():
        net = gradients.trained(variables, steps)
        sure = round(net.posterior(images).softmax(-1).amax(-1).mean().item(), 4)
        record = gradients.measure(net, images) | {"steps": steps, "largest chance": sure}
        put(options.logs / "argmax_gradients.json", [f"{variables} x 10, 300 hidden"], record)


def run_speed(options: argparse.Namespace) -> None:
    for variables, categories in ((20, 10), (20, 2)):
        name = f"{variables}x{categories}"
        record = speed.measure(variables, categories, options.device)
        if options.device != "cpu":
            name += f", {torch.cuda.get_device_name(options.device)}"
        put(options.logs / "argmax_speed.json", [name], record)
        print(f"{name}, steps a second: {record}", flush=True)


SHOWN = {
    "20x10, threshold": "20 x 10, linear, thresholded",
    "20x2, threshold": "20 x 2, linear, thresholded",
    "20x10": "20 x 10, linear",
    "20x2": "20 x 2, linear",
    "20x10, 300 hidden": "20 x 10, 300 hidden",
    "6x10, deep, grey": "6 x 10, deep (Figure 6)",
}


def run_report(options: argparse.Namespace) -> None:
    logs = {name: read(options.logs / f"argmax_{name}.json") for name in tables.PARTS}
    tables.write(PAGE, logs)
    folder = PAGE.parent / "img"
    if logs["gradients"]:
        figures.gradients(logs["gradients"]["1 x 10, 300 hidden"], folder / "argmax_gradients.png")
    figures.courses(logs["bounds"], SHOWN, folder / "argmax_courses.png")


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("command", choices=["bounds", "gradients", "speed", "report"])
    parser.add_argument("--settings", nargs="+", default=list(bounds.SETTINGS), choices=list(bounds.SETTINGS))
    parser.add_argument("--methods", nargs="+", default=list(bounds.METHODS), choices=list(bounds.METHODS))
    parser.add_argument("--seeds", nargs="+", type=int, default=[0])
    parser.add_argument("--epochs", type=int, default=50)
    parser.add_argument("--rate", type=float, default=bounds.RATE, help="Adam's")
    parser.add_argument("--decay", action="store_true", help="a cosine schedule in place of a constant rate")
    parser.add_argument("--warm-up", type=int, default=0, help="epochs over which the KL's weight rises to 1")
    parser.add_argument("--compiled", action="store_true")
    parser.add_argument(
        "--recount",
        action="store_true",
        help="of fits in the log whose weights are in --runs, which categories are used",
    )
    parser.add_argument("--device", default="cpu", help="where fits and speed are run: cpu, cuda")
    parser.add_argument("--logs", type=Path, default=LOGS)
    parser.add_argument("--runs", type=Path, default=Path("runs/argmax"))
    options = parser.parse_args(arguments)
    torch.set_num_threads(1)
    torch.set_flush_denormal(True)
    {"bounds": run_bounds, "gradients": run_gradients, "speed": run_speed, "report": run_report}[options.command](
        options
    )


if __name__ == "__main__":
    main()
