"""Attributes switched on and off: Figures 4 and 8 of *Direct optimization through arg max*, with digits for faces.

Eight rules read an attribute each off an image. A MixedVAE with eight binary variables learns them from the
labels of some images; the same rules then judge what it makes of combinations asked for.
"""

from __future__ import annotations

import itertools
import math
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from data import mnist
from torch import Tensor, nn
from torch.func import functional_call

from argmax import semi
from argmax.digits import TRAIN
from latentsearch import _checkpoint, models, training
from latentsearch.noise import Noise
from latentsearch.relaxations import DirectArgmax

NAMES = ("thick", "slanted", "wide", "tall", "looped", "top-heavy", "left-heavy", "full middle")
LABELLED, STYLE = 5000, 16  # labelled images of the 50,000; elements of the style
BATCH, JUDGED = 100, 1000  # a step; images behind each share
_LINE = torch.linspace(-1, 1, 28)


# -- the rules --------------------------------------------------------------------------------------


def measures(images: Tensor) -> Tensor:
    """`(N, 8)`: for images `(N, 1, 28, 28)` in [0, 1], how much each has of what the names say."""
    ink = images[:, 0]
    mass = ink.sum((1, 2)).clamp(min=1e-3)
    x, y = _LINE[None, None, :], _LINE[None, :, None]
    middle_x, middle_y = ((ink * axis).sum((1, 2)) / mass for axis in (x, y))
    dx, dy = x - middle_x[:, None, None], y - middle_y[:, None, None]
    width, height, tilt = ((ink * moment).sum((1, 2)) / mass for moment in (dx**2, dy**2, dx * dy))
    outline = ink.diff(dim=1).abs().sum((1, 2)) + ink.diff(dim=2).abs().sum((1, 2))
    top, left = _share_before_middle(ink.sum(2)), _share_before_middle(ink.sum(1))
    full = ink[:, 10:18, 10:18].sum((1, 2)) / mass
    # Upwards is towards smaller y: a stroke that leans to the right has x and y fall together.
    return torch.stack([mass / outline.clamp(min=1e-3), -tilt / height, width, height, holes(ink), top, left, full], 1)


def _share_before_middle(profile: Tensor) -> Tensor:
    """`(N,)`: the ink of each `(N, 28)` profile before the middle of where there is any."""
    some = profile > 0.5
    first = some.float().argmax(1)
    last = 27 - some.flip(1).float().argmax(1)
    place = torch.arange(28.0)
    weight = ((first + last)[:, None] / 2 - place + 0.5).clamp(0, 1)
    return (profile * weight).sum(1) / profile.sum(1).clamp(min=1e-3)


def holes(ink: Tensor, least: int = 3) -> Tensor:
    """`(N,)`: pixels of paper that ink encloses, if there are a few."""
    from scipy import ndimage

    filled = [int((ndimage.binary_fill_holes(one) & ~one).sum()) for one in (ink > 0.5).numpy()]
    count = torch.tensor(filled, dtype=torch.float32)
    return count.where(count >= least, 0.0)


def thresholds(measured: Tensor) -> Tensor:
    """`(8,)`: the medians, so that half of all images have each attribute; a loop is any at all."""
    middle = measured.median(0).values
    middle[NAMES.index("looped")] = 0.0
    return middle


# -- training and judging -----------------------------------------------------------------------------


def build(seed: int) -> models.MixedVAE:
    """Eight binary variables, and a style that is held while they are switched."""
    with training.initialised(seed):
        return models.MixedVAE(
            variables=len(NAMES), categories=2, style=STYLE, shared_style=True, dropout=0.0,
            estimator=lambda width: DirectArgmax(epsilon=-width),
        )  # fmt: skip


class Asked(nn.Module):
    """A model, and the constraint that what is asked for can be read off: what `fit` trains.

    The bound alone is content to put attributes into the style too, and a decoder that finds them
    there does not listen to the codes. So images' styles are decoded with attributes switched at random, and
    the model's own encoder, held fixed, is to read off what was asked for, as in Hu et al., *Toward controlled
    generation of text* (2017). It sees binary draws: shades that a drawn image lacks cannot please it.

    Args:
        model: What is trained.
        weight: Of the constraint; 0 for the bound and the labels alone.
    """

    def __init__(self, model: models.MixedVAE, weight: float) -> None:
        super().__init__()
        self.model, self.weight = model, weight

    def training_terms(self, images: Tensor, labels: Tensor, noise: Noise) -> dict[str, Tensor]:
        terms = self.model.training_terms(images, labels, noise)
        return terms | {"asked": self.weight * self.misread(images, noise.fold(10))} if self.weight else terms

    def misread(self, images: Tensor, noise: Noise) -> Tensor:
        """Cross-entropy of the codes asked for, in nats an image; its gradient reaches the decoder alone."""
        with torch.no_grad():
            codes, style = self.model.encode(images)
        asked = codes ^ noise.fold(0).integers(2, *codes.shape)[0]
        chance = self.model.decode(asked, style)
        drawn = (noise.fold(1).uniform(*chance.shape)[0] < chance).to(chance.dtype)
        shades = drawn + chance - chance.detach()
        features = functional_call(self.model.trunk, _fixed(self.model.trunk), (shades,))
        logits = functional_call(self.model.discrete, _fixed(self.model.discrete), (features,))
        return F.cross_entropy(logits.view(-1, 2), asked.view(-1)) * len(NAMES)


def _fixed(module: nn.Module) -> dict[str, Tensor]:
    return {name: parameter.detach() for name, parameter in module.named_parameters()}


def weights(runs: Path, weight: float, seed: int) -> Path:
    return runs / f"argmax_attributes-{weight:g}-{seed}.safetensors"


