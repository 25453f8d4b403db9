"""Test bounds of discrete VAEs, estimator by estimator: Figures 2, 5 and 6 of the paper."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from argmax import digits
from latentsearch import _checkpoint
from latentsearch.models import DiscreteVAE
from latentsearch.noise import Noise
from latentsearch.relaxations import (
    Annealed,
    DirectArgmax,
    GumbelRao,
    GumbelSoftmax,
    LocalExpectation,
    Loss,
    Rebar,
    ReinMax,
    Relax,
    Rloo,
)  # fmt: skip
from latentsearch.training import Entry, Fit, History, cosine, fit, initialised

BATCH, SAMPLES, RATE = 100, 100, 1e-3
EPOCHS = 300  # of the paper's public code, whose schedule is stretched over what is trained here


@dataclass(frozen=True)
class Setting:
    """A row of the tables: n variables of k categories, and the networks."""

    variables: int
    categories: int
    hidden: tuple[int, ...] = ()
    grey: bool = False  # grey images and squared errors, as in Figure 6
    threshold: bool = False  # images cut at one half in place of drawn


_OF_THE_PAPER = {
    "20x10": Setting(20, 10),
    "20x2": Setting(20, 2),
    "1x40": Setting(1, 40),
    "1x8": Setting(1, 8),
    "3x2": Setting(3, 2),
    "1x64": Setting(1, 64),
    "6x2": Setting(6, 2),
    # The networks of the paper's public code, where its text says linear layers.
    "20x10, 300 hidden": Setting(20, 10, hidden=(300,)),
    "20x2, 300 hidden": Setting(20, 2, hidden=(300,)),
    "1x40, 300 hidden": Setting(1, 40, hidden=(300,)),
}
SETTINGS: Mapping[str, Setting] = {
    **{f"{name}, threshold": replace(setting, threshold=True) for name, setting in _OF_THE_PAPER.items()},
    **_OF_THE_PAPER,
    "6x10, deep, grey": Setting(6, 10, hidden=(400, 200), grey=True),
    "30x2, deep, grey": Setting(30, 2, hidden=(400, 200), grey=True),
}


@dataclass(frozen=True)
class Fitting:
    """How long, and at which rate; the same for all methods of one table."""

    epochs: int
    rate: float = RATE
    decay: bool = False
    warm_up: int = 0
    compiled: bool = False
    device: str = "cpu"

    def __str__(self) -> str:
        warm_up = f", KL from 0 in {self.warm_up}" if self.warm_up else ""
        return f"{self.epochs} epochs, {self.rate:g}{' cosine' if self.decay else ''}{warm_up}"


class Enumerated:
    """The exact gradient of the expected loss, by decoding every grid: the control for small spaces."""

    unbiased = True

    def evaluations(self, shape: tuple[int, ...], codes: int) -> int:
        return 1 + int(codes ** torch.Size(shape).numel())

    def __call__(self, logits: Tensor, f: Loss, noise: Noise) -> Tensor:
        z = noise.categorical(logits.detach())
        value = f(z, torch.arange(len(z)))
        grids = torch.tensor(list(itertools.product(range(logits.shape[-1]), repeat=logits.shape[1])))
        with torch.no_grad():
            loss = torch.stack([f(grid.expand(len(z), -1), torch.arange(len(z))) for grid in grids], 1)
        log_q = logits.log_softmax(-1)[:, torch.arange(logits.shape[1]), grids].sum(-1)
        expected = (log_q.exp() * loss).sum(1)
        return value + (expected - expected.detach())


def _control_network(setting: Setting) -> nn.Module:
    size = setting.variables * setting.categories
    return nn.Sequential(nn.Flatten(), nn.Linear(size, 100), nn.ReLU(), nn.Linear(100, 1))


# What each method gives to `DiscreteVAE`; temperatures and epsilons fall as in section 6.1.
METHODS: Mapping[str, Callable[[Setting], dict[str, Any]]] = {
    "direct": lambda s: {"estimator": lambda epsilon: DirectArgmax(-epsilon)},
    "direct, two-sided": lambda s: {"estimator": lambda epsilon: DirectArgmax(epsilon, two_sided=True)},
    "gumbel-softmax": lambda s: {"estimator": GumbelSoftmax},
    "gumbel-softmax, hard": lambda s: {"estimator": lambda tau: GumbelSoftmax(tau, hard=True)},
    "gumbel-rao": lambda s: {"estimator": lambda tau: GumbelRao(tau, samples=8)},
    "reinmax": lambda s: {"estimator": ReinMax()},
    "rloo": lambda s: {"estimator": Rloo(4)},
    "rebar": lambda s: {"estimator": Rebar(learn=True)},
    "relax": lambda s: {"estimator": Relax(_control_network(s), learn=True)},
    "local expectation": lambda s: {"estimator": LocalExpectation()},
    # Of every variable the likeliest two categories alone, where a decode of each swap is dear.
    "direct, top 2": lambda s: {"estimator": lambda epsilon: DirectArgmax(-epsilon, top=2)},
    "local expectation, top 2": lambda s: {"estimator": LocalExpectation(top=2)},
    "enumerated": lambda s: {"estimator": Enumerated()},
    "direct, no KL in the encoder": lambda s: {"estimator": lambda epsilon: DirectArgmax(-epsilon)},
    # Widths and temperatures that stay as they are: is it the schedule that is to blame?
    "direct, epsilon 0.1": lambda s: {"estimator": DirectArgmax(-0.1)},
    "direct, epsilon 0.03": lambda s: {"estimator": DirectArgmax(-0.03)},
    "gumbel-softmax, temperature 0.5": lambda s: {"estimator": GumbelSoftmax(0.5)},
}


class WithoutKL(DiscreteVAE):
    """As the paper's public code trains `direct`: the KL is reported, and moves nothing."""

    def training_terms(self, images: Tensor, noise: Noise) -> dict[str, Tensor]:
        terms = super().training_terms(images, noise)
        return terms | {"kl": terms["kl"].detach()} if self.training else terms


