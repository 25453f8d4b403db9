"""What a network costs beside a decode, counted in multiplications: the same on every machine."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from latentsearch.protocols import ConditionalPrior, Generator, Prior


def cost_beside(generator: Generator, prior: Prior, z: Tensor) -> float:
    """The cost of one pass of a prior, or of a draw of one without conditionals, as a share of a decode.

    Args:
        generator: The decoder.
        prior: The network.
        z: ``(1, *S)``, a latent.

    Returns:
        Their ratio; 1 where a decoder does its work outside of torch and cannot be counted.
    """
    known = torch.zeros_like(z, dtype=torch.bool)

    def once() -> Tensor:
        return prior.conditionals(z, known) if isinstance(prior, ConditionalPrior) else prior.log_prob(z)

    decode, own = _operations(lambda: generator.decode(z)), _operations(once)
    return own / decode if decode else 1.0


@torch.no_grad()
def _operations(function: Callable[[], Tensor]) -> int:
    from torch.utils.flop_counter import FlopCounterMode  # it takes a while to load

    with FlopCounterMode(display=False) as counter:
        function()
    return int(counter.get_total_flops())
