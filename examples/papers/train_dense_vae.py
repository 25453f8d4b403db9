"""The feed-forward VAE of *Latent Constraints*, at several standard deviations of a pixel: Table 4, Figures 2 and 16.

    python examples/papers/train_dense_vae.py sweep                 # ten minutes of one core; the table
    python examples/papers/train_dense_vae.py train                 # longer, at the best of the sweep
    python examples/papers/train_dense_vae.py train --noise 0.1     # at another
    python examples/papers/train_dense_vae.py train --plain         # the plain autoencoder of Figure 15
    python examples/papers/train_dense_vae.py draw FILE.png         # data, reconstructions and samples of the sweep
    python examples/papers/train_dense_vae.py constrain             # an actor for the VAE, and for the autoencoder
    python examples/papers/train_dense_vae.py report --write        # the tables of the log, into the manual

Trained on MNIST's first 55,000 training images; the next 5,000 choose the weights and the standard deviation; the
figures are of the 10,000 test images. At the best variance the mean squared error of a pixel under q(z|x) is the
variance itself, which is how the sweep finds it between its grid points. The judge of digits is a LeNet trained by
others (see wrap_pretrained.py). Fréchet distances are of 10,000 images, in its 84 features: to what draws of q(z|x) of
the test images decode to (as in benchmarks/ex_post.py), and to the test images themselves. Seeded; one thread;
layers in bfloat16 in training, in float32 in what is measured. Weights of the sweep go to `runs/`, what was measured to
`examples/logs/dense_vae.json`.
"""

from __future__ import annotations

import argparse
import itertools
import json
import math
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

sys.path += [str(Path(__file__).parents[1]), str(Path(__file__).parents[1] / "benchmarks")]
from codes_bench.generators import judge
from codes_bench.pages import put, table
from data import mnist

import latentsearch as ls
from latentsearch import _checkpoint, models, plots, training
from latentsearch.priors import StandardNormal

LOG = Path(__file__).parents[1] / "logs" / "dense_vae.json"
PAGE = Path(__file__).parents[2] / "docs" / "results" / "pixel_noise.md"
WEIGHTS = Path(__file__).parents[1] / "benchmarks" / "weights"
SHAPE = (1, 28, 28)
VARIANCES = (1.0, 1e-1, 1e-2, 1e-3, 1e-4)
HELD_OUT = 5000  # training images that no model is fitted to
SAMPLES = 10_000
SWEEP, LONG, PLAIN, CONSTRAIN = 700, 3500, 1000, 8000  # steps

Model = models.DenseVAE | models.DenseAutoencoder


@dataclass(frozen=True)
class Data:
    """Images ``(N, 1, 28, 28)``, and the labels of the test images."""

    train: Tensor
    held_out: Tensor
    test: Tensor
    labels: Tensor

    @staticmethod
    def load() -> Data:
        images, (test, labels) = mnist("train")[0], mnist("test")
        return Data(images[:-HELD_OUT], images[-HELD_OUT:], test, labels)


# -- training ----------------------------------------------------------------------------------------


def build(noise: float | None) -> Model:
    """A VAE, or without a noise level the plain autoencoder; the first weights are always those of seed 0."""
    with training.initialised(0):
        return models.DenseAutoencoder(SHAPE) if noise is None else models.DenseVAE(SHAPE, noise=noise)


def train(model: Model, data: Data, steps: int, path: Path, runs: Path) -> dict[str, Any]:
    """Fit a model and save it; what that took. A fit that was stopped goes on from its checkpoint in ``runs``."""

    def told(entry: training.Entry) -> None:
        scores = {name: round(values[-1], 5) for name, values in entry.history.validation.items()}
        print(path.stem, entry.step, scores, flush=True)

    adam = partial(torch.optim.Adam, lr=5e-4, fused=True)
    checkpoint = runs / f"{path.stem}.fit.safetensors"
    resumed, begun = checkpoint.exists(), time.process_time()
    plan = ls.Fit(
        steps, 256, adam, autocast=torch.bfloat16, best="sum", log_every=100, callbacks=[told], checkpoint=checkpoint
    )
    training.fit(model, (data.train,), plan, validation=(data.held_out[:1000],))
    took: dict[str, Any] = {"steps": steps}
    if not resumed:
        took["seconds"] = round(time.process_time() - begun)
    header = {"kind": "model", "class": type(model).__name__, "settings": model.settings, "figures": took}
    _checkpoint.save(path, model.state_dict(), header)
    return took