def load() -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Binary training images and what the rules say of them, `(N, 8)` int64; the same of the test images."""
    data = semi.load()
    grey = [measures(mnist(which)[0]) for which in ("train", "test")]
    limit = thresholds(grey[0][:TRAIN])
    says = [(measured > limit).long() for measured in grey]
    return data["train"].images, says[0][:TRAIN], data["test"].images, says[1]


def limits() -> Tensor:
    """The thresholds, from the training images' grey values."""
    return thresholds(measures(mnist("train")[0][:TRAIN]))


def run(
    seed: int, epochs: int, weight: float, runs: Path, done: dict[str, Any]
) -> Iterator[tuple[str, dict[str, Any]]]:
    """Train one model and judge it, unless the log has it."""
    name = f"{epochs} epochs, seed {seed}"
    if name in done:
        return
    images, says, test_images, test_says = load()
    chosen = Noise.from_seed(semi.LABELLED).fold(seed).uniform(len(images))[0].argsort()[:LABELLED]
    labels = torch.full_like(says, -1)
    labels[chosen] = says[chosen]
    model, start = build(seed), time.perf_counter()

    def report(entry: training.Entry) -> None:
        terms = {term: round(values[-1], 3) for term, values in entry.history.train.items()}
        print(f"  {name} {entry.step} {time.perf_counter() - start:.0f} s", terms, flush=True)

    steps, half = len(images) // BATCH, weights(runs, weight, seed).with_suffix(".fit")
    plan = training.Fit(
        steps * epochs, BATCH, partial(torch.optim.Adam, lr=2e-3), log_every=steps, callbacks=[report], checkpoint=half
    )
    training.fit(Asked(model, weight), (images, labels), plan, seed=seed)
    seconds = round(time.perf_counter() - start)
    _checkpoint.save(weights(runs, weight, seed), model.state_dict(), {"kind": "model", "settings": model.settings})
    half.unlink()
    terms = training.evaluate(model, (test_images, torch.full_like(test_says, -1)))
    entry = {"read_off": shares(model.logits(test_images).argmax(-1) == test_says)}
    entry |= judged(model, test_images[:JUDGED], limits(), seed)
    bound = round(terms["expected_loss"] + terms["discrete_kl"], 2)
    yield (
        name,
        {
            **entry,
            "bound": bound,
            "asked": weight,
            "seed": seed,
            "epochs": epochs,
            "labelled": LABELLED,
            "seconds": seconds,
        },
    )


def shares(right: Tensor) -> dict[str, float]:
    """Per cent of `(N, 8)` bools, by attribute."""
    return {name: round(100 * share, 1) for name, share in zip(NAMES, right.float().mean(0).tolist(), strict=True)}


@torch.no_grad()
def judged(model: models.MixedVAE, images: Tensor, limit: Tensor, seed: int) -> dict[str, Any]:
    """How often the rules find an attribute as it was asked for.

    `switched`: of a test image's own code and style, one attribute is turned to the other value.
    `any`: all eight are asked for at random, with a style from the prior.
    """
    codes, style = model.encode(images)
    switched = []
    for which in range(len(NAMES)):
        asked = codes.clone()
        asked[:, which] = 1 - asked[:, which]
        switched.append((measures(model.decode(asked, style)) > limit)[:, which] == asked[:, which].bool())
    noise = Noise.from_seed(seed).fold(20)
    asked = noise.fold(0).integers(2, len(images), len(NAMES))[0]
    drawn = model.decode(asked, noise.fold(1).normal(len(images), *model.style_shape)[0])
    found = measures(drawn) > limit
    return {"switched": shares(torch.stack(switched, 1)), "any": shares(found == asked.bool())}


def table(log: dict[str, Any]) -> str:
    """Markdown: per attribute, how often it is read off, and found as asked for."""
    rows = [["attribute", "read off", "switched alone", "in any combination"], ["---"] * 4]
    for entry in log.values():
        rows += [[name, *(f"{entry[kind][name]} %" for kind in ("read_off", "switched", "any"))] for name in NAMES]
        means = [math.fsum(entry[kind].values()) / len(NAMES) for kind in ("read_off", "switched", "any")]
        rows.append(["mean", *(f"{mean:.1f} %" for mean in means)])
    return "\n".join("| " + " | ".join(row) + " |" for row in rows)


@torch.no_grad()
def switches(model: models.MixedVAE, images: Tensor) -> list[Tensor]:
    """Figure 4: for each image `(10, 1, 28, 28)`, itself, decoded, and decoded with each attribute switched."""
    rows = []
    for image, code, style in zip(images, *model.encode(images), strict=True):
        asked = code.repeat(1 + len(NAMES), 1)
        each = torch.arange(len(NAMES))
        asked[1 + each, each] = 1 - asked[1 + each, each]
        rows.append(torch.cat([image[None], model.decode(asked, style.expand(len(asked), -1))]))
    return rows


@torch.no_grad()
def combinations(model: models.MixedVAE, of: tuple[str, ...], styles: int, seed: int = 0) -> dict[str, Tensor]:
    """Figure 8: for every combination of some attributes `(styles, 1, 28, 28)`; a column is one draw of all else."""
    noise = Noise.from_seed(seed).fold(21)
    codes = noise.fold(0).integers(2, styles, len(NAMES))[0]
    style = noise.fold(1).normal(styles, *model.style_shape)[0]
    found = {}
    for values in itertools.product((0, 1), repeat=len(of)):
        asked = codes.clone()
        asked[:, [NAMES.index(name) for name in of]] = torch.tensor(values)
        words = [name if value else f"not {name}" for name, value in zip(of, values, strict=True)]
        found[", ".join(words)] = model.decode(asked, style)
    return found
