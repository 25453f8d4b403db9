"""Semi-supervised MNIST: section 6.1 and Figure 3 of *Direct optimization through arg max for discrete VAEs*.

The pictures are binarised once. Training sees the first 50,000 of MNIST's training pictures and the labels
of a few of them, as many of each class; every choice was made on the last 10,000, and the test pictures are
looked at once a run, at its end.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from data import mnist
from torch import Tensor, nn

from latentsearch import _checkpoint, models
from latentsearch.models import MixedVAE
from latentsearch.noise import Noise
from latentsearch.relaxations import DirectArgmax, GumbelSoftmax

CLASSES, TRAIN, BATCH = 10, 50_000, 200
COUNTS = (50, 100, 300, 600)
METHODS = ("direct", "gsm")
BINARISED, LABELLED, MOVED = 2018, 600, 7  # seeds: of the pixels, of who is labelled (with the run's own), of guesses


@dataclass(frozen=True)
class Split:
    """Binary pictures `(N, 1, 28, 28)` and labels `(N,)`."""

    images: Tensor
    labels: Tensor

    def __getitem__(self, rows: Tensor | slice) -> Split:
        return Split(self.images[rows], self.labels[rows])


@dataclass(frozen=True)
class Recipe:
    """How a model is trained; the same for every method.

    Attributes:
        epochs: Passes over the training pictures with the whole loss.
        warm_epochs: Passes before that, of the discrete encoder alone.
        more_epochs: Both, where a run goes on from one with fewer labels; None if each begins anew.
        labelled: Labelled pictures in each batch, beside the 200 others.
        consistency: Weight of the cross-entropy between the classes of a picture and of the same one moved.
        balance: Weight of KL(mean q(class) || uniform) over a batch.
        sure: Chance from which a class that the warm model sees is taken for a label; None for never.
        dropout: In the continuous encoder.
        top: Codes whose losses `DirectArgmax` looks at; None for all ten.
        learning_rate: Adam's, falling to nothing along a cosine.
        warm_learning_rate: The same, in the warm passes.
    """

    epochs: int
    warm_epochs: int = 0
    more_epochs: tuple[int, int] | None = None
    labelled: int = 50
    consistency: float = 0.0
    balance: float = 0.0
    sure: float | None = None
    dropout: float = 0.5
    top: int | None = None
    learning_rate: float = 1e-3
    warm_learning_rate: float = 2e-3


RECIPES = {
    "paper": Recipe(epochs=4),
    "ours": Recipe(
        epochs=4, warm_epochs=8, more_epochs=(1, 2), consistency=5.0, balance=5.0, sure=0.9, dropout=0.0, top=3,
        learning_rate=2e-3,
    ),
}  # fmt: skip


# -- data -------------------------------------------------------------------------------------------


def binarised(images: Tensor, noise: Noise, block: int = 5000) -> Tensor:
    """One Bernoulli draw a pixel, of its grey value; each picture has its own luck."""
    luck = noise.split(len(images))
    parts = range(0, len(images), block)
    return torch.cat([(luck[at : at + block].uniform(1, 28, 28) < images[at : at + block]).float() for at in parts])


def load() -> dict[str, Split]:
    """`train`, `validation` and `test`."""
    noise = Noise.from_seed(BINARISED)
    images, labels = mnist("train")
    both = Split(binarised(images, noise.fold(0)), labels)
    images, labels = mnist("test")
    test = Split(binarised(images, noise.fold(1)), labels)
    return {"train": both[:TRAIN], "validation": both[TRAIN:], "test": test}


def labelled_rows(labels: Tensor, count: int, seed: int) -> Tensor:
    """`count` rows, as many of each class; those of a smaller count are among those of a larger."""
    order = Noise.from_seed(LABELLED).fold(seed).uniform(len(labels))[0].argsort()
    shuffled = labels[order]
    return torch.cat([order[shuffled == digit][: count // CLASSES] for digit in range(CLASSES)])


def moved(images: Tensor, noise: Noise) -> Tensor:
    """Pictures turned, sheared, scaled and shifted a little, each by its own luck, and binarised anew."""
    luck = noise.split(len(images))
    turn, shear, wide, tall, right, down = (2 * luck.fold(1).uniform(6) - 1).unbind(1)
    turn, shear, wide, tall = 0.125 * turn, 0.1 * shear, 1 + 0.075 * wide, 1 + 0.075 * tall
    right, down = 0.07 * right, 0.07 * down  # a pixel
    cos, sin = turn.cos(), turn.sin()
    rows = [wide * cos, wide * (shear * cos - sin), right, tall * sin, tall * (shear * sin + cos), down]
    grid = F.affine_grid(torch.stack(rows, 1).view(-1, 2, 3), list(images.shape), align_corners=False)
    grey = F.grid_sample(images, grid, align_corners=False)
    return (luck.fold(2).uniform(*images.shape[1:]) < grey).to(images.dtype)


# -- what is trained --------------------------------------------------------------------------------


class SemiSupervised(nn.Module):
    """A model beside its labelled pictures, of which every step draws some: what `fit` trains.

    Labelled pictures are few, and a random batch would hold one in ten batches. They enter the loss of
    the labels alone (the second sum of equation 11): in the bound, drawn so often, they would be learnt by heart.

    Args:
        model: What is trained.
        labelled: Pictures with labels.
        recipe: How.
        whole: Whether the bound is part of the loss.
    """

    def __init__(self, model: MixedVAE, labelled: Split, recipe: Recipe, whole: bool = True) -> None:
        super().__init__()
        self.model, self.recipe, self.whole = model, recipe, whole
        self.register_buffer("images", labelled.images, persistent=False)
        self.register_buffer("labels", labelled.labels, persistent=False)

    def training_terms(self, images: Tensor, guessed: Tensor, noise: Noise) -> dict[str, Tensor]:
        rows = noise.fold(10).integers(len(self.labels), self.recipe.labelled)[0]
        labelled = Split(self.images[rows], self.labels[rows])
        if not self.whole:
            return self.consistency(images, labelled, noise)
        terms = self.model.training_terms(images, guessed, noise)
        pictures = moved(labelled.images, noise.fold(13)) if self.recipe.consistency else labelled.images
        return terms | {"labelled": self.supervised(self.model.logits(pictures), labelled.labels, noise)}

    def supervised(self, logits: Tensor, labels: Tensor, noise: Noise) -> Tensor:
        """The loss of the labels, as if the labelled pictures were rows of the batch."""
        share = len(labels) / (BATCH + len(labels))
        return share * self.model.supervise(logits, labels[:, None], noise.fold(12)).mean()

    def consistency(self, images: Tensor, labelled: Split, noise: Noise) -> dict[str, Tensor]:
        """A moved picture is of the same class: of the label's, or of the one that the model sees in it unmoved.

        Classes are kept equally likely on the whole, which is what the model's prior says: else one could
        take in another. Hu et al., *Learning discrete representations via information maximizing self-augmented
        training* (2017), cluster MNIST with no label at all by the same two terms.
        """
        logits = self.model.logits(moved(torch.cat([images, labelled.images]), noise.fold(11)))
        with torch.no_grad():
            target = (2 * self.model.logits(images)[:, 0]).softmax(-1)
        log_q = logits[: len(images), 0].log_softmax(-1)
        mean = log_q.exp().mean(0)
        return {
            "consistency": -self.recipe.consistency * (target * log_q).sum(-1).mean(),
            "balance": self.recipe.balance * ((mean * mean.log()).sum() + math.log(CLASSES)),
            "labelled": self.supervised(logits[len(images) :], labelled.labels, noise),
        }


@torch.no_grad()
def guesses(model: MixedVAE, images: Tensor, sure: float | None, copies: int = 8) -> Tensor:
    """`(N,)`: the class the model sees in each picture, on average over moved copies; -1 where it is not sure."""
    if sure is None:
        return torch.full((len(images),), -1)
    q = torch.zeros(len(images), CLASSES)
    for copy in range(copies):
        noise = Noise.from_seed(MOVED).fold(copy)
        parts = [moved(part, noise.fold(number)) for number, part in enumerate(images.split(1000))]
        q += torch.cat([model.logits(part)[:, 0].softmax(-1) for part in parts]) / copies
    chance, guess = q.max(-1)
    return guess.where(chance > sure, -1)


def build(method: str, recipe: Recipe, seed: int) -> MixedVAE:
    """A model before training."""
    with models.initialised(seed):
        if method == "direct":
            return MixedVAE(
                dropout=recipe.dropout, estimator=lambda width: DirectArgmax(epsilon=-width, top=recipe.top)
            )
        return MixedVAE(dropout=recipe.dropout, estimator=lambda heat: GumbelSoftmax(heat), supervision="cross_entropy")


def train(model: MixedVAE, recipe: Recipe, pictures: Tensor, labelled: Split, seed: int, name: str) -> dict[str, Any]:
    """The warm passes, the guesses, and the rest."""
    start, steps = time.perf_counter(), max(len(pictures) // BATCH, 1)

    def report(step: int, history: models.History) -> None:
        terms = {term: round(values[-1], 3) for term, values in history.train.items()}
        print(f"  {name} {step} {time.perf_counter() - start:.0f} s", terms, flush=True)

    settings = {"batch_size": BATCH, "seed": seed, "log_every": steps, "report": report}
    guess = guesses(model, pictures, None)
    if recipe.warm_epochs:
        warm = SemiSupervised(model, labelled, recipe, whole=False)
        models.fit(warm, (pictures, guess), steps=steps * recipe.warm_epochs,
                   learning_rate=recipe.warm_learning_rate, **settings)  # fmt: skip
        guess = guesses(model, pictures, recipe.sure)
    whole = SemiSupervised(model, labelled, recipe)
    models.fit(whole, (pictures, guess), steps=steps * recipe.epochs, learning_rate=recipe.learning_rate, **settings)
    return {"guessed": round((guess >= 0).float().mean().item(), 4), "seconds": round(time.perf_counter() - start)}


@torch.no_grad()
def measure(model: MixedVAE, split: Split) -> dict[str, float]:
    """Accuracy of the likeliest class, and the negative bound with one hard draw a picture and exact divergences."""
    classes = torch.cat([model.logits(part)[:, 0].argmax(-1) for part in split.images.split(1000)])
    terms = models.evaluate(model, (split.images, torch.full_like(split.labels, -1)))
    return {
        "accuracy": round(100 * (classes == split.labels).float().mean().item(), 2),
        "bound": round(terms["expected_loss"] + terms["discrete_kl"], 2),
    }


# -- all runs ---------------------------------------------------------------------------------------


def longer(recipe: Recipe, times: int) -> Recipe:
    """The same with so many times the passes of the bound."""
    more = recipe.more_epochs and (recipe.more_epochs[0], times * recipe.more_epochs[1])
    return replace(recipe, epochs=times * recipe.epochs, more_epochs=more)


def weights(runs: Path, section: str, name: str) -> Path:
    return runs / f"argmax_semi-{section.replace(' ', '-')}-{name}.safetensors"


def chain(
    data: dict[str, Split], section: str, recipe: Recipe, method: str, seed: int, counts: tuple[int, ...], runs: Path,
    done: dict[str, Any],
) -> Iterator[tuple[str, dict[str, Any]]]:  # fmt: skip
    """The runs of one method and seed, from few labels to many; what is done already is not done again.

    With `more_epochs` each goes on from the last, whose labels are among its own.
    """
    model = build(method, recipe, seed)
    for count in counts:
        name = f"{method}-{count}-{seed}"
        path = weights(runs, section, name)
        if name in done and path.exists():
            model.load_state_dict(_checkpoint.load(path, kind="model")[0])
        if name not in done:
            first = recipe.more_epochs is None or count == counts[0]
            if recipe.more_epochs is None:
                model = build(method, recipe, seed)
            warm, epochs = (recipe.warm_epochs, recipe.epochs) if first else recipe.more_epochs or (0, 0)
            own = replace(recipe, warm_epochs=warm, epochs=epochs)
            labelled = data["train"][labelled_rows(data["train"].labels, count, seed)]
            figures = train(model.train(), own, data["train"].images, labelled, seed, name)
            _checkpoint.save(path, model.state_dict(), {"kind": "model", "settings": model.settings})
            scores = {which: measure(model, data[which]) for which in ("validation", "test")}
            own_settings = {k: v for k, v in asdict(own).items() if k != "more_epochs"}
            yield name, {**scores, **figures, "seed": seed, "goes_on": not first, "settings": own_settings}