def load(path: Path) -> Model:
    """A model that ``train`` saved, frozen."""
    tensors, header = _checkpoint.load(path, kind="model")
    settings = header["settings"] | {"image_shape": tuple(header["settings"]["image_shape"])}
    classes: dict[str, type[Model]] = {"DenseVAE": models.DenseVAE, "DenseAutoencoder": models.DenseAutoencoder}
    with training.initialised(0):
        model = classes[header["class"]](**settings)
    model.load_state_dict(tensors)
    return model.eval().requires_grad_(False)


# -- what is measured --------------------------------------------------------------------------------


def bound(model: models.DenseVAE, images: Tensor) -> dict[str, float]:
    """Table 4's columns in nats an image, and the mean squared error of a pixel under q(z|x)."""
    terms = training.evaluate(model, (images,))
    likelihood, kl, variance = -terms["reconstruction"], terms["kl"], model.noise**2
    error = variance * (-2 * likelihood / math.prod(model.image_shape) - math.log(2 * math.pi * variance))
    return {"log_likelihood": likelihood, "kl": kl, "elbo": likelihood - kl, "mse": error}


def over(function: Callable[[Tensor], Tensor], rows: Tensor) -> Tensor:
    """A function of rows, a thousand at a time."""
    with torch.no_grad():
        return torch.cat([function(part) for part in rows.split(1000)])


def widths(model: models.DenseVAE, images: Tensor) -> Tensor:
    """The standard deviation of q(z|x) of each latent dimension, a mean over images, lowest first: Figure 16."""
    return over(lambda part: model.posterior(part)[1], images).mean(0).sort().values


def encodings(model: Model, images: Tensor, seed: int) -> Tensor:
    """One draw of q(z|x) an image; of a plain autoencoder, the code."""
    if isinstance(model, models.DenseAutoencoder):
        return over(model.encode, images)
    mean, std = over(lambda part: torch.stack(model.posterior(part), 1), images).unbind(1)
    return mean + std * ls.Noise.from_seed(seed).normal(*mean.shape)[0]


def judged(model: Model, data: Data) -> dict[str, Any]:
    """How well the judge reads reconstructions, and how far draws of the prior and encodings are from data."""
    net = judge("mnist")
    means = over(lambda part: model.decode(model.encode(part)), data.test)
    drawn = {"prior": draws(model), "encodings": encodings(model, data.train[:SAMPLES], 10)}
    return {
        "accuracy": (over(net, means).argmax(1) == data.labels).double().mean().item(),
        "accuracy_of_images": (over(net, data.test).argmax(1) == data.labels).double().mean().item(),
        "mse_of_means": (means - data.test).square().mean().item(),
        "frechet": distances(model, data, drawn),
    }


def draws(model: Model) -> Tensor:
    """Of N(0, I)."""
    return ls.Noise.from_seed(0, SAMPLES).normal(*model.latent_shape)


def distances(model: Model, data: Data, latents: dict[str, Tensor]) -> dict[str, dict[str, float]]:
    """Fréchet distances in the judge's features, to reconstructions and to images, of what latents decode to."""
    net = judge("mnist")

    def features(latents: Tensor) -> Tensor:
        return over(lambda part: net.features(model.decode(part)), latents)

    references = {
        "reconstructions": features(encodings(model, data.test, 11)),
        "images": over(net.features, data.test),
    }
    found = {name: features(rows) for name, rows in latents.items()}
    return {
        to: {name: ls.judge.frechet_distance(rows, reference) for name, rows in found.items()}
        for to, reference in references.items()
    }


