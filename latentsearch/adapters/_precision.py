"""The cast at a decoder's door: what leaves it is in float32 at least."""

from __future__ import annotations

import torch
from torch import Tensor


def raised(output: Tensor, dtype: torch.dtype) -> Tensor:
    """A floating tensor in ``dtype``; what is none, such as a tuple or bytes, as it is, for the checks to name."""
    if isinstance(output, Tensor) and output.is_floating_point():
        return output.to(dtype)
    return output
