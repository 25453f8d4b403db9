"""What is asked for, of which images, through which decoder; and the yardstick of each problem."""

from __future__ import annotations

import math
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

sys.path.append(str(Path(__file__).parents[2]))
from data import cifar10_subset, mnist

import latentsearch as ls
from codes_bench.generators import data_of, searched_classifier
from latentsearch.noise import Noise

ORDER_SEED, TUNING, MOST = 1, 32, 64  # images: a seeded permutation of the test set, the first ones for tuning
RADIUS = 8  # codes that an edit may change
_TRUTH_SEED = 7  # of planted codes
_INIT = 99  # the stream of starts

# One step of a byte, root mean square: two images this close are the same to a screen.
INVISIBLE = (1 / 255) ** 2


@dataclass(frozen=True)
class Problem:
    """Problems of one kind.

    Attributes:
        generator: The decoder.
        constraint: B problems.
        yardstick: ``(B,)``, the loss that counts as solved, and that losses are divided by.
        init: ``(B, *S)``, where every method starts.
        images: ``(B, C, H, W)``, the images behind the constraints.
        truth: ``(B, *S)``, the codes that reach the optimum, where they are known.
        label: ``(B,)``, the target class, where there is one.
    """

    generator: ls.CodebookGenerator
    constraint: ls.Constraint
    yardstick: Tensor
    init: Tensor
    images: Tensor
    truth: Tensor | None = None
    label: Tensor | None = None


@dataclass(frozen=True)
class Given:
    """What problems are made of: images of the generator's data, and others to start edits from."""

    generator: ls.CodebookGenerator
    data: str
    images: Tensor
    labels: Tensor
    others: Tensor
    init: Tensor

    def own(self) -> Tensor:
        """The model's own codes of the images."""
        return self.generator.encode(self.images)


def test_images(data: str, first: int, count: int) -> tuple[Tensor, Tensor]:
    """Test images that no model was trained on, and their labels."""
    images, labels = mnist("test") if data == "mnist" else cifar10_subset("test")
    order = torch.randperm(len(images), generator=torch.Generator().manual_seed(ORDER_SEED))[first : first + count]
    return images[order], labels[order]


def uniform_codes(generator: ls.CodebookGenerator, seed: int, count: int, stream: int) -> Tensor:
    space = generator.space
    return Noise.from_seed(seed, count).fold(stream).integers(space.codebook_size, *space.shape)


def match(images: Tensor) -> ls.Constraint:
    return ls.Matches(images)


def superresolution(images: Tensor) -> ls.Constraint:
    return ls.Downscales(torch.nn.functional.avg_pool2d(images, 4), factor=4, mode="area")


def inpainting(images: Tensor) -> ls.Constraint:
    mask = torch.ones(1, 1, *images.shape[2:])
    mask[..., images.shape[3] // 2 :] = 0
    return ls.Matches(images, mask=mask)


def bright(images: Tensor) -> ls.Constraint:
    """A rule without a gradient: as many bright pixels in the middle window as the true image has."""
    side = images.shape[-1]
    window = slice(side // 4, side - side // 4)

    def count(output: Tensor) -> Tensor:
        return (output.mean(1)[:, window, window] > 0.5).flatten(1).sum(1)

    target = count(images)

    def rule(output: Tensor, target: Tensor) -> Tensor:
        return (count(output) - target).abs().to(output.dtype)

    return ls.Satisfies(rule, targets=target, name="bright", differentiable=False)


def _of_images(constraint: Callable[[Tensor], ls.Constraint], least: float = 0.0) -> Callable[[Given], Problem]:
    """Problems whose yardstick is the loss of the model's own codes of the true image, ``least`` at least."""

    def make(given: Given) -> Problem:
        goal, own = constraint(given.images), given.own()
        yardstick = goal(given.generator.decode(own), own).loss.clamp(min=least)
        return Problem(given.generator, goal, yardstick, given.init, given.images)

    return make


def classified(given: Given) -> Problem:
    """Be of another class; as good as done where the asked classifier is 90 % sure."""
    label = (given.labels + 3) % 10
    constraint = ls.Classified(searched_classifier(given.data), label, threshold=None)
    yardstick = torch.full((len(label),), -math.log(0.9))
    return Problem(given.generator, constraint, yardstick, given.init, given.images, label=label)


def planted(given: Given) -> Problem:
    """Images that the decoder can make exactly, of random codes."""
    truth = uniform_codes(given.generator, _TRUTH_SEED, len(given.images), 0)
    images = given.generator.decode(truth)
    yardstick = torch.full((len(images),), INVISIBLE)
    return Problem(given.generator, ls.Matches(images), yardstick, given.init, images, truth)


def edit_inside(given: Given) -> Problem:
    """An image at most ``RADIUS`` codes away from the source."""
    source = given.generator.encode(given.others)
    noise = Noise.from_seed(_TRUTH_SEED, len(source))
    places = noise.fold(1).uniform(source[0].numel()).argsort(1)[:, :RADIUS]
    flat, size = source.flatten(1), given.generator.space.codebook_size
    # Never the code that is there already.
    codes = (flat.gather(1, places) + 1 + noise.fold(2).integers(size - 1, RADIUS)) % size
    truth = flat.scatter(1, places, codes).view_as(source)
    images = given.generator.decode(truth)
    yardstick = torch.full((len(images),), INVISIBLE)
    constraint = ls.Matches(images) + ls.Within(source, RADIUS)
    return Problem(given.generator, constraint, yardstick, source, images, truth)


def edit_outside(given: Given) -> Problem:
    """As much like another image as ``RADIUS`` codes allow."""
    source, own = given.generator.encode(given.others), given.own()
    yardstick = ls.Matches(given.images)(given.generator.decode(own), own).loss
    constraint = ls.Matches(given.images) + ls.Within(source, RADIUS)
    return Problem(given.generator, constraint, yardstick, source, given.images)


TASKS: dict[str, Callable[[Given], Problem]] = {
    "match": _of_images(match),
    "x4": _of_images(superresolution),
    "inpaint": _of_images(inpainting),
    "classified": classified,
    "bright": _of_images(bright, least=1.0),
    "edit-inside": edit_inside,
    "edit-outside": edit_outside,
    "planted": planted,
}
EXACT = ("edit-inside", "planted")  # whose optimum is 0 and known


@torch.no_grad()
def make(generator: ls.CodebookGenerator, name: str, task: str, count: int, seed: int, tuning: bool = False) -> Problem:
    """The first ``count`` problems, from images of the data that the model knows; others for tuning."""
    data = data_of(name)
    images, labels = test_images(data, 0 if tuning else TUNING, count)
    others = test_images(data, TUNING + MOST, count)[0]
    init = uniform_codes(generator, seed, count, _INIT)
    return TASKS[task](Given(generator, data, images, labels, others, init))
