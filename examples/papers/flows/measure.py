"""What trained flows are worth, on fresh samples."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from flows.coupling import Flows
from flows.recipes import EVERY, Outcome, Problem, Recipe
from flows.targets import Target
from latentsearch.noise import Noise

CHUNK = 10_000
_FLOW, _TARGET = 71, 72


@torch.no_grad()
def measured(outcome: Outcome, target: Target, recipe: Recipe, samples: int) -> dict[str, Any]:
    """The curve, what broke and when, and both KL divergences where the flow has a density in log-ratio coordinates."""
    lasted = [sum(value == value for value in seed) * EVERY for seed in zip(*outcome.curve, strict=True)]
    figures: dict[str, Any] = {
        "finite": outcome.finite,
        "lasted": lasted,
        "last": [_last(seed) for seed in zip(*outcome.curve, strict=True)],
        "curve": [[round(value, 4) if value == value else None for value in point] for point in outcome.curve],
    }
    if recipe.coordinates == "log-ratios":
        reverse, forward = _divergences(outcome.flows, target, samples)
        figures |= {"reverse": reverse, "forward": forward}
    figures["codes_tv"] = _code_distance(outcome.flows, Problem(target, recipe), min(samples, CHUNK))
    return figures


def _last(values: tuple[float, ...]) -> float | None:
    """The last number before NaN; None if it began with NaN."""
    numbers = [value for value in values if value == value]
    return round(numbers[-1], 4) if numbers else None


def _divergences(flows: Flows, target: Target, samples: int) -> tuple[list[float | None], list[float | None]]:
    """KL(flow || target) and KL(target || flow) a coordinate, per flow."""
    reverse, forward = [], []
    for start in range(0, samples, CHUNK):
        noise = Noise.from_seed(start + 1, min(CHUNK, samples - start))
        u, log_q = flows(noise.fold(_FLOW).normal(target.size))
        reverse.append((log_q - target.log_prob(u)).double().mean(1))
        u = target.sample(noise.fold(_TARGET))
        forward.append((target.log_prob(u) - flows.log_prob(u)).double().mean(1))
    return _rounded(torch.stack(reverse).mean(0) / target.size), _rounded(torch.stack(forward).mean(0) / target.size)


def _code_distance(flows: Flows, problem: Problem, samples: int) -> list[float | None]:
    """Total variation between the codes of the first position, from the flow and from the target."""
    x, _ = flows(Noise.from_seed(2, samples).normal(problem.size))
    drawn = torch.nn.functional.one_hot(problem.codes(x)[..., 0], problem.target.codes).double().mean(-2)
    distance = 0.5 * (drawn - problem.target.logits[0].double().softmax(-1)).abs().sum(-1)
    return _rounded(distance.expand(x.shape[0]) if x.ndim > 2 else distance[None])


def _rounded(values: Tensor) -> list[float | None]:
    return [round(value, 5) if value == value and abs(value) < 1e30 else None for value in values.tolist()]
