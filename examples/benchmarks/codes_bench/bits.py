"""Digits as grids of bits: the decoder is the identity, and a masked model of them that sees all resolutions."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

import latentsearch as ls
from latentsearch.priors import MaskedDiffusion

SIDE = 32
_PASSES = 64  # of a draw, and of log_prob


def bits_of(images: Tensor) -> Tensor:
    """Images ``(N, 1, H, W)`` in [0, 1], padded, to bits ``(N, 32, 32)`` int64: 1 from grey level 128 of 255 on."""
    (above, left) = ((SIDE - side) // 2 for side in images.shape[2:])
    padded = F.pad(images, (left, left, above, above))[:, 0]
    return padded.mul(255).round().ge(128).long()


def digits_of(bits: Tensor) -> Tensor:
    """Bits ``(N, 32, 32)`` to images ``(N, 1, 28, 28)`` without the padding."""
    return bits[:, None, 2:-2, 2:-2].float()


def generator(prior: ls.Prior | None = None) -> ls.CodebookGenerator:
    """Bits that stand for themselves: outputs ``(N, 1, 32, 32)`` of zeros and ones."""
    values = torch.tensor([[0.0], [1.0]])
    return ls.CodebookGenerator(nn.Identity(), values, shape=(SIDE, SIDE), encode=bits_of, prior=prior)


class BitDiffusion(MaskedDiffusion):
    """A masked model whose network looks at grids at three resolutions.

    A thousand positions are too many for attention on a CPU, and convolutions of one resolution would see a stroke and
    no digit.
    """

    def __init__(
        self, space: ls.Discrete, *, channels: int = 24, blocks: int = 2, dropout: float = 0.0, **others: Any
    ) -> None:
        super().__init__(
            space, channels=channels, blocks=1, trunk="convolutional", dropout=dropout, steps=_PASSES, **others
        )
        self.settings |= {"blocks": blocks}
        self.trunk = Pyramid(space.shape, channels, blocks, dropout)


class Pyramid(nn.Module):
    """A residual network from ``(N, H, W, C)`` to the same: down to a quarter of each side, and up again.

    Args:
        shape: (H, W), multiples of 4.
        channels: C; there are twice as many at half the resolution, and four times at a quarter.
        blocks: On the way down and on the way up; one more at the bottom.
        dropout: In each block.
    """

    def __init__(self, shape: tuple[int, ...], channels: int, blocks: int, dropout: float) -> None:
        super().__init__()
        wide, widest = 2 * channels, 4 * channels

        def chain(width: int, count: int) -> nn.Sequential:
            return nn.Sequential(*(Block(width, dropout) for _ in range(count)))

        self.place = nn.Parameter(torch.zeros(*shape, channels))
        self.down, self.deeper = nn.Conv2d(channels, wide, 2, 2), nn.Conv2d(wide, widest, 2, 2)
        self.higher, self.up = nn.ConvTranspose2d(widest, wide, 2, 2), nn.ConvTranspose2d(wide, channels, 2, 2)
        self.before, self.bottom, self.after = chain(wide, blocks), chain(widest, blocks + 1), chain(wide, blocks)
        self.last = chain(channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        x = (x + self.place).movedim(-1, 1)
        half = self.before(self.down(x))
        half = self.after(half + self.higher(self.bottom(self.deeper(half))))
        return self.last(x + self.up(half)).movedim(1, -1)  # type: ignore[no-any-return]


class Block(nn.Module):
    """A residual block of two convolutions, with a path through the mean over the grid."""

    def __init__(self, channels: int, dropout: float) -> None:
        super().__init__()
        self.norm = nn.GroupNorm(1, channels)
        self.first, self.second = (nn.Conv2d(channels, channels, 3, padding=1) for _ in range(2))
        self.around = nn.Linear(channels, channels)
        self.dropout = nn.Dropout(dropout) if dropout else nn.Identity()
        nn.init.zeros_(self.second.weight)

    def forward(self, x: Tensor) -> Tensor:
        h = self.first(F.silu(self.norm(x)))
        h = h + self.around(h.mean((2, 3)))[..., None, None]
        return x + self.second(self.dropout(F.silu(h)))  # type: ignore[no-any-return]
