"""Train VQ-VAEs for section 5.1 of *Exploring Test Time Optimization ...*: K = 512 against K = 40.

    python examples/papers/train_vqvae.py cifar10                      # every run below, one after another
    python examples/papers/train_vqvae.py cifar10 --runs K512-ema-0    # one of them
    python examples/papers/train_vqvae.py mnist
    python examples/papers/train_vqvae.py fashion-mnist --download     # needs the internet

Runs are named K<size>-<kind>-<seed>: `ema` is the moving-average codebook with k-means start and
revival of dead codes, `norm` the same on batch-normalised encodings, `gradient` the paper's own loss
with its uniform(-1/K, 1/K) codebook. Equal training: same steps, batches, learning rate and first
encoder weights. Weights go to `runs/` (kept out of git), what was measured to `examples/logs/train_vqvae_<data>.json`.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from dataclasses import asdict
from pathlib import Path

import torch
from torch import Tensor

sys.path.append(str(Path(__file__).parents[1]))
from data import cifar10_subset, fashion_mnist, mnist

from latentsearch import _checkpoint, models, training

LOGS = Path(__file__).parents[1] / "logs"
LOADERS = {"cifar10": cifar10_subset, "mnist": mnist, "fashion-mnist": fashion_mnist}
RUNS = ["K512-ema-0", "K40-ema-0", "K512-gradient-0", "K40-gradient-0"]
SEEDS = [f"K512-norm-{seed}" for seed in range(5)] + ["K512-ema-1", "K512-ema-2"]
STEPS, BATCH = 2500, 64


@torch.no_grad()
def measure(model: models.VQVAE, images: Tensor) -> dict[str, float]:
    """Test error, absolute and relative to the variance, and how much of the codebook is in use."""
    codes = torch.cat([model.encode(x) for x in images.split(500)])
    decoded = torch.cat([model.decode(z) for z in codes.split(500)])
    counts = codes.flatten().bincount(minlength=model.codes.size).double()
    shares = counts / counts.sum()
    mse = (decoded - images).square().mean().item()
    return {
        "test_mse": mse,
        "test_mse_over_variance": mse / images.var().item(),
        "codes_used": int((counts > 0).sum()),
        "perplexity": (-(shares * shares.clamp(min=1e-12).log()).sum()).exp().item(),
    }


def train(name: str, data: str, train_images: Tensor, test_images: Tensor, steps: int, runs: Path) -> dict[str, object]:
    """Train one run, save its weights, and return its row of the log."""
    size, kind, seed = name.removeprefix("K").split("-")
    with training.initialised(int(seed)):
        model = models.VQVAE(
            tuple(train_images.shape[1:]),
            codebook_size=int(size),
            channels=96 if data == "cifar10" else 64,
            width=64 if data == "cifar10" else 32,
            variance=round(train_images.var().item(), 4),
            update="gradient" if kind == "gradient" else "ema",
            normalise=kind == "norm",
        )
    start = time.perf_counter()

    def report(entry: training.Entry) -> None:
        print(data, name, entry.step, {k: round(v[-1], 4) for k, v in entry.history.validation.items()}, flush=True)

    plan = training.Fit(
        steps, BATCH, log_every=100, checkpoint=runs / f"{data}-{name}.fit.safetensors", callbacks=[report]
    )
    history = training.fit(model, (train_images,), plan, validation=(test_images[:1000],), seed=int(seed))
    figures = measure(model, test_images)
    header = {"kind": "model", "class": "VQVAE", "settings": model.settings, "figures": figures}
    _checkpoint.save(runs / f"{data}-{name}.safetensors", model.state_dict(), header)
    print(data, name, figures, flush=True)
    return {"steps": steps, "seconds": round(time.perf_counter() - start), **figures, "history": asdict(history)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", choices=LOADERS)
    parser.add_argument("--runs", nargs="*", dest="names")
    parser.add_argument("--steps", type=int, default=STEPS)
    parser.add_argument("--out", type=Path, default=Path("runs"), help="for weights and checkpoints")
    parser.add_argument("--log", type=Path, help="for the figures")
    parser.add_argument("--download", action="store_true")
    options = parser.parse_args()
    torch.set_num_threads(1)
    extra = {"download": options.download} if options.data != "cifar10" else {}
    train_images, test_images = (LOADERS[options.data](split, **extra)[0] for split in ("train", "test"))
    path = options.log or LOGS / f"train_vqvae_{options.data}.json"
    names = options.names or (RUNS + SEEDS if options.data == "cifar10" else RUNS)
    for name in names:
        row = train(name, options.data, train_images, test_images, options.steps, options.out)
        log = json.loads(path.read_text()) if path.exists() else {}
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(log | {name: row}, indent=1))


if __name__ == "__main__":
    main()
