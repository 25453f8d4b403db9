"""Train the CIFAR-10 models of the benchmark of discrete searches: two VQ-VAEs, and two classifiers.

    python examples/benchmarks/train_models.py                  # all, one after another; an hour or two on one core
    python examples/benchmarks/train_models.py cifar10-8x8      # one of them

What training needs goes to `runs/bench-<name>*.safetensors` (kept out of git), and a fit that is stopped
goes on from there; one that has ended is not done again. What decoding needs goes to
`examples/benchmarks/weights/`, and its test figures and SHA-256 to `examples/logs/bench_models.json`:
the benchmark takes no other weights. Seeded.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

sys.path.append(str(Path(__file__).parent))
sys.path.append(str(Path(__file__).parents[1]))
from codes_bench.generators import MODEL_LOG, WEIGHTS, digest, for_decoding
from data import cifar10_subset

from latentsearch import _checkpoint, models, training

SHAPE = (3, 32, 32)
# Halvings of the sides, seed and steps: the 8 x 8 model is to reach a test MSE of 0.0036.
DECODERS = {"cifar10-8x8": (2, 2, 8000), "cifar10-16x16": (1, 0, 2500)}
# A second fit, from where the first one ended: steps, learning rate and seed.
REFINED = {"cifar10-8x8": (3000, 3e-4, 3)}
# Channels, seed and steps: one that searches ask, and one that judges what they found.
CLASSIFIERS = {"cifar10-classifier": (24, 0, 4000), "cifar10-judge": (40, 1, 4000)}

Split = tuple[Tensor, Tensor]


def build(name: str, images: Tensor) -> nn.Module:
    if name in DECODERS:
        halvings, seed, _ = DECODERS[name]
        with training.initialised(seed):
            variance = round(images.var().item(), 4)
            return models.VQVAE(SHAPE, channels=96, width=64, halvings=halvings, variance=variance)
    channels, seed, _ = CLASSIFIERS[name]
    with training.initialised(seed):
        return models.Classifier(SHAPE, channels=channels)


@torch.no_grad()
def worth(model: nn.Module, test: Split) -> dict[str, float]:
    """What the model is worth on the test images."""
    images, labels = test
    if isinstance(model, models.Classifier):
        right = [(model(x).argmax(1) == y).float() for x, y in zip(images.split(500), labels.split(500), strict=True)]
        return {"test_accuracy": round(torch.cat(right).mean().item(), 4)}
    assert isinstance(model, models.VQVAE)
    errors = [(model.decode(model.encode(x)) - x).square().mean() * len(x) for x in images.split(500)]
    return {"test_mse": float(torch.stack(errors).sum() / len(images))}


def train(name: str, train_split: Split, test: Split, runs: Path) -> Path:
    """Fit one model, if that was not done before; the file with all its tensors."""
    path = runs / f"bench-{name}.safetensors"
    if path.exists():
        return path
    model, (_, seed, steps) = build(name, train_split[0]), (DECODERS | CLASSIFIERS)[name]
    start = time.perf_counter()
    resumed = fit(model, f"bench-{name}.fit", (steps, 1e-3, seed), train_split, test, runs)
    if name in REFINED:
        resumed |= fit(model, f"bench-{name}.refine", REFINED[name], train_split, test, runs)
    figures = {"steps": steps, "seed": seed, **worth(model, test)}
    if name in REFINED:
        figures["refined"] = dict(zip(("steps", "learning_rate", "seed"), REFINED[name], strict=True))
    if not resumed:
        figures["seconds"] = round(time.perf_counter() - start)
    header = {"kind": "model", "class": type(model).__name__, "settings": model.settings, "figures": figures}
    _checkpoint.save(path, model.state_dict(), header)
    return path


def fit(model: nn.Module, name: str, how: tuple[int, float, int], train_split: Split, test: Split, runs: Path) -> bool:
    """Train by steps, learning rate and seed; whether part of it had been done before."""
    (steps, learning_rate, seed), checkpoint = how, runs / f"{name}.safetensors"
    resumed, parts = checkpoint.exists(), 2 if isinstance(model, models.Classifier) else 1

    def report(entry: training.Entry) -> None:
        print(name, entry.step, {k: round(v[-1], 4) for k, v in entry.history.validation.items()}, flush=True)

    adam = partial(torch.optim.Adam, lr=learning_rate)
    plan = training.Fit(steps, batch_size=64, optimizer=adam, checkpoint=checkpoint, callbacks=[report])
    held_out = tuple(part[:500] for part in test[:parts])
    training.fit(model, train_split[:parts], plan, validation=held_out, seed=seed)
    return resumed


def publish(name: str, trained: Path, weights: Path) -> dict[str, Any]:
    """Write what decoding needs; the model's row of the log."""
    tensors, header = _checkpoint.load(trained, kind="model")
    kept = for_decoding(tensors)
    figures = header["figures"] | {"sha256": digest(kept)}
    _checkpoint.save(weights / f"{name}.safetensors", kept, header | {"figures": figures})
    return dict(figures)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", default=[*DECODERS, *CLASSIFIERS])
    parser.add_argument("--runs", type=Path, default=Path("runs"))
    parser.add_argument("--weights", type=Path, default=WEIGHTS)
    options = parser.parse_args()
    torch.set_num_threads(1)
    train_split, test = cifar10_subset("train"), cifar10_subset("test")
    for name in options.names:
        row = publish(name, train(name, train_split, test, options.runs), options.weights)
        print(name, row, flush=True)
        log = json.loads(MODEL_LOG.read_text()) if MODEL_LOG.exists() else {}
        MODEL_LOG.write_text(json.dumps(log | {name: row}, indent=1) + "\n")


if __name__ == "__main__":
    main()
