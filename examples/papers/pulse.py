"""PULSE on digits: super-resolution on the sphere of a VAE's latents, and by searches that are free to leave it.

    python examples/papers/pulse.py run               # half an hour on one core; writes examples/logs/pulse.json
    python examples/papers/pulse.py report --write    # puts the tables of the log, and the picture, into the manual

Menon et al., *PULSE: Self-Supervised Photo Upsampling via Latent Space Exploration of Generative Models* (CVPR 2020).
Two decoders: a VAE that was trained by others (see wrap_pretrained.py), and the package's. Digits are padded to
32 x 32 and shrunk 4 or 8 times. An answer is within epsilon if its loss is at most that of the encoder's own codes at
their 95th percentile, over other images. The hidden error is the mean square between the answer and the image that was
shrunk, which no search sees. Seeded; one thread.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from safetensors.torch import load_file
from torch import Tensor, nn

import latentsearch as ls
from latentsearch import plots, zoo
from latentsearch.searchers import one_cycle

sys.path.insert(0, str(Path(__file__).parents[1]))
import wrap_pretrained
from data import mnist
from folds import folded

LOG = Path(__file__).parents[1] / "logs" / "pulse.json"
PAGE = Path(__file__).parents[2] / "docs" / "results" / "pulse.md"
PICTURE = Path(__file__).parents[2] / "docs" / "results" / "img" / "pulse.png"
DECODERS = ("pretrained-vae", "mnist-vae")
FACTORS = (4, 8)
BUDGETS = (200, 1000)  # evaluations a problem; PULSE's 100 steps are 200
PROBLEMS, OTHERS = 64, 2000
SEEDS = {"pretrained-vae": 3, "mnist-vae": 1}


@dataclass(frozen=True)
class Task:
    """What there is to search for.

    Attributes:
        decoder, factor: Their names.
        generator: The decoder.
        goal: The images at a lower resolution.
        epsilon: The loss below which an answer is good.
        nat: The weight of a nat beside a mean square, where the error of the encoder's codes is the noise.
        square: The weight of CSGM's squared length beside a mean square: its 0.1 beside a sum.
    """

    decoder: str
    factor: int
    generator: ls.ContinuousGenerator
    goal: ls.Downscales
    epsilon: float
    nat: float
    square: float


Added = Callable[[Task], ls.Goal | ls.Limit]
# A method, and what is added to the goal.
METHODS: dict[str, tuple[ls.Searcher, Added | None]] = {
    "GradientSearch": (ls.GradientSearch(), None),
    # Half the squared length is a nat.
    "CSGM, 10 restarts": (
        ls.GradientSearch(restarts=10),
        lambda task: 2 * task.square * ls.LogPrior(task.generator.prior),
    ),
    "PULSE's settings": (ls.SphericalSearch(lr=0.4, schedule=one_cycle), lambda task: ls.Sphere()),
    "SphericalSearch": (ls.SphericalSearch(), lambda task: ls.Sphere()),
    "SphericalSearch, 4 restarts": (ls.SphericalSearch(restarts=4), lambda task: ls.Sphere()),
    "HalvingSearch": (ls.HalvingSearch(), None),
    "HalvingSearch + LogPrior": (ls.HalvingSearch(), lambda task: task.nat * ls.LogPrior(task.generator.prior)),
    "HalvingSearch + Shell": (ls.HalvingSearch(), lambda task: task.nat * ls.Shell()),
    "HalvingSearch + Sphere": (ls.HalvingSearch(), lambda task: ls.Sphere()),
}


# -- decoders and tasks ------------------------------------------------------------------------------


def padded(images: Tensor) -> Tensor:
    """``(N, 1, 28, 28)`` to ``(N, 1, 32, 32)``, which 8 divides."""
    return F.pad(images, (2, 2, 2, 2))


def generator_of(name: str) -> ls.ContinuousGenerator:
    """A decoder of 20 numbers to padded digits, with its encoder."""
    if name == "mnist-vae":
        inner = ls.wrap(zoo.load(name))
        decode, encode = inner.decode, inner.encode
    else:
        vae = wrap_pretrained.VAE().eval().requires_grad_(False)
        vae.load_state_dict(load_file(wrap_pretrained.MODELS / "mnist_vae.safetensors"))
        decode, encode = vae.decode, vae.encode
    return ls.ContinuousGenerator(
        lambda z: padded(decode(z)), (20,), encode=lambda x: encode(x[..., 2:-2, 2:-2]), output_range=(0, 1)
    )


def shrunk(images: Tensor, factor: int) -> ls.Downscales:
    return ls.Downscales(F.avg_pool2d(images, factor), factor, mode="area")


@torch.no_grad()
def task_of(decoder: str, factor: int, images: Tensor) -> Task:
    """The task on padded images, with constants from the encoder's own codes of images that are not searched for."""
    generator, others = generator_of(decoder), padded(mnist("train")[0][:OTHERS])
    z, goal = generator.encode(others), shrunk(images, factor)
    loss, measurements = shrunk(others, factor)(generator.decode(z), z).loss, goal.small[0].numel()
    epsilon, nat = float(loss.quantile(0.95)), 2 * float(loss.mean()) / measurements
    return Task(decoder, factor, generator, goal, epsilon, nat, 0.1 / measurements)


