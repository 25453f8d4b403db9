"""What is measured of each answer by itself."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import torch
from torch import Tensor

from latentsearch.goal import Goal
from latentsearch.judge._rows import by_rows
from latentsearch.judge.reference import Reference
from latentsearch.judge.tolerance import measurement, scored
from latentsearch.spaces import Discrete

SHARES = ("within tolerance", "in band", "both", "read right")  # of the answers; the rest are numbers


@dataclass(frozen=True)
class Task:
    """What is known of B problems.

    Attributes:
        goal: What was searched for.
        tolerance: ``(B,)`` or ``(1,)``: the loss that is close enough.
        labels: ``(B,)`` int64: the class of each truth.
    """

    goal: Goal | None = None
    tolerance: Tensor | None = None
    labels: Tensor | None = None


@dataclass(frozen=True)
class Scored:
    """R answers to each of B problems, decoded and looked at.

    Attributes:
        latent: ``(B, R, *S)``.
        output: ``(B, R, *O)``.
        values: ``(B, R)`` float64 by name; truth values are 0 and 1.
        nll: ``(B, R)`` float64 nats, or None.
        features: ``(B, R, d)``, or None.
        read: ``(B, R)`` int64: the class that the classifier reads, or None.
    """

    latent: Tensor
    output: Tensor
    values: dict[str, Tensor] = field(default_factory=dict)
    nll: Tensor | None = None
    features: Tensor | None = None
    read: Tensor | None = None


def score(reference: Reference, task: Task, latent: Tensor) -> Scored:
    """Look at answers ``(B, R, *S)``."""
    rows, shape = latent.flatten(0, 1), latent.shape[:2]
    output, nll = reference.decode(rows), reference.nll(rows)
    found = {**_fit(task, output, rows, shape), **_likelihood(reference, nll)}
    if "within tolerance" in found and "in band" in found:
        found["both"] = found["within tolerance"] & found["in band"]
    read = None if reference.classifier is None else by_rows(reference.classifier, output).argmax(-1)
    if task.labels is not None and read is not None:
        found["read right"] = read == task.labels.repeat_interleave(shape[1])
    features = None if reference.features is None else by_rows(reference.features, output).flatten(1)
    return Scored(
        latent,
        output.unflatten(0, shape),
        {name: value.double().view(shape) for name, value in found.items()},
        None if nll is None else nll.view(shape),
        None if features is None else features.unflatten(0, shape),
        None if read is None else read.view(shape),
    )


def _fit(task: Task, output: Tensor, latent: Tensor, shape: torch.Size) -> dict[str, Tensor]:
    """How well answers do what was asked."""
    if task.goal is None:
        return {}
    found = {"loss": scored(measurement(task.goal), output, latent)}
    if task.tolerance is not None:
        most = task.tolerance.expand(shape[0]).repeat_interleave(shape[1])
        found["within tolerance"] = found["loss"] <= most
    return found


def _likelihood(reference: Reference, nll: Tensor | None) -> dict[str, Tensor]:
    """How likely they are to the independent prior."""
    if nll is None:
        return {}
    space = reference.generator.space
    if isinstance(space, Discrete):
        found = {"bits per code": nll / space.positions / math.log(2)}
    else:
        found = {"nats per dimension": nll / math.prod(space.shape)}
    return found if reference.band is None else {**found, "in band": reference.band.contains(nll)}
