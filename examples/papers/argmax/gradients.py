"""Bias and standard deviation of gradient estimates against the exact gradient: Figure 1 of the paper."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from argmax import digits
from argmax.bounds import BATCH, Enumerated
from latentsearch.models import DiscreteVAE
from latentsearch.noise import Noise
from latentsearch.relaxations import (
    DirectArgmax,
    Estimator,
    GumbelRao,
    GumbelSoftmax,
    LocalExpectation,
    Rebar,
    Reinforce,
    ReinMax,
    Rloo,
    StraightThrough,
)  # fmt: skip
from latentsearch.training import Fit, fit, initialised

WIDTHS = (0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 20.0)
TEMPERATURES = (0.1, 0.2, 0.5, 1.0, 2.0, 5.0)
DRAWS = 200  # as in the caption's text
# Variables, and steps of the fit. One variable is sure of its category after a few dozen steps: from there on
# there is hardly a gradient to estimate.
MODELS = {1: 10, 3: 500}

# By epsilon, by temperature, and with nothing to choose.
BY_WIDTH: Mapping[str, Callable[[float], Estimator]] = {
    "direct": lambda epsilon: DirectArgmax(-epsilon),
    "direct, two-sided": lambda epsilon: DirectArgmax(epsilon, two_sided=True),
}
BY_TEMPERATURE: Mapping[str, Callable[[float], Estimator]] = {
    "gumbel-softmax": GumbelSoftmax,
    "gumbel-softmax, hard": lambda tau: GumbelSoftmax(tau, hard=True),
    "gumbel-rao": lambda tau: GumbelRao(tau, samples=16),
    "rebar": Rebar,
}
FIXED: Mapping[str, Estimator] = {
    "local expectation": LocalExpectation(),
    "rloo, 2 draws": Rloo(2),
    "rloo, 10 draws": Rloo(10),
    "reinforce": Reinforce(),
    "reinmax": ReinMax(),
    "straight-through": StraightThrough(),
}


def trained(variables: int, steps: int) -> DiscreteVAE:
    """784-300 and n variables of 10, with a matching decoder, fitted by an unbiased estimator."""
    images = digits.parts()["train"]
    with initialised(0):
        net = DiscreteVAE((1, 28, 28), variables=variables, categories=10, hidden=(300,), estimator=Rloo(4))
    fit(net, (images,), Fit(steps, BATCH, schedule=None))
    return net.train()


def measure(net: DiscreteVAE, images: Tensor, draws: int = DRAWS) -> dict[str, Any]:
    """Each estimator's figures, on one batch; a variable of its own has its exact gradient by enumeration."""
    exact = gradient(net, Enumerated(), images, 0)
    reconstruction = exact.norm().item()
    found: dict[str, Any] = {"exact norm": round(reconstruction, 5), "coordinates": exact.numel(), "draws": draws}
    for name, by in BY_WIDTH.items():
        found[name] = {f"{width:g}": figures(net, by(width), images, exact, draws) for width in WIDTHS}
    for name, by in BY_TEMPERATURE.items():
        found[name] = {f"{tau:g}": figures(net, by(tau), images, exact, draws) for tau in TEMPERATURES}
    return found | {name: {"": figures(net, estimator, images, exact, draws)} for name, estimator in FIXED.items()}


def figures(net: DiscreteVAE, estimator: Estimator, images: Tensor, exact: Tensor, draws: int) -> list[float]:
    """Bias and standard deviation, each a norm over the encoder's parameters relative to the exact gradient's.

    What chance leaves of the bias, its variance over the number of draws, is taken off.
    """
    total, squares = torch.zeros_like(exact), torch.zeros_like(exact)
    for draw in range(draws):
        estimate = gradient(net, estimator, images, 1 + draw)
        total += estimate
        squares += estimate.square()
    mean = total / draws
    variance = (squares / draws - mean.square()).clamp(min=0) * draws / (draws - 1)
    bias = ((mean - exact).square().sum() - variance.sum() / draws).clamp(min=0).sqrt()
    return [round(float(value / exact.norm()), 4) for value in (bias, variance.sum().sqrt())]


def gradient(net: DiscreteVAE, estimator: Estimator, images: Tensor, seed: int) -> Tensor:
    """Of the reconstruction with respect to the encoder's parameters, one vector."""
    net.estimator = estimator if not isinstance(estimator, nn.Module) else _Plain(estimator)
    value = net.training_terms(images, Noise.from_seed(seed))["reconstruction"]
    return torch.cat([g.flatten() for g in torch.autograd.grad(value, list(net.encoder.parameters()))])


class _Plain:
    """A module as an estimator that is not a part of the model."""

    def __init__(self, estimator: Estimator) -> None:
        self.unbiased, self.evaluations, self._estimator = estimator.unbiased, estimator.evaluations, estimator

    def __call__(self, logits: Tensor, f: Any, noise: Noise) -> Tensor:
        return self._estimator(logits, f, noise)
