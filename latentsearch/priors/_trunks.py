"""Networks that see all of a grid: residual convolutions for small grids, attention for large ones."""

from __future__ import annotations

import math
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

Trunk = Literal["convolutional", "transformer"]

_CONVOLUTIONS = {1: nn.Conv1d, 2: nn.Conv2d, 3: nn.Conv3d}
_LARGE = 256  # positions from which on attention learns faster than convolution


def trunk_for(shape: tuple[int, ...]) -> Trunk:
    """What learns fastest on grids of a shape."""
    return "convolutional" if math.prod(shape) < _LARGE and len(shape) in _CONVOLUTIONS else "transformer"


def build(kind: Trunk, shape: tuple[int, ...], channels: int, blocks: int, dropout: float) -> nn.Module:
    """A network from ``(N, *S, channels)`` to the same."""
    make = _Convolutional if kind == "convolutional" else _Transformer
    return make(shape, channels, blocks, dropout)


class _Convolutional(nn.Module):
    """Residual blocks, each with a path through the mean over the grid."""

    def __init__(self, shape: tuple[int, ...], channels: int, blocks: int, dropout: float) -> None:
        super().__init__()
        self.place = nn.Parameter(torch.zeros(*shape, channels))
        self.blocks = nn.ModuleList(_ConvolutionalBlock(len(shape), channels, dropout) for _ in range(blocks))

    def forward(self, x: Tensor) -> Tensor:
        x = (x + self.place).movedim(-1, 1)
        for block in self.blocks:
            x = block(x)
        return x.movedim(1, -1)


class _ConvolutionalBlock(nn.Module):
    def __init__(self, axes: int, channels: int, dropout: float) -> None:
        super().__init__()
        convolution = _CONVOLUTIONS[axes]
        self.norm = nn.GroupNorm(1, channels)
        self.first = convolution(channels, channels, 3, padding=1)
        self.around = nn.Linear(channels, channels)
        self.dropout = nn.Dropout(dropout)
        self.second = convolution(channels, channels, 3, padding=1)
        nn.init.zeros_(self.second.weight)

    def forward(self, x: Tensor) -> Tensor:
        h = self.first(F.silu(self.norm(x)))
        mean = self.around(h.flatten(2).mean(2))
        h = h + mean.view(*mean.shape, *(1,) * (x.ndim - 2))
        return x + self.second(self.dropout(F.silu(h)))  # type: ignore[no-any-return]


class _Transformer(nn.Module):
    """Pre-normalised attention blocks over the flattened grid."""

    def __init__(self, shape: tuple[int, ...], channels: int, blocks: int, dropout: float) -> None:
        super().__init__()
        self.place = nn.Parameter(0.02 * torch.randn(math.prod(shape), channels))
        self.blocks = nn.ModuleList(_AttentionBlock(channels, dropout) for _ in range(blocks))

    def forward(self, x: Tensor) -> Tensor:
        flat = x.flatten(1, -2) + self.place
        for block in self.blocks:
            flat = block(flat)
        return flat.view_as(x)


class _AttentionBlock(nn.Module):
    def __init__(self, channels: int, dropout: float) -> None:
        super().__init__()
        self.heads = max(channels // 32, 1)
        self.before, self.between = nn.LayerNorm(channels), nn.LayerNorm(channels)
        self.qkv, self.mix = nn.Linear(channels, 3 * channels), nn.Linear(channels, channels)
        self.wide, self.narrow = nn.Linear(channels, 4 * channels), nn.Linear(4 * channels, channels)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor) -> Tensor:
        rows, positions, channels = x.shape
        parts = self.qkv(self.before(x)).view(rows, positions, 3, self.heads, -1).permute(2, 0, 3, 1, 4)
        attended = F.scaled_dot_product_attention(*parts.unbind(0))
        x = x + self.dropout(self.mix(attended.transpose(1, 2).reshape(rows, positions, channels)))
        return x + self.dropout(self.narrow(F.gelu(self.wide(self.between(x)))))  # type: ignore[no-any-return]
