"""The course of a search, in memory that does not grow with its steps."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from latentsearch.result import Trace

_ENTRIES, _NUMBERS = 4096, 1 << 22  # the most entries kept, and the most numbers in all of them
_LEAST = 64  # entries kept of however many problems


class Entry(NamedTuple):
    """Where a search stood after a step.

    Attributes:
        number: Which step it was, from 0.
        loss: ``(B,)``, the best of each problem so far.
        spent: ``(B,)`` float64, its evaluations so far.
        seconds: Time since the start.
    """

    number: int
    loss: Tensor
    spent: Tensor
    seconds: float


class Course:
    """An entry a step; of many steps every second, fourth, eighth, and always the last.

    Nothing is changed in place: an interrupt finds all of an entry or none of it.

    Args:
        problems: B.
    """

    def __init__(self, problems: int) -> None:
        self.most = max(min(_ENTRIES, _NUMBERS // problems), _LEAST)
        self.entries: list[Entry] = []

    @property
    def seconds(self) -> float:
        """When the last entry was made."""
        return self.entries[-1].seconds

    def add(self, loss: Tensor, spent: Tensor, seconds: float) -> None:
        """One entry more, from the losses that problems have now and what they have spent, ``(B,)`` each."""
        if not self.entries:
            self.entries = [Entry(0, loss, spent, seconds)]
            return
        last = self.entries[-1]
        # A satisfied latent replaces a better unsatisfied one, and a chain moves on: the least so far is kept.
        entry = Entry(last.number + 1, torch.fmin(loss, last.loss), spent, seconds)
        self.entries = self._thinned([*self._settled(), entry])

    def _settled(self) -> list[Entry]:
        """Those that stay when another comes: the last one may have been there for being the last."""
        return self.entries[:-1] if self.entries[-1].number % self._stride else self.entries

    @property
    def _stride(self) -> int:
        """How many steps there are from an entry to the next."""
        return self.entries[1].number - self.entries[0].number if len(self.entries) > 2 else 1

    def _thinned(self, entries: list[Entry]) -> list[Entry]:
        if len(entries) <= self.most:
            return entries
        stride = 2 * (entries[1].number - entries[0].number)
        return [*(entry for entry in entries[:-1] if entry.number % stride == 0), entries[-1]]

    def trace(self, like: Tensor) -> Trace:
        """The course as results have it; ``like`` are losses of the problems, ``(B,)``."""
        if not self.entries:
            none = like.new_zeros(0, *like.shape)
            return Trace(none, none.double(), torch.zeros(0, dtype=torch.float64))
        return Trace(
            torch.stack([entry.loss for entry in self.entries]),
            torch.stack([entry.spent for entry in self.entries]),
            torch.tensor([entry.seconds for entry in self.entries], dtype=torch.float64),
        )

    # -- checkpoints -----------------------------------------------------------------------------

    def tensors(self) -> dict[str, Tensor]:
        """What is needed to go on."""
        if not self.entries:
            return {"number": torch.zeros(0, dtype=torch.int64)}
        number, loss, spent, seconds = zip(*self.entries, strict=True)
        return {
            "number": torch.tensor(number, dtype=torch.int64),
            "loss": torch.stack(loss),
            "spent": torch.stack(spent),
            "seconds": torch.tensor(seconds, dtype=torch.float64),
        }

    def restore(self, saved: dict[str, Tensor]) -> None:
        """Go on from what `tensors` gave."""
        number = saved["number"].tolist()
        seconds = saved["seconds"].tolist() if number else []
        self.entries = [Entry(at, saved["loss"][t], saved["spent"][t], seconds[t]) for t, at in enumerate(number)]
