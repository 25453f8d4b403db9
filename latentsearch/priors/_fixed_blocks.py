"""Networks on blocks of as many rows each time, so that a draw does not depend on how many others are drawn."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

_ROWS = 64


def in_blocks(function: Callable[[Tensor], Tensor], rows: Tensor) -> Tensor:
    """``function`` of ``(N, ...)`` in blocks of 64, the last filled up: products of matrices round by their rows."""
    missing = -len(rows) % _ROWS
    filled = torch.cat([rows, rows.new_zeros(missing, *rows.shape[1:])])
    parts = [function(block) for block in filled.split(_ROWS)] if len(rows) else [function(rows)]
    return torch.cat(parts)[: len(rows)]
