"""The caller's context, set aside: what surrounds a call changes nothing within it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from functools import wraps
from typing import TypeVar

import torch
from torch import Tensor
from typing_extensions import ParamSpec

from latentsearch.errors import SearchFailed

P = ParamSpec("P")
T = TypeVar("T")


@contextmanager
def undisturbed(device: torch.device | str = "cpu") -> Iterator[None]:
    """Within, there is no autocast, no inference mode and no default device but the one that work is done on.

    Gradients can be taken, also where the caller said ``torch.no_grad()``. The default dtype is the whole process's,
    and what a user's function makes may depend on it: it stays, and the package asks for none.

    Args:
        device: Where the work is done.
    """
    home = torch.device(device)
    with ExitStack() as stack:
        stack.enter_context(torch.inference_mode(False))
        stack.enter_context(torch.enable_grad())
        for kind in {"cpu", home.type}:
            if torch.amp.is_autocast_available(kind) and torch.is_autocast_enabled(kind):
                stack.enter_context(torch.autocast(kind, enabled=False))
        # The mode behind a default device slows every call, so there is one only where there was one.
        if torch.get_default_device().type not in ("cpu", home.type):
            stack.enter_context(home)
        yield


def kept(surroundings: AbstractContextManager[object], work: Callable[[], T]) -> T:
    """What work gives within some surroundings, though Ctrl-C may come as these are left.

    The interrupt is not lost: work has known of one before, or was done. An error that work raised, which carries what
    was found, goes before an interrupt that comes after it.
    """
    found: list[T] = []
    try:
        with surroundings:
            found.append(work())
    except KeyboardInterrupt as interrupt:
        if found:
            return found[0]
        if isinstance(interrupt.__context__, SearchFailed):
            raise interrupt.__context__ from None
        raise
    return found[0]


def in_own_context(function: Callable[P, T]) -> Callable[P, T]:
    """The function, undisturbed by its caller's context; it works where its first argument is."""

    @wraps(function)
    def within(*args: P.args, **kwargs: P.kwargs) -> T:
        first = next(iter((*args, *kwargs.values())), None)
        device = getattr(first, "device", "cpu")
        with undisturbed(device if isinstance(device, (str, torch.device)) else "cpu"):
            return function(*args, **kwargs)

    return within


def ordinary(tensor: Tensor) -> Tensor:
    """A tensor that gradients can pass: of one made in inference mode a copy."""
    return tensor.clone() if tensor.is_inference() else tensor
