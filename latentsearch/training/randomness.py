"""torch's global random state, borrowed and restored."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch

from latentsearch.noise import Noise


@contextmanager
def initialised(seed: int) -> Iterator[None]:
    """Build a model inside, and its first weights depend on ``seed`` alone.

    torch's global random state is restored on leaving.

    Example:
        >>> from torch import nn
        >>> from latentsearch.training import initialised
        >>> with initialised(0):
        ...     layer = nn.Linear(2, 2)
    """
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        yield


@contextmanager
def drawn_from(noise: Noise) -> Iterator[None]:
    """What draws from torch's global state on the CPU inside, as data loaders do, draws from one row of noise."""
    with torch.random.fork_rng(devices=[]):
        # Not torch.manual_seed, which would seed the other devices too.
        torch.default_generator.manual_seed(int(noise.keys[0]))
        yield
