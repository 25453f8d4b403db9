"""What a step of GradientSearch costs beside the same step written by hand in bare torch.

    python examples/benchmarks/step_cost.py            # about 3 minutes; writes examples/logs/step_cost.json

Both decode 64 rows of the embedded MNIST VAE, take the loss of each row and its gradient, and move
the rows by Adam. `bare` does nothing else; `with best` also keeps the best latent of each row, as
any search must. Runs alternate in one process, the time of a step is the median within a run, and
what is printed is the median of the ratios of neighbouring runs. A second part compares 256 rows
with four times 64, by search and by hand: what the hand-written loop loses there, torch loses.
"""

from __future__ import annotations

import argparse
import itertools
import json
import statistics
import time
from functools import partial
from pathlib import Path

import torch
from torch import Tensor

import latentsearch as ls
from latentsearch import zoo

LOG = Path(__file__).parents[1] / "logs" / "step_cost.json"
ADAM = partial(torch.optim.Adam, lr=0.1)


def by_hand(generator: ls.Generator, target: Tensor, start: Tensor, steps: int, keep_best: bool) -> float:
    """Median seconds of a step of a plain loop."""
    z = start.clone().requires_grad_()
    optimizer = ADAM([z])
    best, best_z = torch.full((len(z),), torch.inf), start.clone()
    times = []
    for _ in range(steps):
        begin = time.perf_counter()
        optimizer.zero_grad()
        loss = (generator.decode(z) - target).square().flatten(1).mean(1)
        loss.sum().backward()
        if keep_best:
            better = loss.detach() < best
            best = torch.where(better, loss.detach(), best)
            best_z = torch.where(better[:, None], z.detach(), best_z)
        optimizer.step()
        times.append(time.perf_counter() - begin)
    return statistics.median(times)


def by_search(generator: ls.Generator, target: Tensor, start: Tensor, steps: int) -> float:
    """Median seconds of a step of GradientSearch, all that the loop does included."""
    stamps: list[float] = []
    run = ls.Run(evaluations=None, steps=steps + 1, callbacks=[lambda step: stamps.append(time.perf_counter())])
    ls.GradientSearch(optimizer=ADAM).search(generator, ls.Matches(target), init=start, seed=0, run=run)
    return statistics.median(b - a for a, b in itertools.pairwise(stamps))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=40)
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    model = zoo.load("mnist-vae")
    generator = ls.wrap(model)
    noise = ls.Noise.from_seed(0, 256)
    with torch.no_grad():
        target = generator.decode(noise.normal(20))
    start = noise.fold(1).normal(20)
    few = (generator, target[:64], start[:64], options.steps)
    scaling = "256 rows / (4 x 64 rows)"
    ratios: dict[str, list[float]] = {"bare": [], "with best": [], scaling: [], f"{scaling}, by hand": []}
    step = []
    for _ in range(options.repeats):
        step.append(by_search(*few))
        ratios["bare"].append(step[-1] / by_hand(*few, keep_best=False))
        ratios["with best"].append(by_search(*few) / by_hand(*few, keep_best=True))
        many = (generator, target, start, options.steps)
        ratios[scaling].append(by_search(*many) / (4 * by_search(*few)))
        ratios[f"{scaling}, by hand"].append(by_hand(*many, keep_best=True) / (4 * by_hand(*few, keep_best=True)))
    figures = {name: round(statistics.median(values), 3) for name, values in ratios.items()}
    figures["milliseconds a step"] = round(1000 * statistics.median(step), 2)
    print(figures)
    log = {"repeats": options.repeats, "steps": options.steps, "threads": options.threads, "torch": torch.__version__}
    LOG.parent.mkdir(parents=True, exist_ok=True)
    LOG.write_text(json.dumps(log | figures, indent=1))


if __name__ == "__main__":
    main()