# -- what is measured --------------------------------------------------------------------------------


def search(task: Task, method: str, goal: ls.Goal | ls.Constraint, seed: int, budget: int) -> ls.SearchResult:
    searcher, added = METHODS[method]
    asked = goal if added is None else goal + added(task)
    return searcher.search(task.generator, asked, seed=seed, run=ls.Run(evaluations=budget))


@torch.no_grad()
def scored(result: ls.SearchResult, task: Task, images: Tensor, labels: Tensor, judge: nn.Module) -> dict[str, Any]:
    """What a run came to, on average over its problems; the loss is that of the measurement alone."""
    loss = task.goal(result.output, result.latent).loss
    return {
        "loss": float(loss.mean()),
        "within": float((loss <= task.epsilon).float().mean()),
        "hidden": float((result.output - images).square().mean()),
        "digit": float((judge(result.output[..., 2:-2, 2:-2]).argmax(1) == labels).float().mean()),
        "length": float(result.latent.norm(dim=1).mean()),
    }


def stopped(result: ls.SearchResult) -> dict[str, Any]:
    """How many problems a run brought within epsilon before its budget ended."""
    satisfied = [status == ls.Status.SATISFIED for status in result.status]
    return {"within": sum(satisfied) / len(satisfied)}


def measure(task: Task, method: str, judge: nn.Module, options: argparse.Namespace) -> Iterator[dict[str, Any]]:
    """A row for each seed and budget, and one of a run that stops each problem once it is within epsilon."""
    images, labels = (part[: options.problems] for part in mnist("test"))
    goals: list[tuple[int | str, ls.Goal | ls.Constraint]] = [(budget, task.goal) for budget in options.budgets]
    # The threshold is on the measurement, whatever is added to it.
    goals.append(("stop", task.goal.below(task.epsilon)))
    for seed in range(min(options.seeds, SEEDS[task.decoder])):
        for budget, goal in goals:
            most = max(options.budgets) if isinstance(budget, str) else budget
            result = search(task, method, goal, seed, most)
            row = {"decoder": task.decoder, "factor": task.factor, "epsilon": task.epsilon, "method": method}
            found = stopped(result) if budget == "stop" else scored(result, task, padded(images), labels, judge)
            spent = {"evaluations": float(result.evaluations.mean()), "seconds": round(result.seconds, 2)}
            yield row | {"budget": budget, "seed": seed} | found | spent


def run(options: argparse.Namespace) -> None:
    judge, rows = zoo.load("mnist-classifier").eval(), []
    settings = {"problems": options.problems, "seeds": SEEDS, "budgets": options.budgets, "threads": 1}
    for decoder in options.decoders:
        for factor in FACTORS:
            task = task_of(decoder, factor, padded(mnist("test")[0][: options.problems]))
            for method in METHODS:
                rows += measure(task, method, judge, options)
                print(decoder, factor, method, {k: rows[-2][k] for k in ("within", "hidden", "seconds")}, flush=True)
            log = {"settings": settings, "torch": torch.__version__, "rows": rows}
            options.out.write_text(json.dumps(log, indent=1) + "\n")


