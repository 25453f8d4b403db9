"""Searches of continuous latents, compared: three decoders of digits, four tasks, budgets of 100 to 2,000 evaluations.

    python examples/benchmarks/continuous.py train    # the GAN, some minutes; its weights are in the repository
    python examples/benchmarks/continuous.py run      # 20 minutes on one core; writes examples/logs/continuous.json
    python examples/benchmarks/continuous.py report   # the tables of the log

The decoders are the package's VAE, a VAE that was trained by others (see wrap_pretrained.py), and a small GAN. The
tasks: a planted target, an output of the decoder itself; a test image; its left half; and what is left of it when it is
shrunk four times. Losses are mean squares over what is given. Seeded; one thread.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

import latentsearch as ls
from latentsearch import models, zoo

sys.path.insert(0, str(Path(__file__).parents[1]))
import wrap_pretrained
from data import mnist
from folds import folded

LOG = Path(__file__).parents[1] / "logs" / "continuous.json"
PAGE = Path(__file__).parents[2] / "docs" / "results" / "continuous.md"
WEIGHTS = Path(__file__).parent / "weights" / "mnist-gan.safetensors"
BUDGETS = (100, 300, 1000, 2000)
FOUND = 1e-3  # mean square error below which a planted target counts as found
WIDTH = 64  # elements of the GAN's latent
TASKS = ("planted", "match", "inpaint", "super-resolution")
# Problems of the planted task, of each of the others, and seeds.
SIZES = {"mnist-vae": (16, 16, 1), "pretrained-vae": (64, 16, 1), "mnist-gan": (64, 16, 1)}

# A method, and whether what it does depends on the budget: if not, the trace of one run has all budgets.
METHODS: dict[str, tuple[ls.Searcher, bool]] = {
    "GradientSearch": (ls.GradientSearch(), False),
    "GradientSearch, 4 restarts": (ls.GradientSearch(restarts=4), False),
    "GradientSearch, 8 restarts": (ls.GradientSearch(restarts=8), False),
    "CMAESSearch": (ls.CMAESSearch(), False),
    "RandomSearch": (ls.RandomSearch(), False),
    "HalvingSearch, Adam": (ls.HalvingSearch(partial(torch.optim.Adam, lr=0.1)), True),
    "HalvingSearch": (ls.HalvingSearch(), True),
}


# -- the GAN -----------------------------------------------------------------------------------------


def gan_decoder() -> nn.Sequential:
    """A small DCGAN's: ``(N, 64)`` to ``(N, 1, 28, 28)`` in [0, 1]."""
    return nn.Sequential(
        nn.Unflatten(1, (WIDTH, 1, 1)),
        nn.ConvTranspose2d(WIDTH, 64, 7, bias=False),
        nn.BatchNorm2d(64),
        nn.ReLU(),
        nn.ConvTranspose2d(64, 32, 4, 2, 1, bias=False),
        nn.BatchNorm2d(32),
        nn.ReLU(),
        nn.ConvTranspose2d(32, 1, 4, 2, 1),
        nn.Sigmoid(),
    )


def gan_critic() -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(1, 32, 4, 2, 1),
        nn.LeakyReLU(0.2),
        nn.Conv2d(32, 64, 4, 2, 1),
        nn.BatchNorm2d(64),
        nn.LeakyReLU(0.2),
        nn.Flatten(),
        nn.Linear(64 * 49, 1),
    )


