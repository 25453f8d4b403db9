"""torch's global random state, set aside and restored."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

import torch

# Two that set it aside at once would each restore what the other had seeded.
_ONE_AT_A_TIME = threading.RLock()


@contextmanager
def set_aside(seed: int | None = None) -> Iterator[None]:
    """Whatever draws from torch's global state within, or seeds it, leaves it as it was, on all devices.

    Args:
        seed: Seeds it to begin with.
    """
    cards = list(range(torch.cuda.device_count())) if torch.cuda.is_initialized() else []
    with _ONE_AT_A_TIME, torch.random.fork_rng(cards):
        if seed is not None:
            torch.manual_seed(seed)
        yield
