"""Train the CIFAR-10 VQ-VAEs that the benchmark of discrete searches decodes with.

    python examples/benchmarks/train_models.py                  # both, one after another; an hour or two on one core
    python examples/benchmarks/train_models.py cifar10-8x8      # one of them

Weights go to `runs/bench-<name>.safetensors` (kept out of git), test error and the weights' SHA-256
to `examples/logs/bench_models.json`. Seeded; a fit that is stopped goes on from its checkpoint.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import sys
import time
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

sys.path.append(str(Path(__file__).parents[1]))
from data import cifar10_subset

from latentsearch import _checkpoint, models

LOG = Path(__file__).parents[1] / "logs" / "bench_models.json"
# Halvings of the sides, seed and steps: the 8 x 8 model is to reach a test MSE of 0.0036.
MODELS = {"cifar10-8x8": (2, 2, 8000), "cifar10-16x16": (1, 0, 2500)}


def digest(tensors: dict[str, Tensor]) -> str:
    """SHA-256 of the weights, in the order of their names."""
    sha = hashlib.sha256()
    for name in sorted(tensors):
        sha.update(name.encode() + tensors[name].detach().contiguous().numpy().tobytes())
    return sha.hexdigest()


@torch.no_grad()
def test_error(model: models.VQVAE, images: Tensor) -> float:
    errors = [(model.decode(model.encode(x)) - x).square().mean() * len(x) for x in images.split(500)]
    return float(torch.stack(errors).sum() / len(images))


def train(name: str, images: Tensor, test_images: Tensor, runs: Path) -> dict[str, Any]:
    """Fit one model and save its weights; its row of the log."""
    halvings, seed, steps = MODELS[name]
    with models.initialised(seed):
        variance = round(images.var().item(), 4)
        model = models.VQVAE((3, 32, 32), channels=96, width=64, halvings=halvings, variance=variance)
    start = time.perf_counter()
    models.fit(
        model,
        (images,),
        steps=steps,
        batch_size=64,
        seed=seed,
        validation=(test_images[:500],),
        checkpoint=runs / f"bench-{name}.fit.safetensors",
        report=lambda step, h: print(name, step, {k: round(v[-1], 4) for k, v in h.validation.items()}, flush=True),
    )
    figures = {
        "steps": steps,
        "seed": seed,
        "test_mse": test_error(model, test_images),
        "seconds": round(time.perf_counter() - start),
        "sha256": digest(model.state_dict()),
    }
    header = {"kind": "model", "class": "VQVAE", "settings": model.settings, "figures": figures}
    _checkpoint.save(runs / f"bench-{name}.safetensors", model.state_dict(), header)
    return figures


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", default=list(MODELS))
    parser.add_argument("--runs", type=Path, default=Path("runs"))
    options = parser.parse_args()
    torch.set_num_threads(1)
    images, test_images = (cifar10_subset(split)[0] for split in ("train", "test"))
    for name in options.names:
        row = train(name, images, test_images, options.runs)
        print(name, row, flush=True)
        log = json.loads(LOG.read_text()) if LOG.exists() else {}
        LOG.write_text(json.dumps(log | {name: row}, indent=1) + "\n")


if __name__ == "__main__":
    main()
