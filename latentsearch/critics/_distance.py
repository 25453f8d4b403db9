"""How far an actor moves latents."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

from latentsearch._rows import mean_rows

Metric = Literal["log", "l2"]


def distance_penalty(before: Tensor, after: Tensor, spread: Tensor, metric: Metric = "log") -> Tensor:
    r"""The mean over rows and dimensions of $\log(1 + (z' - z)^2) / \bar\sigma^2$, for latents ``(N, *S)``.

    With ``metric="l2"`` of the squares themselves: the logarithm hardly minds a move that is far already.
    """
    squares = (after - before).square()
    return mean_rows((torch.log1p(squares) if metric == "log" else squares) / spread.square()).mean()
