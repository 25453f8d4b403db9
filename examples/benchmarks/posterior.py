"""Do answers look like data? Searches with and without a learnt prior, by a judge that none of them sees.

    python examples/benchmarks/posterior.py run                                   # digits; half an hour on one core
    python examples/benchmarks/posterior.py run --data cifar10-8x8 --count 100
    python examples/benchmarks/posterior.py run --tasks x4 --methods "Gibbs, greedy" --budgets 2000
    python examples/benchmarks/posterior.py report --write    # the tables of docs/results/posterior.md, and its picture

Half an image is hidden, or it is shrunk four times; the decoder is that of a VQ-VAE. Noise levels are the decoder's own
error over what is seen, on images that are not searched for, divided by the root of kappa. The priors and their judges
are those of train_priors.py. Test images from the first on; seeded; one thread. Figures go to
`examples/logs/posterior.json`, those that are measured again in the place of the old ones.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

sys.path.append(str(Path(__file__).parent))
sys.path.append(str(Path(__file__).parents[1]))
from codes_bench import generators, pages, priors
from data import cifar10_subset, mnist
from folds import folded

import latentsearch as ls
from latentsearch import models, plots, training
from latentsearch.judge import Judgement, Reference
from latentsearch.priors import HistogramPrior

LOG = Path(__file__).parents[1] / "logs" / "posterior.json"
PAGE = Path(__file__).parents[2] / "docs" / "results" / "posterior.md"
PICTURE = PAGE.parent / "img" / "posterior.png"
DATA = ("mnist-512", "cifar10-8x8")
TASKS = ("inpaint", "x4")
BUDGETS = (1000, 2000)
NOISE_FROM = 500  # images
REFERENCE = slice(3000, 5000)  # test images that the judge's band comes from; problems are the first ones
MARK = "<!-- tables -->\n"


@dataclass(frozen=True)
class Given:
    """A decoder, its priors, and images.

    Attributes:
        name: One of DATA.
        generator: The decoder.
        prior: What searches propose from.
        histogram: A prior of single codes.
        reference: What judges answers.
        others: ``(N, C, H, W)``, images that are not searched for.
        images: ``(B, C, H, W)``, those that are.
        labels: ``(B,)``.
    """

    name: str
    generator: ls.CodebookGenerator
    prior: ls.ConditionalPrior
    histogram: HistogramPrior
    reference: Reference
    others: Tensor
    images: Tensor
    labels: Tensor


@dataclass(frozen=True)
class Task:
    """What is known of images.

    Attributes:
        name: One of TASKS.
        plain: The mean squared error.
        likelihood: The same in nats.
        hidden: ``(1, 1, H, W)``: 1 where nothing is known.
        noise: The standard deviation.
    """

    name: str
    plain: ls.Constraint
    likelihood: ls.Constraint
    hidden: Tensor
    noise: float


# A method: how to search, and for what.
Method = Callable[[Given, Task], tuple[ls.Searcher, ls.Constraint | ls.Goal]]
SAMPLED, GREEDY = ls.GibbsSearch(), ls.GibbsSearch(temperature=(1.0, 0.0))


def posterior(given: Given, task: Task) -> ls.Goal:
    return task.likelihood + ls.LogPrior(given.prior)


METHODS: dict[str, Method] = {
    "AutoSearch, no prior": lambda given, task: (ls.AutoSearch(), task.plain),
    "AutoSearch, histogram": lambda given, task: (ls.AutoSearch(), task.likelihood + ls.LogPrior(given.histogram)),
    "Gibbs, sampled": lambda given, task: (SAMPLED, posterior(given, task)),
    "Gibbs, greedy": lambda given, task: (GREEDY, posterior(given, task)),
    "Gibbs, sampled, 5 refills": lambda given, task: (replace(SAMPLED, refills=5), posterior(given, task)),
    "Gibbs, greedy, 5 refills": lambda given, task: (replace(GREEDY, refills=5), posterior(given, task)),
    "split Gibbs": lambda given, task: (ls.SplitGibbsSearch(), posterior(given, task)),
}


# -- what is searched for ----------------------------------------------------------------------------


def given_of(name: str, first: int, count: int) -> Given:
    """The decoder, and ``count`` test images from the ``first`` on."""
    generator, _ = generators.load(name)
    prior, judge = (priors.load(f"{name}-{role}", generator) for role in ("masked", "judge"))
    split, last = mnist if name.startswith("mnist") else cifar10_subset, priors.RECIPES[f"{name}-masked"].last
    images, labels = split("test")
    net = generators.judge(generators.data_of(name))
    # The LeNet gives log-probabilities, which have no scale; the classifier of CIFAR-10 gives logits.
    features = None if name == "mnist-512" else net
    reference = Reference(generator, images[REFERENCE], prior=judge, classifier=net, features=features)
    part = slice(first, first + count)
    others = split("train")[0][last - NOISE_FROM : last]
    histogram = HistogramPrior(prior.frequencies)
    return Given(name, generator, prior, histogram, reference, others, images[part], labels[part])


def seen_half(images: Tensor) -> Tensor:
    """``(1, 1, H, W)``: 1 in the left half."""
    mask = torch.zeros(1, 1, *images.shape[2:])
    mask[..., : images.shape[3] // 2] = 1
    return mask


@torch.no_grad()
def task_of(given: Given, name: str, kappa: float) -> Task:
    """A task on the images, with the decoder's own error over what is seen as the noise.

    Args:
        given: The images.
        name: One of TASKS.
        kappa: The share of the observed values that counts: errors of neighbours are alike, and tell less.
    """
    images, error = given.images, given.generator.decode(given.generator.encode(given.others)) - given.others
    if name == "inpaint":
        mask = seen_half(images)
        noise = float(error[..., : images.shape[3] // 2].square().mean() / kappa) ** 0.5
        return Task(name, ls.Matches(images, mask=mask), ls.Matches(images, mask=mask, noise=noise), 1 - mask, noise)
    noise = float(F.avg_pool2d(error, 4).square().mean() / kappa) ** 0.5
    plain, likelihood = (ls.Downscales(F.avg_pool2d(images, 4), 4, mode="area", noise=n) for n in (None, noise))
    return Task(name, plain, likelihood, torch.ones(1, 1, *images.shape[2:]), noise)


# -- what is measured --------------------------------------------------------------------------------


def figures(found: Judgement, output: Tensor, given: Given, task: Task) -> dict[str, float]:
    """By a judge's report, and the mean squared error where nothing was known."""
    names = ("within tolerance", "in band", "both", "read right", "bits per code", "Fréchet distance")
    shown = {name: round(found[name].answers, 4) for name in names if name in found}
    hidden = task.hidden.expand_as(output)
    error = float((hidden * (output - given.images).square()).sum() / hidden.sum())
    return shown | {"hidden error": round(error, 5)}