def best_variance(rows: dict[str, Any]) -> float:
    """Where the error of a held-out pixel is the variance, between grid points by lines in the logarithms."""
    logs = sorted((math.log(float(name)), math.log(row["held_out"]["mse"])) for name, row in rows.items())
    for (low, below), (high, above) in itertools.pairwise(logs):
        here, there = below - low, above - high
        if here >= 0 >= there:
            return math.exp(low + (high - low) * here / (here - there))
    raise ValueError(f"the errors of {list(rows)} cross their variances nowhere: sweep a wider range")


# -- the commands ------------------------------------------------------------------------------------


def swept(variance: float, data: Data, runs: Path) -> dict[str, Any]:
    """One row of the sweep; a model in ``runs`` is not trained again."""
    path = file_of(variance, runs)
    if not path.exists():
        train(build(math.sqrt(variance)), data, SWEEP, path, runs)
    model = load(path)
    assert isinstance(model, models.DenseVAE)
    _, header = _checkpoint.load(path, kind="model")
    sorted_widths = widths(model, data.train[:SAMPLES])
    row = header["figures"] | {
        "test": bound(model, data.test),
        "held_out": bound(model, data.held_out),
        "train": bound(model, data.train[: len(data.test)]),
        # Every 32nd dimension, which is as fine as Figure 16 can be read, and the last.
        "widths": [round(float(width), 5) for width in torch.cat([sorted_widths[::32], sorted_widths[-1:]])],
        "widths_below_half": int((sorted_widths < 0.5).sum()),
        "judged": judged(model, data),
    }
    print(f"{variance:g}", row["test"], row["judged"], flush=True)
    return row


def sweep(runs: Path) -> None:
    data = Data.load()
    log = read_log() | {"settings": {"held_out": HELD_OUT, "threads": 1, "torch": torch.__version__}, "sweep": {}}
    for variance in VARIANCES:
        log["sweep"][f"{variance:g}"] = swept(variance, data, runs)
        write_log(log)
    best = float(f"{best_variance(log['sweep']):.3g}")
    log["best_variance"] = best
    log["sweep"][f"{best:g}"] = swept(best, data, runs)
    # With the new point on the grid, where the two cross is read off more finely.
    log["refined_variance"] = best_variance(log["sweep"])
    write_log(log)


def train_one(noise: float | None, steps: int, output: Path, runs: Path) -> None:
    data, model = Data.load(), build(noise)
    row = train(model, data, steps, output, runs) | {"noise": noise}
    if isinstance(model, models.DenseVAE):
        row |= {"test": bound(model, data.test), "train": bound(model, data.train[: len(data.test)])}
    row["judged"] = judged(model, data)
    log = read_log()
    write_log(log | {"trained": log.get("trained", {}) | {output.stem: row}})


def file_of(variance: float, runs: Path) -> Path:
    return runs / f"dense-vae-variance-{variance:g}.safetensors"


def read_log() -> dict[str, Any]:
    return dict(json.loads(LOG.read_text())) if LOG.exists() else {}


def write_log(log: dict[str, Any]) -> None:
    LOG.write_text(json.dumps(log, indent=1) + "\n")


@torch.no_grad()
def draw(path: Path, runs: Path) -> Path:
    """Figure 2 without its last row: data, then reconstructions and draws of the prior at each variance."""
    images, prior = mnist("test")[0][:10], ls.Noise.from_seed(0, 10).normal(1024)
    rows, names, titles = [images], ["data"], {0: "test images"}
    for variance in VARIANCES:
        model = load(file_of(variance, runs))
        titles[len(rows)] = f"pixel variance {variance:g}"
        rows += [model.decode(model.encode(images)), model.decode(prior)]
        names += ["reconstructed", "prior samples"]
    return plots.save_grid(path, rows, names, titles=titles, scale=2)


