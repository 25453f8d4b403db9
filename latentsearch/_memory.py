"""Rows in chunks that fit the memory: halved, and the chunk tried again, whenever they do not."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence

import torch
from torch import Tensor

_log = logging.getLogger("latentsearch")


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error says that memory ran out, on any device."""
    if isinstance(error, (torch.OutOfMemoryError, MemoryError)):
        return True
    # The CPU allocator raises a plain RuntimeError.
    return isinstance(error, RuntimeError) and "can't allocate memory" in str(error)


class Chunks:
    """Runs a row-local function over slices of rows and joins what comes back.

    Attributes:
        size: The most rows at once; it only shrinks, and a resumed run starts from it.
    """

    def __init__(self, size: int | None) -> None:
        self.size = size

    def run(
        self, function: Callable[[slice], Sequence[Tensor]], rows: int, most: int | None = None
    ) -> Sequence[Tensor]:
        """``function`` on all rows, at most ``most`` at once: each of its results has the slice's rows first."""
        parts: list[Sequence[Tensor]] = []
        start = 0
        while start < rows or not parts:
            size = min(limit for limit in (rows - start, self.size, most) if limit is not None)
            try:
                part = function(slice(start, start + size))
            except (RuntimeError, MemoryError) as error:
                if not is_out_of_memory(error) or size <= 1:
                    raise
                self._halve(size)
                continue
            parts.append(part)
            start += size
        if len(parts) == 1:
            return parts[0]
        return [torch.cat(column) for column in zip(*parts, strict=True)]

    def _halve(self, size: int) -> None:
        self.size = size // 2
        _log.warning("out of memory with %d rows: going on with chunks of %d", size, self.size)
        if torch.cuda.is_available():
            torch.cuda.empty_cache()
