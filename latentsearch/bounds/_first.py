"""The first layer of a decoder, bounded exactly: it is linear, and the codes can be counted.

What a position adds to a linear layer depends on its code alone. So the least that a set of grids
gives is a sum over positions of minima over codes, which no box around the codes can match.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import prod
from typing import Any

import torch
from torch import Tensor, nn

from latentsearch.bounds._layers import AFFINE, Interval, apply_affine, rounding

_ELEMENTS = 1 << 24  # of the largest temporary tensor


@dataclass(frozen=True)
class FirstLayer:
    """The first layer of a decoder, as a function of codes.

    Attributes:
        layers: The decoder's layers.
        codebook: ``(P, K, D)``.
        shape: S.
        channels_first: Where the decoder expects the D channels.
    """

    layers: list[nn.Module]
    codebook: Tensor
    shape: tuple[int, ...]
    channels_first: bool

    @property
    def _first(self) -> tuple[int, Any]:
        """The number of the first layer, and that layer; None where it is not one that adds up positions."""
        number = 0
        while number < len(self.layers) and isinstance(self.layers[number], (nn.Flatten, nn.Identity, nn.Dropout)):
            number += 1
        layer: Any = self.layers[number] if number < len(self.layers) else None
        if type(layer) not in AFFINE or getattr(layer, "groups", 1) != 1:
            return 0, None
        if isinstance(layer, nn.Linear):
            fits = self._flattened or not self.channels_first
        else:
            fits = self.channels_first and not self._flattened
        return (number, layer) if fits else (0, None)

    @property
    def _flattened(self) -> bool:
        """Whether the decoder begins by flattening the grid to one vector."""
        for layer in self.layers:
            if isinstance(layer, nn.Flatten):
                return (layer.start_dim, layer.end_dim) == (1, -1)
            if not isinstance(layer, (nn.Identity, nn.Dropout)):
                return False
        return False

    def table(self) -> Tensor:
        """``(P, K, F)``: what each code at each position gives to the first layer, or its embedding itself."""
        _, layer = self._first
        positions, _, width = self.codebook.shape
        if layer is None:
            return self.codebook
        weight: Tensor = layer.weight
        if isinstance(layer, nn.Linear):
            if not self._flattened:
                return self.codebook @ weight.T
            by_channel = weight.view(-1, width, positions) if self.channels_first else None
            each = weight.view(-1, positions, width) if by_channel is None else by_channel.mT
            return self.codebook @ each.permute(1, 2, 0)
        # One feature a channel and tap of the kernel.
        wide = weight.movedim(1, 0) if isinstance(layer, (nn.Conv1d, nn.Conv2d)) else weight
        return self.codebook @ wide.flatten(1)

    def enter(self, given: Interval) -> tuple[Interval, list[nn.Module]]:
        """Intervals of what each position gives, ``(N, P, F)``: those after the first layer, and the other layers."""
        number, layer = self._first
        if layer is None:
            return Interval(*(self._laid_out(t) for t in given)), self.layers
        rest = self.layers[number + 1 :]
        slack = torch.maximum(given.low.abs(), given.high.abs()) * rounding(given.low)
        low, high = (self._summed(layer, t) for t in (given.low - slack, given.high + slack))
        return Interval(low, high), rest

    def _summed(self, layer: Any, given: Tensor) -> Tensor:
        if isinstance(layer, nn.Linear):
            total = given.sum(1) if self._flattened else given.unflatten(1, self.shape)
            return total if layer.bias is None else total + layer.bias
        taps = prod(layer.kernel_size)
        channels = given.shape[2] // taps
        # Every tap is a channel of its own, which its own kernel, 1 at that tap, puts where it belongs.
        kernels = torch.eye(taps, dtype=given.dtype, device=given.device).view(taps, 1, *layer.kernel_size)
        laid_out = given.movedim(2, 1).unflatten(2, self.shape)
        forward = isinstance(layer, (nn.Conv1d, nn.Conv2d))
        weight = kernels.view(1, taps, *layer.kernel_size) if forward else kernels
        weight = weight.repeat(channels, *(1,) * (weight.ndim - 1))
        return apply_affine(layer, laid_out, weight, layer.bias, groups=channels)

    def _laid_out(self, e: Tensor) -> Tensor:
        e = e.unflatten(1, self.shape)
        return e.movedim(-1, 1) if self.channels_first else e


def extremes(table: Tensor, allowed: Tensor) -> Interval:
    """Least and most over allowed codes: ``(P, K, F)`` and ``(N, P, K)`` to ``(N, P, F)`` twice."""
    positions, codes, features = table.shape
    chunk = max(_ELEMENTS // (codes * features), 1)
    lows, highs = [], []
    for position in range(positions):
        for sets in allowed[:, position].split(chunk):
            mine = sets[..., None]
            lows.append(torch.where(mine, table[position], torch.inf).amin(1))
            highs.append(torch.where(mine, table[position], -torch.inf).amax(1))

    def joined(parts: list[Tensor]) -> Tensor:
        return torch.cat(parts).view(positions, len(allowed), features).movedim(0, 1)

    return Interval(joined(lows), joined(highs))
