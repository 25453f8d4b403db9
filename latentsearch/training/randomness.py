"""torch's global random state, borrowed and restored."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch

from latentsearch._checks import require_seed
from latentsearch._rng import one_at_a_time, set_aside
from latentsearch.errors import InvalidArgument
from latentsearch.noise import Noise


@contextmanager
def initialised(seed: int, dtype: torch.dtype | None = None) -> Iterator[None]:
    """Build a model inside, and its first weights depend on ``seed`` alone.

    torch's global random state is restored on leaving, and its default dtype.

    Args:
        seed: Of the weights.
        dtype: Of the weights; torch's default dtype if not given.

    Example:
        >>> from torch import nn
        >>> from latentsearch.training import initialised
        >>> with initialised(0):
        ...     layer = nn.Linear(2, 2)
    """
    require_seed("initialised.seed", seed)
    if dtype is not None and not (isinstance(dtype, torch.dtype) and dtype.is_floating_point):
        expected = "a floating one, such as torch.float32"
        raise InvalidArgument("initialised.dtype", got=repr(dtype), expected=expected)
    default = torch.get_default_dtype()
    with one_at_a_time, set_aside(seed):
        torch.set_default_dtype(dtype or default)
        try:
            yield
        finally:
            torch.set_default_dtype(default)


@contextmanager
def drawn_from(noise: Noise, device: torch.device | None = None) -> Iterator[None]:
    """What draws from torch's global state inside, as data loaders and dropout do, draws from one row of noise.

    That is the state of the CPU, and that of a ``device`` if it is a graphics card.
    """
    seed, cards = int(noise.keys[0]), [device] if device is not None and device.type == "cuda" else []
    with one_at_a_time, torch.random.fork_rng(devices=cards):
        # Not torch.manual_seed, which would seed the other devices too.
        torch.default_generator.manual_seed(seed)
        for card in cards:
            with torch.cuda.device(card):
                torch.cuda.manual_seed(seed)
        yield
