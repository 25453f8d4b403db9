"""Semi-supervised MNIST: section 6.1 and Figure 3 of *Direct optimization through arg max for discrete VAEs*.

The images are binarised once. Training sees the first 50,000 of MNIST's training images and the labels
of a few of them, as many of each class; every choice was made on the last 10,000, and the test images are
looked at once a run, at its end.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from data import mnist
from torch import Tensor, nn

from argmax.digits import SEED, TRAIN, drawn
from latentsearch import _checkpoint, training
from latentsearch.models import MixedVAE
from latentsearch.noise import Noise
from latentsearch.relaxations import DirectArgmax, GumbelSoftmax

CLASSES = 10
COUNTS = (50, 100, 300, 600)
METHODS = ("direct", "gsm")
LABELLED, MOVED = 600, 7  # seeds: of who is labelled (with the run's own), of guesses


@dataclass(frozen=True)
class Split:
    """Binary images `(N, 1, 28, 28)` and labels `(N,)`."""

    images: Tensor
    labels: Tensor

    def __getitem__(self, rows: Tensor | slice) -> Split:
        return Split(self.images[rows], self.labels[rows])


@dataclass(frozen=True)
class Recipe:
    """How a model is trained; the same for every method.

    Attributes:
        epochs: Passes over the training images with the whole loss.
        warm_epochs: Passes before that, of the discrete encoder alone.
        more_epochs: Both, where a run goes on from one with fewer labels; None if each begins anew.
        batch: Images a step.
        warm_batch: The same, in the warm passes.
        labelled: Labelled images a step, beside the others.
        consistency: Weight of the cross-entropy between the classes of an image and of the same one moved.
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
    batch: int = 100
    warm_batch: int = 200
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
        epochs=3, warm_epochs=12, more_epochs=(2, 1), consistency=5.0, balance=5.0, sure=0.9, dropout=0.0, top=3,
        learning_rate=2e-3,
    ),
}  # fmt: skip


# -- data -------------------------------------------------------------------------------------------


def load() -> dict[str, Split]:
    """`train`, `validation` and `test`."""
    noise = Noise.from_seed(SEED)
    images, labels = mnist("train")
    both = Split(drawn(images, noise.fold(0)), labels)
    images, labels = mnist("test")
    test = Split(drawn(images, noise.fold(1)), labels)
    return {"train": both[:TRAIN], "validation": both[TRAIN:], "test": test}


