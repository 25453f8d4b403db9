"""The cast at a decoder's door: what leaves it is in float32 at least."""

from __future__ import annotations

import torch
from torch import Tensor

from latentsearch._context import ordinary


def raised(output: Tensor, dtype: torch.dtype) -> Tensor:
    """A floating tensor in ``dtype``, of inference mode no more; what is none, such as a tuple, for checks to name."""
    if isinstance(output, Tensor) and output.is_floating_point():
        return ordinary(output).to(dtype)
    return output
