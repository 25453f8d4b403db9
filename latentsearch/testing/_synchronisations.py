"""Which operations make the host wait for the device."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import Any

from torch.utils._python_dispatch import TorchDispatchMode


class Synchronisations(TorchDispatchMode):
    """Notes the operations that make the host wait for the device; they can be seen on the CPU too."""

    NAMES = frozenset({"nonzero", "masked_select", "equal", "_local_scalar_dense", "unique", "_unique2", "is_nonzero"})

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[str] = []
        self._watching = False

    def start(self) -> None:
        """Watch from here on, as ``with`` does, where beginning and end are in two functions."""
        self._watching = True
        self.__enter__()

    def stop(self) -> None:
        """Watch no more; does nothing the second time."""
        if self._watching:
            self._watching = False
            self.__exit__(None, None, None)

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name = func.overloadpacket.__name__
        if name in self.NAMES and not _in_optimiser():
            self.seen.append(name)
        return func(*args, **(kwargs or {}))


def _in_optimiser() -> bool:
    """Whether torch's own optimiser is asking: it keeps its step counters on the host."""
    return any("torch/optim/" in filename.replace("\\", "/") for filename in _filenames())


def _filenames() -> Iterator[str]:
    frame = sys._getframe()
    while frame is not None:
        yield frame.f_code.co_filename
        frame = frame.f_back  # type: ignore[assignment]
