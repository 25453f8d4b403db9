"""Priors over spatial latents, compared: half an image is hidden, or it is shrunk four times.

    python examples/benchmarks/spatial.py run      # some minutes on one core; writes examples/logs/spatial.json
    python examples/benchmarks/spatial.py run --tasks x4 --priors PatchMixture    # some rows; the others stay
    python examples/benchmarks/spatial.py fit      # what fit_prior picks for such latents; some minutes
    python examples/benchmarks/spatial.py report --write    # the tables of docs/results/spatial.md, and its picture

The autoencoder is made of the VQ-VAE of CIFAR-10 of train_models.py: between its encoder and its decoder go, in place
of codes, the first six principal components of its encodings, 6 x 8 x 8 numbers. Priors are fitted to encodings of
training images, those that nobody searches for. Noise levels are the decoder's own error over what is seen, on images
that no prior was fitted to, divided by the root of a half. The judge is a classifier that no search sees. Test images
from the first on; seeded; one thread.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

sys.path.append(str(Path(__file__).parent))
sys.path.append(str(Path(__file__).parents[1]))
from codes_bench import generators
from data import cifar10_subset

import latentsearch as ls
from latentsearch import models, plots, training
from latentsearch.judge import Reference
from latentsearch.priors import GaussianMixture, InnovationMixture, PatchMixture, StandardNormal

LOG = Path(__file__).parents[1] / "logs" / "spatial.json"
PAGE = Path(__file__).parents[2] / "docs" / "results" / "spatial.md"
PICTURE = PAGE.parent / "img" / "spatial.png"
SHAPE = (6, 8, 8)
TRAIN = slice(0, 18_000)  # training images that priors are fitted to
HELD_OUT = slice(18_000, 20_000)  # those that say how good the priors are, and how far the decoder is off
REFERENCE = slice(3000, 5000)  # test images that answers are compared with; problems are the first ones
COMPONENTS, PATCHES = 30, 40_000
TASKS = ("inpaint", "x4")
MARK = "<!-- tables -->\n"


# -- the autoencoder ---------------------------------------------------------------------------------


class SpatialAutoencoder(nn.Module):
    """A VQ-VAE without its codes: images to the principal components of its encodings, of unit variance, and back.

    Args:
        base: The VQ-VAE.
        images: ``(N, 3, H, W)``, whose encodings the components are of.
    """

    def __init__(self, base: models.VQVAE, images: Tensor) -> None:
        super().__init__()
        with torch.no_grad():
            encodings = base.encode_embedding(images).flatten(0, 2).double()
        centre, (variances, axes) = encodings.mean(0), torch.linalg.eigh(torch.cov(encodings.T))
        into, out = (
            axes[:, -SHAPE[0] :] / variances[-SHAPE[0] :].sqrt(),
            axes[:, -SHAPE[0] :] * variances[-SHAPE[0] :].sqrt(),
        )
        with training.initialised(0):
            project, back = nn.Conv2d(len(centre), SHAPE[0], 1), nn.Conv2d(SHAPE[0], len(centre), 1)
        project.load_state_dict({"weight": into.T[..., None, None], "bias": -(centre @ into)})
        back.load_state_dict({"weight": out[..., None, None], "bias": centre})
        self.encoder, self.decoder = nn.Sequential(base.encoder, project), nn.Sequential(back, base.decoder)

    def encode(self, images: Tensor) -> Tensor:
        """``(N, 3, H, W)`` to ``(N, 6, H / 4, W / 4)``."""
        return self.encoder(images)  # type: ignore[no-any-return]

    def decode(self, z: Tensor) -> Tensor:
        """``(N, 6, H / 4, W / 4)`` to images."""
        return self.decoder(z)  # type: ignore[no-any-return]


def generator_of(images: Tensor) -> ls.ContinuousGenerator:
    """The autoencoder, wrapped; the weights of its VQ-VAE are those of the log, or it raises."""
    base = generators.trained("cifar10-8x8")
    assert isinstance(base, models.VQVAE)
    model = SpatialAutoencoder(base, images).eval().requires_grad_(False).to(memory_format=torch.channels_last)
    return ls.ContinuousGenerator(model.decode, SHAPE, encode=model.encode)


# -- what is searched for ----------------------------------------------------------------------------


class Given:
    """The decoder, images, and the priors, each fitted when it is first asked for.

    Args:
        count: How many test images are searched for.
    """

    def __init__(self, count: int) -> None:
        self.train, (test, _) = cifar10_subset("train")[0], cifar10_subset("test")
        self.generator = generator_of(self.train[:1000])
        self.images, self.others = test[:count], test[REFERENCE]
        self.fitted: dict[str, ls.Prior] = {}

    @cached_property
    def encodings(self) -> Tensor:
        """``(T, 6, 8, 8)``."""
        return self.encoded(self.train[TRAIN])

    @cached_property
    def held_out(self) -> Tensor:
        """``(V, 6, 8, 8)``."""
        return self.encoded(self.train[HELD_OUT])

    @cached_property
    def error(self) -> Tensor:
        """``(V, 3, 32, 32)``: how far the decoder is off."""
        error: Tensor = self.decoded(self.held_out) - self.train[HELD_OUT]
        return error

    @cached_property
    def reference(self) -> Reference:
        """What judges answers."""
        return Reference(self.generator, self.others, features=generators.judge("cifar10"))

    @torch.no_grad()
    def encoded(self, images: Tensor) -> Tensor:
        return torch.cat([self.generator.encode(part) for part in images.split(500)]).contiguous()

    @torch.no_grad()
    def decoded(self, z: Tensor) -> Tensor:
        return torch.cat([self.generator.decode(part) for part in z.split(500)])

    def prior(self, name: str) -> ls.Prior:
        """One of PRIORS."""
        if name not in self.fitted:
            self.fitted[name] = PRIORS[name](self.encodings)
        return self.fitted[name]


PRIORS: dict[str, Callable[[Tensor], ls.Prior]] = {
    "N(0, I)": lambda encodings: StandardNormal(SHAPE),
    "one Gaussian": lambda encodings: GaussianMixture.fit(encodings, 1),
    "PatchMixture": lambda encodings: PatchMixture.fit(encodings, COMPONENTS, reach=1, patches=PATCHES),
    "InnovationMixture": lambda encodings: InnovationMixture.fit(encodings, COMPONENTS, patches=PATCHES),
}


@dataclass(frozen=True)
class Task:
    """What is known of images.

    Attributes:
        plain: The mean squared error.
        likelihood: The same in nats.
        seen: What is given of each image, to be shown.
        hidden: ``(1, 1, H, W)``: 1 where nothing is known.
    """

    plain: ls.Constraint
    likelihood: ls.Constraint
    seen: Tensor
    hidden: Tensor


def task_of(given: Given, name: str) -> Task:
    """One of TASKS, on all images."""
    images, error = given.images, given.error
    if name == "inpaint":
        mask = torch.zeros(1, 1, *images.shape[2:])
        mask[..., : images.shape[3] // 2] = 1
        noise = float(error[..., : images.shape[3] // 2].square().mean() / 0.5) ** 0.5
        matches, likelihood = ls.Matches(images, mask=mask), ls.Matches(images, mask=mask, noise=noise)
        return Task(matches, likelihood, images * mask + 0.5 * (1 - mask), 1 - mask)
    small, noise = F.avg_pool2d(images, 4), float(F.avg_pool2d(error, 4).square().mean() / 0.5) ** 0.5
    plain, likelihood = ls.Downscales(small, 4, mode="area"), ls.Downscales(small, 4, mode="area", noise=noise)
    return Task(plain, likelihood, small, torch.ones(1, 1, *images.shape[2:]))


# -- how ---------------------------------------------------------------------------------------------

DESCENT, CHAIN = ls.GradientSearch(), ls.MALASearch(burn_in=150, transitions=300)
BUDGETS = 240, 2 * (150 + 300 + 1)
WAYS = "most likely", "a draw"
NONE = "no prior"
METHODS = [NONE, *(f"{prior}, {way}" for prior in PRIORS for way in WAYS)]


def answers(given: Given, task: Task, prior: str, seed: int) -> Iterator[tuple[str, ls.SearchResult, float]]:
    """Under one prior: the way, what was found, and the evaluations that it took."""
    goal = task.plain if prior == NONE else task.likelihood + ls.LogPrior(given.prior(prior))
    descended = DESCENT.search(given.generator, goal, seed=seed, run=ls.Run(evaluations=BUDGETS[0]))
    spent = float(descended.evaluations.mean())
    yield NONE if prior == NONE else f"{prior}, {WAYS[0]}", descended, spent
    if prior != NONE:
        run = ls.Run(evaluations=BUDGETS[1])
        # From a draw of the prior: a chain from the most likely latent takes long to get rough.
        drawn = CHAIN.search(given.generator, goal, seed=seed, run=run)
        yield f"{prior}, {WAYS[1]}", drawn, float(drawn.evaluations.mean())


def measured(given: Given, task: Task, output: Tensor, latent: Tensor) -> dict[str, float]:
    """Of one answer an image: against data, and against the truth where nothing was known of it."""
    found = ls.judge.report(latent[:, None], given.reference, task.likelihood, truth=given.images, hidden=task.hidden)
    distance = found["Fréchet distance"]
    hidden = task.hidden.expand_as(output)
    error = float((hidden * (output - given.images).square()).sum() / hidden.sum())
    return {
        "frechet": round(distance.answers, 3),
        "floor": round(distance.data or 0.0, 3),
        "hidden": round(error, 5),
        "within": round(found["within tolerance"].answers, 4),
    }


def nats(prior: ls.Prior, latents: Tensor) -> float:
    """A dimension."""
    with torch.no_grad():
        return (
            -float(torch.cat([prior.log_prob(part) for part in latents.split(500)]).double().mean())
            / latents[0].numel()
        )


def rows(given: Given, options: argparse.Namespace) -> Iterator[tuple[str, str, dict[str, float]]]:
    """Task, method and figures, one after another."""
    for name in options.tasks:
        task = task_of(given, name)
        latent = given.encoded(given.images)
        yield name, "*encodings*", measured(given, task, given.decoded(latent), latent)
        for prior in options.priors:
            for method, result, spent in answers(given, task, prior, options.seed):
                found = measured(given, task, result.output, result.latent)
                yield name, method, found | {"evaluations": spent, "seconds": round(result.seconds, 1)}


def run(options: argparse.Namespace) -> None:
    given = Given(options.count)
    log: dict[str, Any] = json.loads(options.out.read_text()) if options.out.exists() else {}
    settings = {"count": options.count, "seed": options.seed, "components": COMPONENTS, "patches": PATCHES}
    if log.get("settings") != settings:
        log = {"settings": settings, "torch": torch.__version__, "tasks": {name: {} for name in TASKS}}
    log["mse"] = round(float((given.decoded(given.encoded(given.others)) - given.others).square().mean()), 6)
    for name, method, figures in rows(given, options):
        print(name, method, figures, flush=True)
        log["tasks"][name][method] = figures
        # On held-out encodings, of all priors that were fitted so far.
        scores = {prior: round(nats(fitted, given.held_out), 4) for prior, fitted in given.fitted.items()}
        log["nats"] = log.get("nats", {}) | scores
        options.out.write_text(json.dumps(log, indent=1) + "\n")


def fit(options: argparse.Namespace) -> None:
    """What fit_prior picks, and how good it is."""
    given, begun = Given(0), time.process_time()
    prior = ls.fit_prior(given.generator, given.train)
    picked = {"prior": type(prior.prior).__name__, "figures": prior.figures}
    log = json.loads(options.out.read_text())
    log["fit_prior"] = picked | {"seconds": round(time.process_time() - begun)}
    print(log["fit_prior"])
    options.out.write_text(json.dumps(log, indent=1) + "\n")


# -- the report --------------------------------------------------------------------------------------

TITLES = {"inpaint": "Right half hidden", "x4": "×4 super-resolution"}


def table(found: dict[str, dict[str, float]]) -> str:
    lines = [
        "| prior, answer | Fréchet | hidden error | within ε | evaluations |",
        "| --- | ---: | ---: | ---: | ---: |",
    ]
    for name in ("*encodings*", *METHODS):
        if name in found:
            row = found[name]
            spent = f"{row['evaluations']:,.0f}" if "evaluations" in row else ""
            lines.append(f"| {name} | {row['frechet']:.2f} | {row['hidden']:.4f} | {row['within']:.0%} | {spent} |")
    return "\n".join(lines)


def report(log: dict[str, Any]) -> str:
    lines = [
        f"\nHeld-out nats a dimension: {', '.join(f'{name} {value:.3f}' for name, value in log['nats'].items())}.\n"
    ]
    for name, title in TITLES.items():
        found, count = log["tasks"][name], log["settings"]["count"]
        floor = f"{found['*encodings*']['floor']:.2f}"
        lines.append(
            f"\n**{title}** ({count} images; the Fréchet distance of as many others is {floor})\n\n{table(found)}\n"
        )
    return "".join(lines)


def draw(options: argparse.Namespace) -> None:
    """What is given of some images, what each prior makes of it, and the truth."""
    given = Given(options.pictures)
    shown: list[Tensor] = []
    labels: list[str] = []
    titles: dict[int, str] = {}
    for name in TASKS:
        task = task_of(given, name)
        titles[len(shown)] = TITLES[name].replace("×", "x")
        found = {
            method: result.output.clamp(0, 1)
            for prior in (NONE, *PRIORS)
            for method, result, _ in answers(given, task, prior, options.seed)
        }
        shown += [task.seen, *found.values(), given.images]
        labels += ["given", *found, "truth"]
    plots.save_grid(options.picture, shown, labels, titles=titles, scale=2)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("command", choices=("run", "fit", "report"))
    parser.add_argument("--tasks", nargs="*", default=TASKS, choices=TASKS)
    parser.add_argument("--priors", nargs="*", default=[NONE, *PRIORS], choices=[NONE, *PRIORS])
    parser.add_argument("--count", type=int, default=100)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--pictures", type=int, default=8, help="images in the picture")
    parser.add_argument("--picture", type=Path, default=PICTURE)
    parser.add_argument("--out", type=Path, default=LOG)
    parser.add_argument("--write", action="store_true", help="report: into docs/results/spatial.md, and the picture")
    options = parser.parse_args()
    torch.set_num_threads(1)
    # Cold softmaxes are full of denormal numbers, with which a CPU is several times slower.
    torch.set_flush_denormal(True)
    if options.command != "report":
        {"run": run, "fit": fit}[options.command](options)
        return
    text = report(json.loads(options.out.read_text()))
    if not options.write:
        print(text)
        return
    PAGE.write_text(PAGE.read_text().split(MARK)[0] + MARK + text)
    draw(options)


if __name__ == "__main__":
    main()
