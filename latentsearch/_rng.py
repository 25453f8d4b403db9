"""torch's global random state, set aside and restored."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass
class _Before:
    """The state of the CPU and of the cards before someone set it aside."""

    cpu: Tensor
    cards: list[Tensor]

    @classmethod
    def now(cls) -> _Before:
        return cls(torch.get_rng_state(), torch.cuda.get_rng_state_all() if torch.cuda.is_initialized() else [])

    def restore(self) -> None:
        torch.set_rng_state(self.cpu)
        if self.cards:
            torch.cuda.set_rng_state_all(self.cards)


# For those whose own draws come from the global state: two at once would draw from each other's.
one_at_a_time = threading.RLock()

# Of all who are within, in whatever thread, in the order in which they came.
_within: list[_Before] = []
_changing = threading.Lock()


@contextmanager
def set_aside(seed: int | None = None) -> Iterator[None]:
    """Whatever draws from torch's global state within, or seeds it, leaves it as it was, on all devices.

    Of several threads that are within at once, the last to leave restores what the first one found.

    Args:
        seed: Seeds it to begin with.
    """
    with _changing:
        before = _Before.now()
        _within.append(before)
    if seed is not None:
        torch.manual_seed(seed)
    try:
        yield
    finally:
        with _changing:
            _leave(before)


def _leave(before: _Before) -> None:
    place = next(n for n, each in enumerate(_within) if each is before)
    del _within[place]
    if place == len(_within):
        before.restore()
    else:
        # Whoever came next found what this one had seeded, and is to restore what was there before.
        _within[place].cpu, _within[place].cards = before.cpu, before.cards