def train_gan(steps: int, batch: int = 64, seed: int = 0) -> nn.Sequential:
    """The decoder of a small DCGAN: Radford, Metz and Chintala, arXiv:1511.06434."""
    images, _ = mnist("train")
    randomness = torch.Generator().manual_seed(seed)
    with models.initialised(seed):
        decoder, critic = gan_decoder(), gan_critic()
    for layer in (*decoder, *critic):
        if isinstance(layer, (nn.Conv2d, nn.ConvTranspose2d)):
            nn.init.normal_(layer.weight, 0, 0.02, generator=randomness)
    adam = partial(torch.optim.Adam, lr=2e-4, betas=(0.5, 0.999))
    decoder_adam, critic_adam = adam(decoder.parameters()), adam(critic.parameters())
    for step in range(steps):
        real = images[torch.randint(len(images), (batch,), generator=randomness)]
        fake = decoder(torch.randn(batch, WIDTH, generator=randomness))
        critic_loss = F.softplus(-critic(real)).mean() + F.softplus(critic(fake.detach())).mean()
        critic_adam.zero_grad()
        critic_loss.backward()
        critic_adam.step()
        decoder_loss = F.softplus(-critic(fake)).mean()
        decoder_adam.zero_grad()
        decoder_loss.backward()
        decoder_adam.step()
        if step % 500 == 499:
            print(f"step {step + 1}: critic {critic_loss.item():.3f}, decoder {decoder_loss.item():.3f}", flush=True)
    return decoder.eval()


# -- decoders and tasks ------------------------------------------------------------------------------


def generator_of(name: str) -> ls.ContinuousGenerator:
    if name == "mnist-vae":
        return ls.wrap(zoo.load(name))
    if name == "mnist-gan":
        decoder = gan_decoder()
        decoder.load_state_dict(load_file(WEIGHTS))
        return ls.ContinuousGenerator(decoder.eval().requires_grad_(False), (WIDTH,), output_range=(0, 1))
    vae = wrap_pretrained.VAE().eval().requires_grad_(False)
    vae.load_state_dict(load_file(wrap_pretrained.MODELS / "mnist_vae.safetensors"))
    return ls.ContinuousGenerator(vae.decode, (20,), output_range=(0, 1))


def goal_of(task: str, generator: ls.ContinuousGenerator, problems: int) -> ls.Constraint:
    if task == "planted":
        return ls.Matches(generator.decode(generator.prior.sample(ls.Noise.from_seed(99, problems))))
    images = mnist("test")[0][:problems]
    if task == "super-resolution":
        return ls.Downscales(F.avg_pool2d(images, 4), 4, mode="area")
    left = torch.zeros(1, 1, 28, 28)
    left[..., :14] = 1
    return ls.Matches(images, mask=left if task == "inpaint" else None)


# -- what is measured --------------------------------------------------------------------------------


def results(method: str, generator: ls.Generator, goal: ls.Constraint, seed: int) -> Iterator[tuple[int, Any]]:
    """Each budget with the losses there, ``(B,)``, and the outputs where they are at hand."""
    searcher, budgeted = METHODS[method]
    for budget in BUDGETS if budgeted else BUDGETS[-1:]:
        found = searcher.search(generator, goal, seed=seed, run=ls.Run(evaluations=budget))
        for reached in (budget,) if budgeted else BUDGETS:
            loss = found.trace.loss_at(reached)
            yield reached, (loss, found.output if reached == budget else None, found.evaluations)


def measure(model: str, task: str, method: str, judge: nn.Module) -> Iterator[dict[str, Any]]:
    """A row of the log for each seed and budget."""
    planted, others, seeds = SIZES[model]
    generator = generator_of(model)
    goal = goal_of(task, generator, planted if task == "planted" else others)
    for seed in range(seeds):
        begin = time.perf_counter()
        for budget, (loss, output, spent) in results(method, generator, goal, seed):
            row = {"model": model, "task": task, "method": method, "seed": seed, "budget": budget}
            row |= {"problems": len(loss), "mean": float(loss.mean()), "median": float(loss.median())}
            if task == "planted":
                row["found"] = float((loss <= FOUND).float().mean())
                if output is not None:
                    row["other_digits"] = _other_digits(judge, output, goal.target)
            if output is not None:
                row |= {"spent": float(spent.mean()), "seconds": round(time.perf_counter() - begin, 1)}
            yield row


@torch.no_grad()
def _other_digits(judge: nn.Module, output: Tensor, target: Tensor) -> float:
    """The share of answers that the classifier reads as another digit than the target."""
    return float((judge(output).argmax(1) != judge(target).argmax(1)).float().mean())


# -- the report --------------------------------------------------------------------------------------


