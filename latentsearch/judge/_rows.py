"""Networks run on many rows, a chunk at a time and without gradients."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from latentsearch._memory import Chunks

_ROWS = 256  # at once


def by_rows(function: Callable[..., Tensor], *rows: Tensor) -> Tensor:
    """A row-local function of tensors ``(N, ...)``, joined to ``(N, ...)``."""

    def part(index: slice) -> list[Tensor]:
        return [function(*(each[index] for each in rows))]

    with torch.no_grad():
        return Chunks(_ROWS).run(part, len(rows[0]))[0]