def judged(latent: Tensor, given: Given, task: Task) -> dict[str, float]:
    """Of one answer a problem, ``(B, *S)``."""
    found = ls.judge.report(
        latent[:, None], given.reference, task.likelihood, truth=given.images, labels=given.labels, hidden=task.hidden
    )
    return figures(found, given.reference.decode(latent), given, task)


def measure(given: Given, task: Task, method: str, budget: int, seed: int) -> dict[str, Any]:
    searcher, goal = METHODS[method](given, task)
    result = searcher.search(given.generator, goal, seed=seed, run=ls.Run(evaluations=budget))
    spent = {"evaluations": round(float(result.evaluations.mean()), 1), "seconds": round(result.seconds, 1)}
    return {"method": method, "budget": budget} | judged(result.latent, given, task) | spent


class HalfReader(nn.Module):
    """A classifier of left halves: how much of a digit can be told from what inpainting sees."""

    def __init__(self) -> None:
        super().__init__()
        self.net = models.Classifier((1, 28, 28), channels=32)

    def forward(self, images: Tensor) -> Tensor:
        return self.net(images * seen_half(images))  # type: ignore[no-any-return]

    def training_terms(self, images: Tensor, labels: Tensor, noise: ls.Noise) -> dict[str, Tensor]:
        down, right = (noise.integers(5, 2)[0] - 2).tolist()
        shifted = images.roll((down, right), (2, 3)) if self.training else images
        return {"cross_entropy": F.cross_entropy(self(shifted), labels)}


def ceiling(given: Given) -> dict[str, float]:
    """How often the digit can be told from its left half, and how often a draw of its class would be right."""
    with training.initialised(0):
        reader = HalfReader()
    training.fit(reader, mnist("train"), ls.Fit(3000, average=0.99), seed=0)
    with torch.no_grad():
        sure = reader(given.images).softmax(1)
    right = sure.argmax(1) == given.labels
    drawn = sure.gather(1, given.labels[:, None])
    return {"read right": round(float(right.float().mean()), 4), "a draw": round(float(drawn.mean()), 4)}