def labelled_rows(labels: Tensor, count: int, seed: int) -> Tensor:
    """`count` rows, as many of each class; those of a smaller count are among those of a larger."""
    order = Noise.from_seed(LABELLED).fold(seed).uniform(len(labels))[0].argsort()
    shuffled = labels[order]
    return torch.cat([order[shuffled == digit][: count // CLASSES] for digit in range(CLASSES)])


def moved(images: Tensor, noise: Noise) -> Tensor:
    """Images turned, sheared, scaled and shifted a little, each by its own randomness, and binarised anew."""
    draws = noise.split(len(images))
    turn, shear, wide, tall, right, down = (2 * draws.fold(1).uniform(6) - 1).unbind(1)
    turn, shear, wide, tall = 0.125 * turn, 0.1 * shear, 1 + 0.075 * wide, 1 + 0.075 * tall
    right, down = 0.07 * right, 0.07 * down  # a pixel
    cos, sin = turn.cos(), turn.sin()
    rows = [wide * cos, wide * (shear * cos - sin), right, tall * sin, tall * (shear * sin + cos), down]
    grid = F.affine_grid(torch.stack(rows, 1).view(-1, 2, 3), list(images.shape), align_corners=False)
    grey = F.grid_sample(images, grid, align_corners=False)
    return (draws.fold(2).uniform(*images.shape[1:]) < grey).to(images.dtype)


# -- what is trained --------------------------------------------------------------------------------


class SemiSupervised(nn.Module):
    """A model beside its labelled images, of which every step draws some: what `fit` trains.

    Labelled images are few, and a random batch would hold one in ten batches. They enter the loss of
    the labels alone (the second sum of equation 11): in the bound, drawn so often, they would be learnt by heart.

    Args:
        model: What is trained.
        labelled: Images with labels.
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
        terms = self.model.training_terms(images, guessed, noise) if self.whole else {}
        if self.recipe.consistency:
            return terms | self.consistency(images, labelled, noise)
        share = self.recipe.labelled / (len(images) + self.recipe.labelled)
        return terms | {"labelled": self.supervised(self.model.logits(labelled.images), labelled.labels, share, noise)}

    def supervised(self, logits: Tensor, labels: Tensor, share: float, noise: Noise) -> Tensor:
        """The loss of the labels, whose images are a share of the batch."""
        return share * self.model.supervise(logits, labels[:, None], noise.fold(12)).mean()

    def consistency(self, images: Tensor, labelled: Split, noise: Noise) -> dict[str, Tensor]:
        """A moved image is of the same class: of the label's, or of the one that the model sees in it unmoved.

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
            "labelled": self.supervised(
                logits[len(images) :], labelled.labels, len(labelled.labels) / len(logits), noise
            ),
        }


@torch.no_grad()
def guesses(model: MixedVAE, images: Tensor, sure: float | None, copies: int = 8) -> Tensor:
    """`(N,)`: the class the model sees in each image, on average over moved copies; -1 where it is not sure."""
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
    with training.initialised(seed):
        if method == "direct":
            return MixedVAE(
                dropout=recipe.dropout, estimator=lambda width: DirectArgmax(epsilon=-width, top=recipe.top)
            )
        return MixedVAE(dropout=recipe.dropout, estimator=lambda heat: GumbelSoftmax(heat), supervision="cross_entropy")


def train(
    model: MixedVAE, recipe: Recipe, data: dict[str, Split], rows: Tensor, seed: int, path: Path
) -> dict[str, Any]:
    """The warm passes, the guesses, and the rest; where they were cut short they go on from files beside ``path``."""
    images, start = data["train"].images, time.perf_counter()
    guess, figures = guesses(model, images, None), {}
    halves: list[Path] = []

    def passes(whole: bool, epochs: int, batch: int, learning_rate: float) -> None:
        steps = max(len(images) // batch, 1)

        def report(entry: training.Entry) -> None:
            terms = {term: round(values[-1], 3) for term, values in entry.history.train.items()}
            print(f"  {path.stem} {entry.step} {time.perf_counter() - start:.0f} s", terms, flush=True)

        trained = SemiSupervised(model, data["train"][rows], recipe, whole)
        halves.append(path.with_suffix(f".{'whole' if whole else 'warm'}.fit"))
        plan = training.Fit(
            steps * epochs, batch, partial(torch.optim.Adam, lr=learning_rate),
            log_every=steps, callbacks=[report], checkpoint=halves[-1],
        )  # fmt: skip
        training.fit(trained, (images, guess), plan, seed=seed)

    if recipe.warm_epochs:
        passes(False, recipe.warm_epochs, recipe.warm_batch, recipe.warm_learning_rate)
        guess = guesses(model, images, recipe.sure)
        figures["warm_accuracy"] = accuracy(model, data["validation"])
        print(f"  {path.stem} warm: {figures['warm_accuracy']} % of the validation images", flush=True)
    passes(True, recipe.epochs, recipe.batch, recipe.learning_rate)
    _checkpoint.save(path, model.state_dict(), {"kind": "model", "settings": model.settings})
    for half in halves:
        half.unlink()
    guessed = round((guess >= 0).float().mean().item(), 4)
    return {**figures, "guessed": guessed, "seconds": round(time.perf_counter() - start)}


@torch.no_grad()
def accuracy(model: MixedVAE, split: Split) -> float:
    """Per cent of images whose likeliest class is their label."""
    classes = torch.cat([model.logits(part)[:, 0].argmax(-1) for part in split.images.split(1000)])
    return round(100 * (classes == split.labels).float().mean().item(), 2)


def measure(model: MixedVAE, split: Split) -> dict[str, float]:
    """Accuracy, and the negative bound with one hard draw an image and exact divergences."""
    terms = training.evaluate(model, (split.images, torch.full_like(split.labels, -1)))
    bound = round(terms["expected_loss"] + terms["discrete_kl"], 2)
    return {"accuracy": accuracy(model, split), "bound": bound}


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

    With `more_epochs` each goes on from the weights of the last, whose labels are among its own.
    """
    last: Path | None = None
    for count in counts:
        name = f"{method}-{count}-{seed}"
        path = weights(runs, section, name)
        if name not in done:
            model, own = build(method, recipe, seed), recipe
            if last is not None and recipe.more_epochs is not None:
                model.load_state_dict(_checkpoint.load(last, kind="model")[0])
                own = replace(recipe, warm_epochs=recipe.more_epochs[0], epochs=recipe.more_epochs[1])
            figures = train(model, own, data, labelled_rows(data["train"].labels, count, seed), seed, path)
            scores = {which: measure(model, data[which]) for which in ("validation", "test")}
            settings = {k: v for k, v in asdict(own).items() if k != "more_epochs"}
            yield name, {**scores, **figures, "seed": seed, "goes_on": own is not recipe, "settings": settings}
        last = path


# -- what came out ------------------------------------------------------------------------------------

PAPER = {  # Figure 3
    "direct": {"accuracy": (95.51, 95.71, 95.94, 96.31), "bound": (104.15, 99.88, 99.89, 100.21)},
    "gsm": {"accuracy": (91.78, 94.79, 95.04, 95.53), "bound": (104.75, 100.17, 100.08, 100.38)},
}


def table(log: dict[str, Any], which: str = "test") -> str:
    """Figure 3 as Markdown: of each method and figure the mean over seeds, the extremes, and the paper's."""
    head = ["labels", *(f"{method}: {figure}" for figure in ("accuracy", "bound") for method in METHODS)]
    rows = [head, ["---"] * len(head)]
    for place, count in enumerate(COUNTS):
        cells = [
            _cell([run[which][figure] for name, run in log.items() if name.startswith(f"{method}-{count}-")],
                  PAPER[method][figure][place])
            for figure in ("accuracy", "bound") for method in METHODS
        ]  # fmt: skip
        rows.append([str(count), *cells])
    return "\n".join("| " + " | ".join(row) + " |" for row in rows)


def _cell(found: list[float], paper: float) -> str:
    if not found:
        return f"- (paper {paper})"
    spread = f" [{min(found)}, {max(found)}]" if len(found) > 1 else ""
    return f"{math.fsum(found) / len(found):.2f}{spread}, {len(found)} seeds (paper {paper})"


def load_model(path: Path) -> MixedVAE:
    """A model that a run wrote."""
    tensors, header = _checkpoint.load(path, kind="model")
    model = MixedVAE(**header["settings"])
    model.load_state_dict(tensors)
    return model.eval().requires_grad_(False)


def classes_by_style(model: MixedVAE, styles: int, seed: int = 0) -> list[Tensor]:
    """Figure 7: for each style `(10, 1, 28, 28)`, the ten classes."""
    draws = Noise.from_seed(seed).fold(21).split(styles).normal(*model.style_shape)
    digits = torch.arange(CLASSES)[:, None]
    return [model.decode(digits, draw.expand(CLASSES, *model.style_shape)) for draw in draws]
