"""The feed-forward VAE of *Latent Constraints*, at several standard deviations of a pixel: Table 4, Figures 2 and 16.

    python examples/papers/train_dense_vae.py sweep                 # ten minutes of one core; the table
    python examples/papers/train_dense_vae.py train                 # longer, at the best of the sweep
    python examples/papers/train_dense_vae.py train --noise 0.1     # at another
    python examples/papers/train_dense_vae.py train --plain         # the plain autoencoder of Figure 15
    python examples/papers/train_dense_vae.py draw FILE.png         # data, reconstructions and samples of the sweep
    python examples/papers/train_dense_vae.py report                # the tables of the log

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
from data import mnist

import latentsearch as ls
from latentsearch import _checkpoint, models, plots, training

LOG = Path(__file__).parents[1] / "logs" / "dense_vae.json"
WEIGHTS = Path(__file__).parents[1] / "benchmarks" / "weights"
SHAPE = (1, 28, 28)
VARIANCES = (1.0, 1e-1, 1e-2, 1e-3, 1e-4)
HELD_OUT = 5000  # training images that no model is fitted to
SAMPLES = 10_000
SWEEP, LONG, PLAIN = 700, 3500, 1000  # steps

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

    def features(latents: Tensor) -> Tensor:
        return over(lambda part: net.features(model.decode(part)), latents)

    means = over(lambda part: model.decode(model.encode(part)), data.test)
    references = {
        "reconstructions": features(encodings(model, data.test, 11)),
        "images": over(net.features, data.test),
    }
    drawn = {
        "prior": features(ls.Noise.from_seed(0, SAMPLES).normal(*model.latent_shape)),
        "encodings": features(encodings(model, data.train[:SAMPLES], 10)),
    }
    return {
        "accuracy": (over(net, means).argmax(1) == data.labels).double().mean().item(),
        "accuracy_of_images": (over(net, data.test).argmax(1) == data.labels).double().mean().item(),
        "mse_of_means": (means - data.test).square().mean().item(),
        "frechet": {
            to: {name: ls.judge.frechet_distance(found, reference) for name, found in drawn.items()}
            for to, reference in references.items()
        },
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


def report() -> None:
    log = read_log()
    print("| variance | steps | LL | KL | ELBO | MSE | read as its digit | prior | encodings | widths below ½ |")
    print("|---|---|---|---|---|---|---|---|---|---|")
    grid = sorted(log["sweep"].items(), key=lambda item: -float(item[0]))
    for name, row in [*grid, *log.get("trained", {}).items()]:
        test, read, distances = row.get("test"), row["judged"], row["judged"]["frechet"]["reconstructions"]
        nats = ["", "", ""] if test is None else [f"{test[key]:.1f}" for key in ("log_likelihood", "kl", "elbo")]
        error = read["mse_of_means"] if test is None else test["mse"]
        frechet = [f"{distances[name]:.1f}" for name in ("prior", "encodings")]
        cells = [name, row["steps"], *nats, f"{error:.5f}", f"{read['accuracy']:.4f}", *frechet]
        print("|", " | ".join(map(str, [*cells, row.get("widths_below_half", "")])), "|")
    found, refined = log["best_variance"], log["refined_variance"]
    print(f"\nBest variance: {found:g}, refined {refined:.4g}: standard deviation {math.sqrt(refined):.4f}.")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("command", choices=["sweep", "train", "draw", "report"])
    parser.add_argument("image", nargs="?", type=Path, help="the file that `draw` writes")
    parser.add_argument("--runs", type=Path, default=Path("runs"), help="for the weights of the sweep and checkpoints")
    parser.add_argument("--noise", type=float, help="of `train`; the best of the sweep if not given")
    parser.add_argument("--plain", action="store_true", help="`train` the plain autoencoder")
    parser.add_argument("--steps", type=int)
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
    if options.command in ("sweep", "report"):
        report()


if __name__ == "__main__":
    main()
