"""The convolutional stacks that the reference models share."""

from __future__ import annotations

from itertools import pairwise

import torch.nn.functional as F
from torch import Tensor, nn

from latentsearch._checks import require_count


class ResidualBlock(nn.Module):
    """``x + conv1(relu(conv3(relu(x))))``, as in the VQ-VAE paper, section 4.1."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        require_count("ResidualBlock.channels", channels)
        inner = max(channels // 4, 8)
        self.wide = nn.Conv2d(channels, inner, 3, padding=1)
        self.narrow = nn.Conv2d(inner, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.narrow(F.relu(self.wide(F.relu(x))))  # type: ignore[no-any-return]


def encoder_stack(
    channels_in: int, channels: int, width: int, residual_blocks: int, halvings: int = 2
) -> nn.Sequential:
    """Halvings, residual blocks, and a projection: ``(N, C, H, W)`` to ``(N, width, H/2^h, W/2^h)``."""
    sizes = [channels_in, *_widths(channels, halvings)]
    return nn.Sequential(
        *(
            layer
            for before, after in pairwise(sizes)
            for layer in (nn.Conv2d(before, after, 4, stride=2, padding=1), nn.ReLU())
        ),
        nn.Conv2d(channels, channels, 3, padding=1),
        *(ResidualBlock(channels) for _ in range(residual_blocks)),
        nn.ReLU(),
        nn.Conv2d(channels, width, 1),
    )


def decoder_stack(
    width: int, channels: int, channels_out: int, residual_blocks: int, halvings: int = 2
) -> nn.Sequential:
    """The mirror: ``(N, width, H/2^h, W/2^h)`` to ``(N, C, H, W)``, unbounded."""
    sizes = [*reversed(_widths(channels, halvings)), channels_out]
    return nn.Sequential(
        nn.Conv2d(width, channels, 3, padding=1),
        *(ResidualBlock(channels) for _ in range(residual_blocks)),
        *(
            layer
            for before, after in pairwise(sizes)
            for layer in (nn.ReLU(), nn.ConvTranspose2d(before, after, 4, stride=2, padding=1))
        ),
    )


def vector_stacks(
    image_shape: tuple[int, int, int], channels: int, outputs: int, width: int, residual_blocks: int
) -> tuple[nn.Sequential, nn.Sequential]:
    """An encoder of images ``(N, C, H, W)`` to ``(N, outputs)``, and a decoder of ``(N, width)``, by quarter sides."""
    colours, height, breadth = image_shape
    sides, inner = (height // 4, breadth // 4), max(channels // 4, 8)
    cells = inner * sides[0] * sides[1]
    encoder = nn.Sequential(
        encoder_stack(colours, channels, inner, residual_blocks), nn.Flatten(), nn.Linear(cells, outputs)
    )
    decoder = nn.Sequential(
        nn.Linear(width, cells),
        nn.Unflatten(1, (inner, *sides)),
        decoder_stack(inner, channels, colours, residual_blocks),
    )
    return encoder, decoder


def _widths(channels: int, halvings: int) -> list[int]:
    """Channels after each halving: they double up to the full number."""
    return [channels >> (halvings - 1 - i) for i in range(halvings)]
