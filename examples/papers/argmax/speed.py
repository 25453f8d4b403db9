"""Training steps a second of `DirectArgmax`, by how the losses of all single swaps are had."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable

import torch
from torch import Tensor

from argmax import digits
from argmax.bounds import BATCH
from latentsearch.models import DiscreteVAE, PictureLoss
from latentsearch.noise import Noise
from latentsearch.relaxations import DirectArgmax, Loss
from latentsearch.training import initialised


def looped(f: Loss, z: Tensor, codes: int) -> Tensor:
    """n k decodes, one after the other, each of a whole batch."""
    row, losses = torch.arange(len(z), device=z.device), []
    with torch.no_grad():
        for position in range(z.shape[1]):
            for code in range(codes):
                grid = z.clone()
                grid[:, position] = code
                losses.append(f(grid, row))
    return torch.stack(losses, 1).view(*z.shape, codes)


class _Looped(PictureLoss):
    def neighbourhood(self, z: Tensor, code: Tensor | None) -> Tensor:
        return looped(lambda grid, row: self(grid, row), z, self.model.categories)


class _ByLoop(DiscreteVAE):
    def loss(self, images: Tensor) -> PictureLoss:
        return _Looped(self, images)


def steps_a_second(make: Callable[[], DiscreteVAE], steps: int = 20, device: str = "cpu") -> float:
    """The median over steps of a whole one: the estimate, the backward pass and Adam's update."""
    images = digits.parts()["train"][:BATCH].to(device)
    net = make().to(device)
    optimizer = torch.optim.Adam(net.parameters(), lr=1e-3)
    times = []
    for step in range(steps + 2):
        start = time.perf_counter()
        terms = net.training_terms(images, Noise.from_seed(step))
        optimizer.zero_grad()
        (terms["reconstruction"] + terms["kl"]).backward()
        optimizer.step()
        if images.is_cuda:
            torch.cuda.synchronize()
        times.append(time.perf_counter() - start)
    return 1 / statistics.median(times[2:])


def measure(variables: int = 20, categories: int = 10, device: str = "cpu") -> dict[str, float]:
    """Of a linear model of n variables of k categories."""

    def make(kind: type[DiscreteVAE], compiled: bool = False) -> Callable[[], DiscreteVAE]:
        def build() -> DiscreteVAE:
            with initialised(0):
                return kind(
                    (1, 28, 28), variables=variables, categories=categories, compiled=compiled,
                    estimator=lambda epsilon: DirectArgmax(-epsilon),
                )  # fmt: skip

        return build

    found = {"a loop of decodes": steps_a_second(make(_ByLoop), 5, device)}
    for name, compiled in (("at once", False), ("compiled", True)):
        found[name] = steps_a_second(make(DiscreteVAE, compiled), device=device)
    return {name: round(value, 2) for name, value in found.items()}