def run(options: argparse.Namespace) -> None:
    given = given_of(options.data, options.first, options.count)
    log: dict[str, Any] = json.loads(options.out.read_text()) if options.out.exists() else {}
    settings = {"first": options.first, "count": len(given.images), "kappa": options.kappa, "seed": options.seed}
    own = log.get(options.data)
    if own is None or own["settings"] != settings:
        own = {"settings": settings, "torch": torch.__version__, "tasks": {}}
    log[options.data] = own
    for name in options.tasks:
        task = task_of(given, name, options.kappa)
        row = own["tasks"].setdefault(name, {"noise": round(task.noise, 5), "rows": []})
        row["encoder"] = judged(given.generator.encode(given.images), given, task)
        for budget in options.budgets:
            for method in options.methods:
                found = measure(given, task, method, budget, options.seed)
                print(options.data, name, found, flush=True)
                kept = [r for r in row["rows"] if (r["method"], r["budget"]) != (method, budget)]
                row["rows"] = [*kept, found]
                options.out.write_text(json.dumps(log, indent=1) + "\n")
    if options.data == "mnist-512" and "ceiling" not in own:
        own["ceiling"] = ceiling(given)
        options.out.write_text(json.dumps(log, indent=1) + "\n")


# -- the report --------------------------------------------------------------------------------------

COLUMNS = {
    "within ε": ("within tolerance", "{:.0%}"),
    "in band": ("in band", "{:.0%}"),
    "both": ("both", "{:.0%}"),
    "bits": ("bits per code", "{:.2f}"),
    "hidden error": ("hidden error", "{:.4f}"),
    "read right": ("read right", "{:.0%}"),
    "Fréchet": ("Fréchet distance", "{:.2f}"),
    "evaluations": ("evaluations", "{:,.0f}"),
    "seconds": ("seconds", "{:.0f}"),
}
TITLES = {"inpaint": "right half hidden", "x4": "×4 super-resolution"}


def table(part: dict[str, Any]) -> str:
    """Of one task: the encoder, then a line a method and budget; columns that were measured."""
    measured = sorted(part["rows"], key=lambda row: (list(METHODS).index(row["method"]), row["budget"]))
    rows = {"*encoder*": part["encoder"]} | {f"{row['method']}, {row['budget']:,}": row for row in measured}
    shown = {head: how for head, how in COLUMNS.items() if any(how[0] in row for row in rows.values())}
    return pages.table("method, budget", rows, shown)


def report(log: dict[str, Any]) -> str:
    found: list[str] = []
    for name in (name for name in DATA if name in log):
        for task, part in log[name]["tasks"].items():
            title = f"{name}, {TITLES[task]} ({log[name]['settings']['count']} images, σ = {part['noise']:.3g})"
            found.append(folded(title, table(part)) if found else f"**{title}**\n\n{table(part)}\n")
    return "\n" + "\n".join(found)


def draw(options: argparse.Namespace) -> None:
    """What is given of some digits, three draws, one greedy answer, and the truth."""
    given = given_of("mnist-512", 0, options.pictures)
    rows, labels, titles = [], [], {}
    for name in options.tasks:
        task, mask = task_of(given, name, options.kappa), seen_half(given.images)
        titles[len(rows)] = TITLES[name].replace("×", "x")
        shown = given.images * mask + 0.35 * (1 - mask) if name == "inpaint" else F.avg_pool2d(given.images, 4)
        found = [answer(given, task, searcher, seed) for searcher, seed in ((SAMPLED, 0), (SAMPLED, 1), (SAMPLED, 2))]
        rows += [shown, *found, answer(given, task, GREEDY, 0), given.images]
        labels += ["given", "draw 1", "draw 2", "draw 3", "greedy", "truth"]
    plots.save_grid(PICTURE, rows, labels, titles=titles, scale=2)


def answer(given: Given, task: Task, searcher: ls.GibbsSearch, seed: int) -> Tensor:
    goal = posterior(given, task)
    return searcher.search(given.generator, goal, seed=seed, run=ls.Run(evaluations=min(BUDGETS))).output


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("command", choices=("run", "report"))
    parser.add_argument("--data", default=DATA[0], choices=DATA)
    parser.add_argument("--tasks", nargs="*", default=TASKS, choices=TASKS)
    parser.add_argument("--methods", nargs="*", default=list(METHODS), choices=list(METHODS))
    parser.add_argument("--budgets", type=int, nargs="*", default=BUDGETS)
    parser.add_argument("--first", type=int, default=0, help="test image")
    parser.add_argument("--count", type=int, default=200)
    parser.add_argument("--kappa", type=float, default=0.5, help="share of the observed values that counts as noise")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--pictures", type=int, default=8, help="digits in the picture")
    parser.add_argument("--out", type=Path, default=LOG)
    parser.add_argument("--write", action="store_true", help="report: into docs/results/posterior.md, and the picture")
    options = parser.parse_args()
    torch.set_num_threads(1)
    # Cold softmaxes are full of denormal numbers, with which a CPU is several times slower.
    torch.set_flush_denormal(True)
    if options.command == "run":
        run(options)
        return
    text = report(json.loads(options.out.read_text()))
    if not options.write:
        print(text)
        return
    PAGE.write_text(PAGE.read_text().split(MARK)[0] + MARK + text)
    draw(options)


if __name__ == "__main__":
    main()
