"""What the networks over grids of codes share: their table of codes, and the histogram mixed into all they say."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor, nn

from latentsearch.errors import InvalidArgument, describe
from latentsearch.priors._tied import TiedCodes
from latentsearch.spaces import Discrete


class CodeNetwork(nn.Module):
    """Base of the trainable priors over codes.

    Args:
        space: The grids.
        width: Of a code's vector.
        codebook: ``(K, D)`` or None.
        histogram: ``(*S, K)`` log-frequencies or None.
        mix: Share of the histogram.
        cost: Of a pass.

    Attributes:
        space: The grids.
        cost: What one pass costs for one row, as a share of a decode.
        settings: What the constructor is to be given, beside tensors, to make it again.
    """

    frequencies: Tensor

    def __init__(
        self,
        space: Discrete,
        width: int,
        codebook: Tensor | None,
        histogram: Tensor | None,
        mix: float,
        cost: float,
    ) -> None:
        super().__init__()
        name = type(self).__name__
        if not isinstance(space, Discrete):
            raise InvalidArgument(f"{name}.space", got=repr(space), expected="a Discrete space")
        if codebook is not None and (codebook.ndim != 2 or len(codebook) != space.codebook_size):
            expected = f"one codebook for all positions, ({space.codebook_size}, D)"
            hint = "leave it out where positions have codebooks of their own"
            raise InvalidArgument(f"{name}.codebook", got=describe(codebook), expected=expected, hint=hint)
        full = (*space.shape, space.codebook_size)
        if histogram is not None and tuple(histogram.shape) != full:
            expected = f"log-frequencies {full}"
            hint = "HistogramPrior.from_codes(codes, K).logits has them"
            raise InvalidArgument(f"{name}.histogram", got=describe(histogram), expected=expected, hint=hint)
        if not 0 < mix < 1:
            raise InvalidArgument(f"{name}.mix", got=repr(mix), expected="a share between 0 and 1, such as 1e-3")
        self.space, self.mix, self.cost = space, mix, float(cost)
        self.settings: dict[str, Any] = {
            "shape": list(space.shape),
            "codebook_size": space.codebook_size,
            "codebook_width": None if codebook is None else codebook.shape[1],
            "mix": mix,
            "cost": float(cost),
        }
        self.codes = TiedCodes(space.codebook_size, width, codebook)
        uniform = torch.zeros(full) if histogram is None else histogram.detach().float()
        self.register_buffer("frequencies", uniform.log_softmax(-1))

    def set_cost(self, cost: float) -> None:
        """What a pass costs, now that it is known."""
        self.cost = self.settings["cost"] = float(cost)

    def mixed(self, logits: Tensor, frequencies: Tensor | None = None) -> Tensor:
        """What a network says, ``(N, *S, K)`` logits on top of the histogram, with the histogram mixed in.

        Args:
            logits: Of all positions, or ``(N, K)`` of one.
            frequencies: ``(K,)``, those of the one position.
        """
        frequencies = self.frequencies if frequencies is None else frequencies
        own = (logits.to(frequencies.dtype) + frequencies).log_softmax(-1)
        return torch.logaddexp(own + math.log1p(-self.mix), frequencies + math.log(self.mix))

    def expected(self, logs: Tensor, z: Tensor) -> Tensor:
        """``(N,)`` float64: log-probabilities ``(N, n, K)`` summed over positions.

        Args:
            logs: Of all codes.
            z: The codes, hard ``(N, n)``; or soft ones ``(N, n, K)``, for the expectation.
        """
        logs = logs.double()
        if z.is_floating_point():
            return (z.double() * logs).flatten(1).sum(1)
        return logs.gather(-1, z[..., None]).flatten(1).sum(1)