# -- the report --------------------------------------------------------------------------------------


def mean_of(rows: list[dict[str, Any]], name: str) -> float:
    return math.fsum(row[name] for row in rows) / len(rows)


def cell_of(log: dict[str, Any], decoder: str, factor: int) -> str:
    """The table of one decoder and factor: a line a method."""
    heads = ["method"]
    for budget in log["settings"]["budgets"]:
        heads += [f"within ε, {budget:,}", f"hidden error, {budget:,}"]
    heads += ["digit kept", "length", "stops after", "seconds"]
    lines = [f"| {' | '.join(heads)} |", "| --- |" + " ---: |" * (len(heads) - 1)]
    rows = [row for row in log["rows"] if (row["decoder"], row["factor"]) == (decoder, factor)]
    for method in METHODS:
        own = [row for row in rows if row["method"] == method]
        cells: list[str] = []
        held: list[dict[str, Any]] = []
        for budget in log["settings"]["budgets"]:
            held = [row for row in own if row["budget"] == budget]
            cells += [f"{mean_of(held, 'within'):.0%}", f"{mean_of(held, 'hidden'):.4f}"]
        stop = [row for row in own if row["budget"] == "stop"]
        cells += [f"{mean_of(held, 'digit'):.0%}", f"{mean_of(held, 'length'):.2f}"]
        cells += [f"{mean_of(stop, 'evaluations'):,.0f}", f"{mean_of(stop, 'seconds'):.1f}"]
        lines.append(f"| {method} | {' | '.join(cells)} |")
    return "\n".join(lines)


def report(log: dict[str, Any]) -> str:
    """A table for each decoder and factor; the first is open, the others are folded."""
    parts = []
    for decoder in DECODERS:
        for factor in FACTORS:
            if not any((row["decoder"], row["factor"]) == (decoder, factor) for row in log["rows"]):
                continue
            table, epsilon = cell_of(log, decoder, factor), _epsilon(log, decoder, factor)
            title = f"{decoder}, ×{factor} (ε = {epsilon:.2g})"
            parts.append(folded(title, table) if parts else f"**{title}**\n\n{table}\n")
    return "\n" + "\n".join(parts)


def _epsilon(log: dict[str, Any], decoder: str, factor: int) -> float:
    return next(row["epsilon"] for row in log["rows"] if (row["decoder"], row["factor"]) == (decoder, factor))


def draw() -> None:
    """Digits, what is given of them, and what some methods find: the pretrained VAE, 200 evaluations, seed 0."""
    images = padded(wrap_pretrained.test_images([2, 3, 4, 5, 8, 9]))
    names = ("GradientSearch", "HalvingSearch", "SphericalSearch", "HalvingSearch + Sphere")
    rows, titles = [], {}
    for factor in FACTORS:
        task = task_of("pretrained-vae", factor, images)
        titles[len(rows)] = f"x{factor}"
        rows += [images, F.interpolate(task.goal.small, scale_factor=factor)]
        rows += [search(task, name, task.goal, 0, min(BUDGETS)).output for name in names]
    plots.save_grid(PICTURE, rows, ["image", "given", *names] * len(FACTORS), titles=titles)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("command", choices=("run", "report"))
    parser.add_argument("--decoders", nargs="*", default=DECODERS, choices=DECODERS)
    parser.add_argument("--problems", type=int, default=PROBLEMS)
    parser.add_argument("--seeds", type=int, default=3, help="at most")
    parser.add_argument("--budgets", type=int, nargs="*", default=BUDGETS)
    parser.add_argument("--out", type=Path, default=LOG)
    parser.add_argument("--write", action="store_true", help="put tables and picture into the manual")
    options = parser.parse_args()
    torch.set_num_threads(1)
    if options.command == "run":
        run(options)
        return
    tables = report(json.loads(options.out.read_text()))
    print(tables)
    if options.write:
        mark = "<!-- tables -->\n"
        PAGE.write_text(PAGE.read_text().split(mark)[0] + mark + tables)
        draw()


if __name__ == "__main__":
    main()
