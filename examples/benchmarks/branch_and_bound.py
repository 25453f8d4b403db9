"""How many evaluations a proof takes, against the number of positions: where branch and bound stops being practical.

    python examples/benchmarks/branch_and_bound.py     # some minutes; writes examples/logs/branch_and_bound.json

Three decoders: a random linear one, a random one of a convolution, a ReLU and a transposed
convolution, and the same architecture trained as a VQ-VAE on MNIST images shrunk to 8 x 8. All are
searched over grids of growing size; being convolutional, the trained one is cut to windows. Targets
are outputs of random grids with noise of a tenth of their deviation ("near"), the mean with noise of
their deviation ("noise"), and windows of test images ("picture").
"""

from __future__ import annotations

import argparse
import itertools
import json
import math
import statistics
import sys
import time
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

import latentsearch as ls
from latentsearch import models, training

sys.path.insert(0, str(Path(__file__).parents[1]))
import data

LOG = Path(__file__).parents[1] / "logs" / "branch_and_bound.json"
SHAPES = ((1, 2), (2, 2), (2, 3), (2, 4), (3, 3), (3, 4), (4, 4))
CODES, WIDTH, CHANNELS = 8, 4, 8
TRAIN_STEPS = 1500


def small_mnist(split: str) -> Tensor:
    """``(N, 1, 8, 8)``: what is inside of the margin, shrunk."""
    return F.interpolate(data.mnist(split)[0][..., 2:26, 2:26], size=(8, 8), mode="area")


def trained() -> models.VQVAE:
    with training.initialised(0):
        model = models.VQVAE(
            (1, 8, 8), codebook_size=CODES, width=WIDTH, channels=CHANNELS, residual_blocks=0, halvings=1
        )
    ls.fit(model, [small_mnist("train")[:20000]], ls.Fit(TRAIN_STEPS))
    return model.eval()


def generator_of(kind: str, shape: tuple[int, int], model: models.VQVAE) -> ls.CodebookGenerator:
    if kind == "trained":
        return ls.CodebookGenerator(model.decoder, model.codebook, shape)
    with training.initialised(0):
        if kind == "linear":
            net = nn.Sequential(nn.Flatten(), nn.Linear(WIDTH * math.prod(shape), 4 * math.prod(shape)))
        else:
            net = nn.Sequential(
                nn.Conv2d(WIDTH, CHANNELS, 3, padding=1), nn.ReLU(), nn.ConvTranspose2d(CHANNELS, 1, 4, 2, 1)
            )
    return ls.CodebookGenerator(net.eval(), ls.Noise.from_seed(0).normal(CODES, WIDTH)[0], shape)


def target_of(what: str, generator: ls.CodebookGenerator, problems: int) -> Tensor:
    if what == "picture":
        height, width = (2 * side for side in generator.space.shape)
        top, left = (8 - height) // 2, (8 - width) // 2
        return small_mnist("test")[:problems, :, top : top + height, left : left + width]
    draws = ls.Noise.from_seed(1, problems)
    output = generator.decode(draws.integers(CODES, *generator.space.shape))
    noise = output.std() * draws.fold(1).normal(*output.shape[1:])
    return output + 0.1 * noise if what == "near" else output.mean() + noise


def measure(kind: str, what: str, shape: tuple[int, int], model: models.VQVAE, options: Any) -> dict[str, Any]:
    generator = generator_of(kind, shape, model)
    goal = ls.Matches(target_of(what, generator, options.problems))
    searcher = ls.BranchAndBoundSearch(batch=options.batch)
    rows, seconds, proved = [], [], 0
    for number in range(options.problems):
        own = goal.select(torch.tensor([number]))
        begin = time.perf_counter()
        result = searcher.search(generator, own, seed=number, run=ls.Run(evaluations=options.rows))
        seconds.append(time.perf_counter() - begin)
        rows.append(float(result.evaluations[0]))
        proved += result.status[0] == ls.Status.OPTIMAL
    entry = {"decoder": kind, "target": what, "positions": math.prod(shape), "shape": shape}
    entry |= {"grids": CODES ** math.prod(shape), "proved": proved, "of": options.problems}
    entry |= {"rows": rows, "median_rows": statistics.median(rows), "median_seconds": statistics.median(seconds)}
    print({k: v for k, v in entry.items() if k not in ("rows", "shape")}, flush=True)
    return entry


def table(log: dict[str, Any]) -> str:
    """The log as the table of the manual."""
    lines = ["| decoder | target | positions | grids | proved | rows, median | seconds, median |"]
    lines.append("| --- | --- | --- | --- | --- | --- | --- |")
    for run in log["runs"]:
        rows = f"{run['median_rows']:,.0f}" if 2 * run["proved"] > run["of"] else "out of rows"
        cells = [run["decoder"], run["target"], run["positions"], f"{run['grids']:.2g}"]
        cells += [f"{run['proved']} of {run['of']}", rows, f"{run['median_seconds']:.2g}"]
        lines.append(f"| {' | '.join(map(str, cells))} |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--problems", type=int, default=3)
    parser.add_argument("--rows", type=int, default=100_000, help="budget of each problem")
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--out", type=Path, default=LOG)
    parser.add_argument("--table", action="store_true", help="print the table of the log, and measure nothing")
    options = parser.parse_args()
    if options.table:
        print(table(json.loads(options.out.read_text())))
        return
    torch.set_num_threads(1)
    model = trained()
    cases = [(k, w) for k, w in itertools.product(("linear", "conv"), ("near", "noise"))]
    log = []
    for kind, what in [*cases, ("trained", "near"), ("trained", "picture")]:
        for shape in SHAPES:
            log.append(measure(kind, what, shape, model, options))
            if not log[-1]["proved"]:
                break
    settings = {"codes": CODES, "width": WIDTH, "channels": CHANNELS, "train_steps": TRAIN_STEPS}
    settings |= {"problems": options.problems, "budget": options.rows, "batch": options.batch, "threads": 1}
    options.out.write_text(json.dumps({"settings": settings, "torch": torch.__version__, "runs": log}, indent=1) + "\n")


if __name__ == "__main__":
    main()