def table(log: dict[str, Any], model: str, task: str) -> str:
    """One line a method; mean loss at each budget, over problems and seeds."""
    rows = [row for row in log["rows"] if (row["model"], row["task"]) == (model, task)]
    more = [*(f"found, {budget:,}" for budget in BUDGETS), "other digits"] if task == "planted" else []
    lines = ["| " + " | ".join(["method", *(f"{budget:,}" for budget in BUDGETS), *more]) + " |"]
    lines.append("| --- |" + " ---: |" * (len(BUDGETS) + len(more)))
    for method in METHODS:
        own = [row for row in rows if row["method"] == method]
        if own:
            cells = [f"{_mean(own, 'mean', budget):.2g}" for budget in BUDGETS]
            if task == "planted":
                cells += [f"{_mean(own, 'found', budget):.0%}" for budget in BUDGETS]
                cells.append(f"{_mean(own, 'other_digits', BUDGETS[-1]):.0%}")
            lines.append(f"| {method} | {' | '.join(cells)} |")
    return "\n".join(lines)


def summary(log: dict[str, Any]) -> str:
    """One line a task: what `ls.search` took before, and what it takes now."""
    columns = ["model", "task", "GradientSearch", "HalvingSearch", "found, before and now"]
    lines = [f"| {' | '.join(columns)} |", "| --- | --- | ---: | ---: | ---: |"]
    for model, task in _measured(log):
        rows = [row for row in log["rows"] if (row["model"], row["task"]) == (model, task)]
        two = [[row for row in rows if row["method"] == method] for method in ("GradientSearch", "HalvingSearch")]
        losses = [" · ".join(f"{_mean(own, 'mean', budget):.2g}" for budget in BUDGETS) for own in two]
        found = " and ".join(f"{_mean(own, 'found', BUDGETS[-1]):.0%}" for own in two) if task == "planted" else ""
        lines.append(f"| {model} | {task} | {' | '.join(losses)} | {found} |")
    return "\n".join(lines)


def report(log: dict[str, Any]) -> str:
    """The summary, and a folded table a task."""
    details = [folded(f"{model}, {task}: all methods", table(log, model, task)) for model, task in _measured(log)]
    return "\n" + "\n".join([f"{summary(log)}\n", *details])


def _measured(log: dict[str, Any]) -> list[tuple[str, str]]:
    """The pairs of model and task that the log has."""
    return [(model, task) for model in SIZES if any(row["model"] == model for row in log["rows"]) for task in TASKS]


def _mean(rows: list[dict[str, Any]], name: str, budget: int) -> float:
    values = [row[name] for row in rows if row["budget"] == budget]
    return math.fsum(values) / len(values)


def run(options: argparse.Namespace) -> None:
    judge = zoo.load("mnist-classifier").eval()
    held = json.loads(options.out.read_text())["rows"] if options.out.exists() else []
    rows = [row for row in held if row["model"] not in options.models or row["method"] not in options.methods]
    for model in options.models:
        for task in TASKS:
            for method in options.methods:
                rows += measure(model, task, method, judge)
                print({k: v for k, v in rows[-1].items() if k != "problems"}, flush=True)
    settings = {"budgets": BUDGETS, "found": FOUND, "sizes": SIZES, "threads": 1}
    log = {"settings": settings, "torch": torch.__version__, "rows": rows}
    options.out.write_text(json.dumps(log, indent=1) + "\n")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("command", choices=("train", "run", "report"))
    parser.add_argument("--models", nargs="*", default=list(SIZES), choices=list(SIZES))
    parser.add_argument("--methods", nargs="*", default=list(METHODS), choices=list(METHODS))
    parser.add_argument("--steps", type=int, default=6000, help="of the GAN's training")
    parser.add_argument("--out", type=Path, default=LOG)
    parser.add_argument("--write", action="store_true", help="put the tables into the manual")
    options = parser.parse_args()
    torch.set_num_threads(1)
    if options.command == "train":
        save_file(train_gan(options.steps).state_dict(), WEIGHTS)
    elif options.command == "run":
        run(options)
    else:
        tables = report(json.loads(options.out.read_text()))
        print(tables)
        if options.write:
            mark = "<!-- tables -->\n"
            PAGE.write_text(PAGE.read_text().split(mark)[0] + mark + tables)


if __name__ == "__main__":
    main()
