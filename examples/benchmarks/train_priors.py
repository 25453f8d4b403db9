"""Train the priors of posterior.py: for each decoder one to search with, and one that judges what was found.

    python examples/benchmarks/train_priors.py                     # all, one after another; two hours on one core
    python examples/benchmarks/train_priors.py mnist-512-judge     # one of them
    python examples/benchmarks/train_priors.py mnist-512-masked --from trained.safetensors    # trained elsewhere

What training needs goes to `runs/` (kept out of git), and a fit that is stopped goes on from there. Weights, of half
precision, go to `examples/benchmarks/weights/`; held-out and test bits per code, their floors and SHA-256 to
`examples/logs/priors.json`: the benchmark takes no other weights. The recipes are in codes_bench/priors.py: a judge
is trained on other images, by another seed, and is another network. Seeded; one thread.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
import time
from functools import partial
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

sys.path.append(str(Path(__file__).parent))
sys.path.append(str(Path(__file__).parents[1]))
from codes_bench.generators import WEIGHTS, digest
from codes_bench.generators import load as load_generator
from codes_bench.priors import LOG, RECIPES, Recipe, TrainedPrior, build, histogram_of
from data import cifar10_subset, mnist

import latentsearch as ls
from latentsearch import _checkpoint, training
from latentsearch.fitting._cost import cost_beside
from latentsearch.fitting._temperature import typical_temperature
from latentsearch.priors import PixelCNN, UniformCodes

_WARM_UP, _LAST = 200, 0.02  # steps, and the share of the learning rate at the end


# -- codes -------------------------------------------------------------------------------------------


@torch.no_grad()
def encoded(generator: ls.CodebookGenerator, images: Tensor) -> Tensor:
    return torch.cat([generator.encode(part) for part in images.split(500)])


def views(images: Tensor, count: int) -> list[Tensor]:
    """Images ``(N, C, H, W)``, their mirror images, then either by turns, shifted by up to two pixels.

    They are shifted before they are encoded: the codes of a shifted image are not the shifted codes.
    """
    height, breadth = images.shape[2:]
    random, found = torch.Generator().manual_seed(0), [images]
    for view in range(1, count):
        turned = images.flip(-1) if view % 2 else images
        by = torch.randint(0, 5, (len(images), 2), generator=random).tolist()
        if view > 1:
            wide = F.pad(turned, (2, 2, 2, 2), mode="reflect")
            turned = torch.stack(
                [image[:, y : y + height, x : x + breadth] for image, (y, x) in zip(wide, by, strict=True)]
            )
        found.append(turned)
    return found


def codes_of(name: str, generator: ls.CodebookGenerator, runs: Path) -> tuple[Tensor, Tensor]:
    """Codes of all training images ``(N, views, *S)`` and of test images ``(N, *S)``, encoded once."""
    path = runs / f"codes-{name}.safetensors"
    if not path.exists():
        split = mnist if name.startswith("mnist") else cifar10_subset
        # Digits have a left and a right.
        count = 1 if split is mnist else 8
        train = torch.stack([encoded(generator, view) for view in views(split("train")[0], count)], 1)
        test = encoded(generator, split("test")[0])
        _checkpoint.save(path, {"train": train.short(), "test": test.short()}, {"kind": "codes"})
    tensors, _ = _checkpoint.load(path, kind="codes")
    return tensors["train"].long(), tensors["test"].long()


def split_of(recipe: Recipe, train: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Grids to train on, every view of them; those of them that were not shifted; and grids held out, as they are."""
    own = train[recipe.first : recipe.last, : recipe.views]
    seen = own[: -recipe.held_out]
    return seen.flatten(0, 1), seen[:, :2].flatten(0, 1), own[-recipe.held_out :, 0]


# -- the fit -----------------------------------------------------------------------------------------


def groups_of(weight_decay: float, model: nn.Module) -> list[dict[str, Any]]:
    """Matrices decay; biases and gains do not."""
    return [
        {"params": [p for p in model.parameters() if p.ndim > 1], "weight_decay": weight_decay},
        {"params": [p for p in model.parameters() if p.ndim <= 1], "weight_decay": 0.0},
    ]


def warm_cosine(step: int, steps: int) -> float:
    return min((step + 1) / _WARM_UP, 1) * (_LAST + (1 - _LAST) * training.cosine(step, steps))