def constrain(steps: int) -> None:
    """An actor that makes latents of data of draws of N(0, I), for the VAE and for the plain autoencoder: Figure 15."""
    data, log = Data.load(), read_log()
    for name in ("dense-vae-0.1", "dense-ae"):
        model = load(WEIGHTS / f"{name}.safetensors")
        generator = ls.wrap(model, prior=StandardNormal(model.latent_shape))
        start = time.perf_counter()
        actor = ls.fit_actor(generator, data.train, distance=0.0, steps=steps)
        seconds, z = round(time.perf_counter() - start), draws(model)
        moved = over(actor, z)
        row = {"steps": steps, "seconds": seconds, "z_MSE": (moved - z).square().mean().item()}
        log.setdefault("constrained", {})[name] = row | {"frechet": distances(model, data, {"actor": moved})}
        print(name, log["constrained"][name], flush=True)
        write_log(log)


COLUMNS = {
    "ELBO": ("elbo", "{:,.0f}"),
    "log-likelihood": ("log_likelihood", "{:,.0f}"),
    "KL": ("kl", "{:,.0f}"),
    "MSE": ("mse", "{:.4f}"),
    "read right": ("accuracy", "{:.1%}"),
    "prior": ("prior", "{:.0f}"),
    "actor": ("actor", "{:.0f}"),
}


def report(write: bool) -> None:
    """The sweep, and the two models that were trained longer."""
    log = read_log()
    found = {}
    for name, row in sorted(log["sweep"].items(), key=lambda item: -float(item[0])):
        found[f"σ² = {name}"] = shown(row)
    for name, row in log["trained"].items():
        actor = log.get("constrained", {}).get(name)
        more = {} if actor is None else {"actor": actor["frechet"]["reconstructions"]["actor"]}
        found[f"{name}, {row['steps']} steps"] = shown(row) | more
    text = table("model", found, COLUMNS)
    best, refined = log["best_variance"], log["refined_variance"]
    print(text)
    print(f"\nBest variance: {best:g}, refined {refined:.4g}: standard deviation {math.sqrt(refined):.4f}.")
    if write:
        put(PAGE, "sweep", f"\n{text}\n\n")


def shown(row: dict[str, Any]) -> dict[str, float]:
    """The columns of a row of the log; distances are to reconstructions."""
    read = row["judged"]
    found = {"mse": read["mse_of_means"], "accuracy": read["accuracy"]}
    return found | row.get("test", {}) | {"prior": read["frechet"]["reconstructions"]["prior"]}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("command", choices=["sweep", "train", "draw", "constrain", "report"])
    parser.add_argument("image", nargs="?", type=Path, help="the file that `draw` writes")
    parser.add_argument("--runs", type=Path, default=Path("runs"), help="for the weights of the sweep and checkpoints")
    parser.add_argument("--noise", type=float, help="of `train`; the best of the sweep if not given")
    parser.add_argument("--plain", action="store_true", help="`train` the plain autoencoder")
    parser.add_argument("--steps", type=int)
    parser.add_argument("--write", action="store_true", help="put the table of `report` into the manual")
    parser.add_argument("--output", type=Path, help="for the weights of `train`")
    options = parser.parse_args()
    torch.set_num_threads(1)
    runs = options.runs
    match options.command:
        case "sweep":
            sweep(runs)
        case "train" if options.plain:
            train_one(None, options.steps or PLAIN, options.output or WEIGHTS / "dense-ae.safetensors", runs)
        case "train":
            noise = options.noise or math.sqrt(read_log()["refined_variance"])
            output = options.output or WEIGHTS / f"dense-vae-{noise:.4g}.safetensors"
            train_one(noise, options.steps or LONG, output, runs)
        case "draw":
            print(draw(options.image, runs))
        case "constrain":
            constrain(options.steps or CONSTRAIN)
    if options.command in ("sweep", "report"):
        report(options.write)


if __name__ == "__main__":
    main()