def schedule(epochs: int) -> Annealed:
    """That of section 6.1, 1e-5 a step from 1 to at least 0.1, as far as it comes in 300 epochs.

    With fewer epochs it falls faster, or a temperature would hardly have left 1 when training ends.
    """
    return Annealed(rate=1e-5 * EPOCHS / epochs, every=max(1000 * epochs // EPOCHS, 1))


def model(setting: Setting, method: str, seed: int, fitting: Fitting) -> DiscreteVAE:
    """The model to be trained; first weights depend on the seed alone."""
    make = WithoutKL if method.endswith("no KL in the encoder") else DiscreteVAE
    with initialised(seed):
        return make(
            (1, 28, 28), variables=setting.variables, categories=setting.categories, hidden=setting.hidden,
            likelihood="gaussian" if setting.grey else "bernoulli", schedule=schedule(fitting.epochs),
            warm_up=fitting.warm_up * digits.TRAIN // BATCH, compiled=fitting.compiled,
            **METHODS[method](setting),
        )  # fmt: skip


def file_name(name: str, method: str, seed: int, fitting: Fitting) -> str:
    return f"{name}-{method}-{seed}-{fitting}".replace(",", "").replace(" ", "_")


def train(name: str, method: str, seed: int, fitting: Fitting, folder: Path) -> Any:
    """The record of one fit: the test bound of the epoch that validation chose, and the course."""
    setting = SETTINGS[name]
    data = digits.parts(threshold=setting.threshold, grey=setting.grey)
    net = model(setting, method, seed, fitting).to(fitting.device)
    data = {part: images.to(fitting.device) for part, images in data.items()}
    key = file_name(name, method, seed, fitting)
    best = folder / f"{key}.best.safetensors"
    folder.mkdir(parents=True, exist_ok=True)

    def keep(entry: Entry) -> None:
        course = totals(entry.history)
        if course[-1] == min(course):
            save_file(dict(net.state_dict()), best)
        print(f"{key}: epoch {len(course)}, validation {course[-1]:.2f}", flush=True)

    start = time.perf_counter()
    steps = len(data["train"]) // BATCH
    plan = Fit(
        fitting.epochs * steps, BATCH, partial(torch.optim.Adam, lr=fitting.rate),
        schedule=cosine if fitting.decay else None,
        log_every=steps, checkpoint=folder / f"{key}.safetensors", callbacks=[keep],
    )  # fmt: skip
    history = fit(net, (data["train"],), plan, validation=(data["validation"],), seed=seed)
    seconds = time.perf_counter() - start
    in_use = used(net, data["validation"])
    net.load_state_dict(load_file(best))
    course = totals(history)
    where = {} if fitting.device == "cpu" else {"device": torch.cuda.get_device_name(fitting.device)}
    return {
        "test": round(test_bound(net.eval(), data["test"]), 3),
        "epoch": course.index(min(course)) + 1,
        "validation": [round(value, 2) for value in course],
        "seconds": round(seconds),
        "used": in_use,
        **where,
    }


def used_by(name: str, method: str, seed: int, fitting: Fitting, folder: Path) -> int:
    """What the record of a fit has as `used`, of the weights that it left in a folder."""
    setting = SETTINGS[name]
    net = model(setting, method, seed, fitting)
    tensors, _ = _checkpoint.load(folder / f"{file_name(name, method, seed, fitting)}.safetensors", kind="fit")
    net.load_state_dict({key.removeprefix("model."): t for key, t in tensors.items() if key.startswith("model.")})
    return used(net.eval(), digits.parts(threshold=setting.threshold, grey=setting.grey)["validation"])


@torch.no_grad()
def used(net: DiscreteVAE, images: Tensor, least: int = 10) -> int:
    """How many categories, of all variables, are the likeliest ones of so many images at the last epoch."""
    z = net.encode(images)
    return sum(int((z[:, p].bincount() >= least).sum()) for p in range(z.shape[1]))


def totals(history: History) -> list[float]:
    """The validation bound at each entry: hard codes, one draw an image, exact KL."""
    return history.totals("sum")


def test_bound(net: DiscreteVAE, images: Tensor) -> float:
    """Nats an image: 100 hard draws for each, and the exact KL."""
    noise = Noise.from_seed(0)
    parts = [net.bound(part, noise.fold(n), samples=SAMPLES).sum() for n, part in enumerate(images.split(1000))]
    return float(sum(parts)) / len(images)
