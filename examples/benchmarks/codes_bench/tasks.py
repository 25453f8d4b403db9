"""What is wished, of which pictures, through which decoder; and the yardstick of each problem."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

sys.path.append(str(Path(__file__).parents[2]))
from data import cifar10_subset, mnist

import latentsearch as ls
from latentsearch import _checkpoint, models, zoo
from latentsearch.noise import Noise

GENERATORS = ("mnist-512", "mnist-40", "cifar10-8x8", "cifar10-16x16")
PAIRS_SEED, TUNING = 1, 32  # pictures: a seeded permutation of the test set, the first ones for tuning


@dataclass(frozen=True)
class Problem:
    """Problems of one kind.

    Attributes:
        generator: The decoder.
        wish: B problems.
        yardstick: ``(B,)``, the loss of the model's own codes of the true pictures.
        init: ``(B, *S)``, uniform random codes.
    """

    generator: ls.CodebookGenerator
    wish: ls.Constraint
    yardstick: Tensor
    init: Tensor


def pictures(data: str, first: int, count: int) -> Tensor:
    """Test pictures that no model was trained on."""
    images = mnist("test")[0] if data == "mnist" else cifar10_subset("test")[0]
    order = torch.randperm(len(images), generator=torch.Generator().manual_seed(PAIRS_SEED))
    return images[order[first : first + count]]


def load(name: str, runs: Path) -> ls.CodebookGenerator:
    """A wrapped model: the package's own for MNIST, those of `train_models.py` for CIFAR-10."""
    if name.startswith("mnist"):
        model = zoo.load("mnist-vqvae-512" if name == "mnist-512" else "mnist-vqvae-40")
    else:
        tensors, header = _checkpoint.load(runs / f"bench-{name}.safetensors", kind="model")
        model = models.VQVAE(**header["settings"])
        model.load_state_dict(tensors)
    wrapped = ls.wrap(model.eval().requires_grad_(False).to(memory_format=torch.channels_last))
    assert isinstance(wrapped, ls.CodebookGenerator)
    return wrapped


def match(images: Tensor) -> ls.Constraint:
    return ls.Matches(images)


def superresolution(images: Tensor) -> ls.Constraint:
    return ls.Downscales(torch.nn.functional.avg_pool2d(images, 4), factor=4, mode="area")


def inpainting(images: Tensor) -> ls.Constraint:
    mask = torch.ones(1, 1, *images.shape[2:])
    mask[..., images.shape[3] // 2 :] = 0
    return ls.Matches(images, mask=mask)


def bright(images: Tensor) -> ls.Constraint:
    """A rule without a gradient: as many bright pixels in the middle window as the true picture has."""
    side = images.shape[-1]
    window = slice(side // 4, side - side // 4)

    def count(output: Tensor) -> Tensor:
        return (output.mean(1)[:, window, window] > 0.5).flatten(1).sum(1)

    wanted = count(images)

    def rule(output: Tensor, wanted: Tensor) -> Tensor:
        return (count(output) - wanted).abs().to(output.dtype)

    return ls.Satisfies(rule, targets=wanted, name="bright", differentiable=False)


TASKS: dict[str, Callable[[Tensor], ls.Constraint]] = {
    "match": match,
    "x4": superresolution,
    "inpaint": inpainting,
    "bright": bright,
}


def make(generator: ls.CodebookGenerator, name: str, task: str, count: int, seed: int, tuning: bool) -> Problem:
    """Problems from pictures of the data that the model knows; other pictures for tuning."""
    images = pictures(name.split("-")[0], 0 if tuning else TUNING, TUNING if tuning else count)
    wish = TASKS[task](images)
    own = generator.encode(images)
    yardstick = wish(generator.decode(own), own).loss
    init = Noise.from_seed(seed, len(images)).fold(99).integers(generator.space.codebook_size, *generator.space.shape)
    return Problem(generator, wish, yardstick, init)