def fit(name: str, model: TrainedPrior, grids: Tensor, held_out: Tensor, runs: Path) -> training.History:
    recipe, start = RECIPES[name], time.perf_counter()

    def report(entry: training.Entry) -> None:
        bits = entry.history.validation["nats_per_code"][-1] / math.log(2)
        print(name, entry.step, f"{bits:.4f} bits, {time.perf_counter() - start:.0f} s", flush=True)

    adam = partial(torch.optim.AdamW, lr=2e-3, betas=(0.9, 0.98))
    plan = ls.Fit(
        recipe.steps,
        batch_size=32,
        optimizer=training.Group(partial(groups_of, recipe.weight_decay), adam),
        schedule=warm_cosine,
        clip=1.0,
        average=recipe.average,
        autocast=torch.bfloat16,
        best="sum" if recipe.best else None,
        patience=recipe.patience,
        log_every=recipe.log_every,
        callbacks=[report],
        checkpoint=runs / f"prior-{name}.fit.safetensors",
    )
    return ls.fit(model, (grids,), plan, validation=(held_out,), seed=recipe.seed)


# -- what it is worth --------------------------------------------------------------------------------


@torch.no_grad()
def bits(prior: ls.Prior, grids: Tensor) -> float:
    """Bits a code, exact."""
    total = sum(float(prior.log_prob(part).double().sum()) for part in grids.split(250))
    return round(-total / grids.numel() / math.log(2), 4)


def worth(model: TrainedPrior, histogram: ls.Prior, held_out: Tensor, test: Tensor) -> dict[str, Any]:
    """Bits of a masked model are those of one order; of grids held out it has the bound that it was trained by."""
    if isinstance(model, PixelCNN):
        own = {"held_out_bits": bits(model, held_out)}
    else:
        bound = training.evaluate(model, (held_out,), batch_size=250)["nats_per_code"]
        own = {"held_out_bound": round(float(bound) / math.log(2), 4)}
    floors = {"histogram": bits(histogram, test), "uniform": bits(UniformCodes(model.space), test)}
    return own | {"test_bits": bits(model, test), "test_grids": len(test), "test_bits_of": floors}


def half(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """Half precision, but for the histogram, whose rounding would unbalance probabilities."""
    return {name: tensor if name == "frequencies" else tensor.half() for name, tensor in tensors.items()}


def train(name: str, options: argparse.Namespace) -> dict[str, Any]:
    """Train a prior, or take what was trained; write its weights; its row of the log."""
    recipe = RECIPES[name]
    generator, sha = load_generator(recipe.generator)
    codes, test = codes_of(recipe.generator, generator, options.runs)
    grids, plain, held_out = split_of(recipe, codes)
    histogram = histogram_of(plain, generator.space.codebook_size)
    model = build(recipe, generator, histogram)
    figures: dict[str, Any] = {"decoder_sha256": sha, "weights": sum(p.numel() for p in model.parameters())}
    if options.given is None:
        start = time.perf_counter()
        history = fit(name, model, grids, held_out, options.runs)
        figures |= {"steps": history.step[-1], "seconds": round(time.perf_counter() - start)}
    else:
        tensors, _ = _checkpoint.load(options.given, kind="prior")
        model.load_state_dict(tensors)
        figures |= {"steps": options.steps or recipe.steps, "seconds": options.seconds, "made": options.made}
    tensors = half(model.state_dict())
    model.load_state_dict(tensors)
    figures |= worth(model.eval(), histogram, held_out, test[: options.grids])
    if not isinstance(model, PixelCNN):  # a judge says what it learnt
        figures["cost"] = round(cost_beside(generator, model, held_out[:1]), 4)
        figures["temperature"] = round(typical_temperature(model, held_out, ls.Noise.from_seed(recipe.seed)), 3)
    figures["sha256"] = digest(tensors)
    header = {"kind": "prior", "class": type(model).__name__, "settings": model.settings, "figures": figures}
    _checkpoint.save(options.weights / f"{name}.safetensors", tensors, header)
    return figures


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", default=list(RECIPES))
    parser.add_argument("--runs", type=Path, default=Path("runs"))
    parser.add_argument("--weights", type=Path, default=WEIGHTS)
    parser.add_argument("--grids", type=int, default=1000, help="test grids whose bits are measured")
    parser.add_argument("--from", dest="given", type=Path, help="tensors that were trained before, of one name")
    parser.add_argument("--made", default="", help="with --from: how they were made")
    parser.add_argument("--steps", type=int, help="with --from: how many there were")
    parser.add_argument("--seconds", type=int, help="with --from: how long it took")
    options = parser.parse_args()
    torch.set_num_threads(1)
    for name in options.names:
        figures = train(name, options)
        print(name, figures, flush=True)
        log = json.loads(LOG.read_text()) if LOG.exists() else {}
        LOG.write_text(json.dumps(log | {name: figures}, indent=1) + "\n")


if __name__ == "__main__":
    main()
