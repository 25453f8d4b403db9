"""Train the small models that the wheel carries, on MNIST, and write them as safetensors.

    python examples/train_zoo.py                 # about 30 minutes on one core
    python examples/train_zoo.py --only mnist-classifier
    python examples/train_zoo.py --only          # no model: the test images alone

Writes `latentsearch/zoo/weights/*.safetensors`, twenty test images among them, and, for the record,
`examples/logs/train_zoo.json`.
Everything is seeded; a run that was stopped goes on where it was.
"""

from __future__ import annotations

import argparse
import json
import time
from dataclasses import asdict
from functools import partial
from pathlib import Path

import torch
from data import mnist
from torch import Tensor, nn

import latentsearch as ls
from latentsearch import _checkpoint, models, training

ROOT = Path(__file__).parents[1]
WEIGHTS = ROOT / "latentsearch" / "zoo" / "weights"
LOG = ROOT / "examples" / "logs" / "train_zoo.json"
SHAPE = (1, 28, 28)
VARIANCE = 0.0949  # of MNIST's training pixels in [0, 1]


def build(name: str) -> nn.Module:
    """The untrained model of that name."""
    vq = {"width": 32, "channels": 64, "variance": VARIANCE, "normalise": False}
    with training.initialised(0):
        match name:
            case "mnist-vqvae-512":
                return models.VQVAE(SHAPE, codebook_size=512, **vq)
            case "mnist-vqvae-40":
                return models.VQVAE(SHAPE, codebook_size=40, **vq)
            case "mnist-vae":
                return models.VAE(SHAPE, width=20, channels=64)
            case "mnist-classifier":
                return models.Classifier(SHAPE)
    raise SystemExit(f"no model named {name!r}: choose from {', '.join(STEPS)}")


STEPS = {"mnist-vqvae-512": 3000, "mnist-vqvae-40": 3000, "mnist-vae": 4000, "mnist-classifier": 2500}


@torch.no_grad()
def measure(name: str, model: nn.Module, images: Tensor, labels: Tensor) -> dict[str, float]:
    """What the model is worth on the 10,000 test images."""
    if isinstance(model, models.Classifier):
        right = [model(x).argmax(1) == y for x, y in zip(images.split(500), labels.split(500), strict=True)]
        return {"test_accuracy": torch.cat(right).float().mean().item()}
    if isinstance(model, models.VQVAE):
        codes = torch.cat([model.encode(x) for x in images.split(500)])
        decoded = torch.cat([model.decode(z) for z in codes.split(500)])
        used = codes.flatten().bincount(minlength=model.codes.size) > 0
        return {"test_mse": (decoded - images).square().mean().item(), "codes_used": int(used.sum())}
    terms = training.evaluate(model, (images,))
    decoded = torch.cat([model.decode(model.encode(x)) for x in images.split(500)])
    return {"test_mse": (decoded - images).square().mean().item()} | {f"test_{k}": v for k, v in terms.items()}


def write_images(folder: Path, images: Tensor, labels: Tensor, each: int = 2) -> None:
    """The first test images of each digit, as bytes."""
    rows = torch.cat([(labels == digit).nonzero()[:each, 0] for digit in range(10)])
    tensors = {"images": (images[rows] * 255).round().to(torch.uint8), "labels": labels[rows], "test_index": rows}
    header = {"kind": "images", "source": f"MNIST test set, the first {each} pictures of each digit"}
    _checkpoint.save(folder / "mnist-images.safetensors", tensors, header)


def report(name: str, entry: training.Entry) -> None:
    print(name, entry.step, {term: round(values[-1], 4) for term, values in entry.history.train.items()}, flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", nargs="*", default=list(STEPS))
    parser.add_argument("--steps", type=int, help="fewer steps, to try the script out")
    parser.add_argument("--out", type=Path, default=WEIGHTS)
    parser.add_argument("--checkpoints", type=Path, default=Path("runs"))
    parser.add_argument("--download", action="store_true", help="fetch MNIST if it is not there")
    options = parser.parse_args()
    torch.set_num_threads(1)
    (images, labels), (test_images, test_labels) = (mnist(s, download=options.download) for s in ("train", "test"))
    write_images(options.out, test_images, test_labels)
    log = json.loads(LOG.read_text()) if LOG.exists() else {}
    for name in options.only:
        model, start, steps = build(name), time.perf_counter(), options.steps or STEPS[name]
        data = (images, labels) if isinstance(model, models.Classifier) else (images,)
        plan = ls.Fit(
            steps,
            log_every=250,
            checkpoint=options.checkpoints / f"{name}.safetensors",
            callbacks=[partial(report, name)],
        )
        history = ls.fit(model, data, plan)
        figures = measure(name, model, test_images, test_labels)
        print(name, figures)
        # Averages of the codebook are needed to train on, not to decode.
        keep = {k: v for k, v in model.state_dict().items() if not k.endswith(("counts", "sums", "placed"))}
        header = {"kind": "model", "class": type(model).__name__, "settings": model.settings, "figures": figures}
        _checkpoint.save(options.out / f"{name}.safetensors", keep, header)
        log[name] = {
            "steps": steps,
            "seconds": round(time.perf_counter() - start),
            **figures,
            "history": asdict(history),
        }
        LOG.parent.mkdir(parents=True, exist_ok=True)
        LOG.write_text(json.dumps(log, indent=1))


if __name__ == "__main__":
    main()
