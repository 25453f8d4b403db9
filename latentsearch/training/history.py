"""What a fit logged, and what its callbacks are shown."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

from torch import Tensor, nn

from latentsearch.errors import LatentSearchError
from latentsearch.result import Status


class NonFiniteLoss(LatentSearchError, FloatingPointError):
    """A loss in training that is infinite, or no number."""


@dataclass
class History:
    """What a fit logged.

    Attributes:
        step: The steps logged at.
        train: Each term's mean over the steps since the last entry, where it had some: where groups take long turns it
            has fewer entries than there are steps logged at, and ``train_step`` says which.
        validation: Each term on the validation data, in evaluation mode.
        best: The step whose weights scored best, where the plan asks for them.
        status: FINISHED, STALLED where patience ran out, INTERRUPTED by Ctrl-C or by a callback, or
            RUNNING.
        train_step: For each term of ``train`` the steps that its entries are of.
    """

    step: list[int] = field(default_factory=list)
    train: dict[str, list[float]] = field(default_factory=dict)
    validation: dict[str, list[float]] = field(default_factory=dict)
    best: int | None = None
    status: Status = Status.RUNNING
    train_step: dict[str, list[int]] = field(default_factory=dict)

    def add(self, step: int, train: Mapping[str, float], validation: Mapping[str, float]) -> None:
        """One more entry."""
        self.step.append(step)
        for name in train:
            self.train_step.setdefault(name, []).append(step)
        for terms, values in ((self.train, train), (self.validation, validation)):
            for name, value in values.items():
                terms.setdefault(name, []).append(value)

    def totals(self, which: str) -> list[float]:
        """One number an entry: a validation term, or with ``"sum"`` the sum of all."""
        if which in self.validation:
            return self.validation[which]
        return [sum(values) for values in zip(*self.validation.values(), strict=True)]


@dataclass(frozen=True)
class Entry:
    """What a callback sees at every entry of the log.

    Attributes:
        step: Gradient steps so far.
        history: All entries so far, this one included.
        model: The module that was validated: the one that learns, or its averaged copy. Read it, leave it alone.
    """

    step: int
    history: History
    model: nn.Module


class Means:
    """Means of terms over the steps since the last entry; nothing waits for the device until they are read."""

    def __init__(self) -> None:
        self.sums: dict[str, Tensor] = {}
        self.counts: dict[str, int] = {}

    def add(self, terms: Mapping[str, Tensor]) -> None:
        """Take in one step's terms."""
        for name, term in terms.items():
            self.sums[name] = self.sums.get(name, 0) + term.detach()
            self.counts[name] = self.counts.get(name, 0) + 1

    def read(self, step: int) -> dict[str, float]:
        """The means; to begin anew, make another.

        Raises:
            NonFiniteLoss: If one is not finite.
        """
        means = {name: float(total) / self.counts[name] for name, total in self.sums.items()}
        if not all(map(math.isfinite, means.values())):
            raise NonFiniteLoss(
                f"fit: the loss was not finite in the steps up to {step}, {means}; look over the data, take a lower "
                "learning rate or clip gradients, or go on from the checkpoint of the entry before"
            )
        return means
