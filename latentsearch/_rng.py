"""torch's global random state, set aside and restored."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch


@contextmanager
def set_aside(seed: int | None = None) -> Iterator[None]:
    """Whatever draws from torch's global state within, or seeds it, leaves it as it was, on all devices.

    Args:
        seed: Seeds it to begin with.
    """
    cards = list(range(torch.cuda.device_count())) if torch.cuda.is_initialized() else []
    with torch.random.fork_rng(cards):
        if seed is not None:
            torch.manual_seed(seed)
        yield
