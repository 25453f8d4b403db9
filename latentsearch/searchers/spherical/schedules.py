"""What share of the learning rate each step has."""

from __future__ import annotations

import math
from collections.abc import Callable

from torch import Tensor

Schedule = Callable[[Tensor], Tensor]


def one_cycle(done: Tensor) -> Tensor:
    """PULSE's schedule: from 0.1 linearly up to 1 and down again over nine tenths of the steps, then to 0.001.

    Args:
        done: ``(M,)`` in [0, 1]: the share of each row's steps that it has taken.

    Returns:
        ``(M,)``: the share of the learning rate.

    Example:
        >>> import torch
        >>> from latentsearch.searchers import one_cycle
        >>> one_cycle(torch.tensor([0.0, 0.45, 0.9, 1.0])).round(decimals=4)
        tensor([0.1000, 1.0000, 0.1000, 0.0010])
    """
    cycle = 1 - 0.9 * (done / 0.45 - 1).abs()
    drop = 0.1 - 0.99 * (done - 0.9)
    return cycle.where(done < 0.9, drop)


def warmup_cosine(done: Tensor) -> Tensor:
    """The schedule of StyleGAN2's projector: up from 0 over 5 % of the steps, down to 0 by a cosine over the last 25 %.

    Karras et al., *Analyzing and Improving the Image Quality of StyleGAN* (CVPR 2020), appendix D.

    Args:
        done: ``(M,)`` in [0, 1]: the share of each row's steps that it has taken.

    Returns:
        ``(M,)``: the share of the learning rate.

    Example:
        >>> import torch
        >>> from latentsearch.searchers import warmup_cosine
        >>> warmup_cosine(torch.tensor([0.0, 0.05, 0.75, 0.875]))
        tensor([0.0000, 1.0000, 1.0000, 0.5000])
    """
    falling = 0.5 - 0.5 * (((1 - done) / 0.25).clamp(max=1) * math.pi).cos()
    return falling * (done / 0.05).clamp(max=1)
