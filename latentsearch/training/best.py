"""Keeping the weights that scored best on validation data, and ending when nothing gets better."""

from __future__ import annotations

import math
from typing import Protocol

from torch import Tensor, nn

from latentsearch.training.history import History


class Selection(Protocol):
    """Which entry's weights a fit ends with.

    Attributes:
        weights: The state of the network at that entry; empty for that of the last step.
    """

    weights: dict[str, Tensor]

    def look(self, history: History, network: nn.Module) -> None:
        """Take in the last entry of the history, and the network that it is of."""

    def stalled(self, history: History) -> bool:
        """Whether patience has run out."""


def selection_of(term: str | None, patience: int | None) -> Selection:
    """The last weights, or the best by a validation term."""
    return _Last() if term is None else _Best(term, patience)


class _Last:
    """Keeps nothing: a fit ends with the weights of its last step."""

    def __init__(self) -> None:
        self.weights: dict[str, Tensor] = {}

    def look(self, history: History, network: nn.Module) -> None:
        pass

    def stalled(self, history: History) -> bool:
        return False


class _Best:
    """Keeps the weights with the lowest score; the earliest of equals."""

    def __init__(self, term: str, patience: int | None) -> None:
        self._term, self._patience = term, patience
        self.weights: dict[str, Tensor] = {}

    def look(self, history: History, network: nn.Module) -> None:
        if self._age(history) == 0:
            self.weights = {name: tensor.detach().clone() for name, tensor in network.state_dict().items()}
            history.best = history.step[-1]

    def stalled(self, history: History) -> bool:
        return self._patience is not None and bool(history.step) and self._age(history) >= self._patience

    def _age(self, history: History) -> int:
        """Entries since the best one."""
        scores = [math.inf if math.isnan(score) else score for score in history.totals(self._term)]
        return len(scores) - 1 - scores.index(min(scores))
