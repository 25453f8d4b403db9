"""How far an actor moves latents."""

from __future__ import annotations

import torch
from torch import Tensor

from latentsearch._rows import mean_rows


def distance_penalty(before: Tensor, after: Tensor, spread: Tensor) -> Tensor:
    r"""The mean over rows and dimensions of $\log(1 + (z' - z)^2) / \bar\sigma^2$, for latents ``(N, *S)``."""
    return mean_rows(torch.log1p((after - before).square()) / spread.square()).mean()
