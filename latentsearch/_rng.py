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
    cuda: list[Tensor]
    mps: Tensor | None

    @classmethod
    def now(cls) -> _Before:
        cuda = torch.cuda.get_rng_state_all() if torch.cuda.is_initialized() else []
        return cls(
            torch.get_rng_state(), cuda, torch.mps.get_rng_state() if torch.backends.mps.is_available() else None
        )

    def restore(self) -> None:
        torch.set_rng_state(self.cpu)
        if self.cuda:
            torch.cuda.set_rng_state_all(self.cuda)
        if self.mps is not None:
            torch.mps.set_rng_state(self.mps)


def seed_all(seed: int) -> None:
    """Seed what is set aside, and nothing else.

    ``torch.manual_seed`` also leaves a seed for cards that are not in use yet, in the place of the caller's own.
    """
    torch.default_generator.manual_seed(seed)
    if torch.cuda.is_initialized():
        torch.cuda.manual_seed_all(seed)
    if torch.backends.mps.is_available():
        torch.mps.manual_seed(seed)


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
    if torch.get_default_device().type == "cuda":
        torch.cuda.init()  # draws within would, from a seed of chance
    with _changing:
        before = _Before.now()
        _within.append(before)
    if seed is not None:
        seed_all(seed)
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
        following = _within[place]
        following.cpu, following.cuda, following.mps = before.cpu, before.cuda, before.mps
