"""The gated layers of PixelCNN: a vertical stack that sees the rows above, and a horizontal one that sees the left."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class GatedLayer(nn.Module):
    r"""One layer of both stacks, $\tanh(a) \cdot \sigma(b)$ each [van den Oord et al. 2016, figure 2].

    The vertical stack sees rows up to its own. It is shifted down by one row on its way into the horizontal stack,
    which sees the columns to the left of its own, and from the second layer on its own too: so nothing ever sees a
    code that comes later in raster order, or its own.

    Args:
        channels: Of both stacks.
        kernel: Odd; the side of the square that a full convolution would have.
        first: Whether the horizontal stack leaves out its own column.
        shape: ``(H, W)``, since every position has a bias of its own.
        classes: Classes that the gates know of; 0 for none.
    """

    def __init__(self, channels: int, kernel: int, first: bool, shape: tuple[int, int], classes: int) -> None:
        super().__init__()
        reach = kernel // 2
        self.reach, self.first = reach, first
        # Rows above and the own one; columns to the left and, but for the first layer, the own one.
        self.vertical = nn.Conv2d(channels, 2 * channels, (reach + 1, kernel))
        self.horizontal = nn.Conv2d(channels, 2 * channels, (1, reach + (not first)))
        self.across = nn.Conv2d(2 * channels, 2 * channels, 1)
        self.out = nn.Conv2d(channels, channels, 1)
        self.skip = nn.Conv2d(channels, channels, 1)
        self.place = nn.Parameter(torch.zeros(2, 2 * channels, *shape))
        self.labels = nn.Embedding(classes, 4 * channels) if classes else None
        if self.labels is not None:
            nn.init.zeros_(self.labels.weight)

    def label_bias(self, label: Tensor | None) -> tuple[Tensor, Tensor] | tuple[float, float]:
        """What labels ``(N,)`` add to the vertical and to the horizontal gates, ``(N, 2C, 1, 1)`` each."""
        if self.labels is None or label is None:
            return 0.0, 0.0
        down, right = self.labels(label)[..., None, None].chunk(2, 1)
        return down, right

    def forward(self, down: Tensor, right: Tensor, label: Tensor | None) -> tuple[Tensor, Tensor, Tensor]:
        """Vertical and horizontal features ``(N, C, H, W)`` to the next ones, and to what goes to the head."""
        biases = self.label_bias(label)
        below = self.see_rows(F.pad(down, (self.reach, self.reach, self.reach, 0))) + self.place[0] + biases[0]
        moved = self.across(F.pad(below, (0, 0, 1, 0))[:, :, :-1])
        left = F.pad(right, (self.reach, 0, 0, 0))
        left = left[..., :-1] if self.first else left
        beside = gate(self.horizontal(left) + moved + self.place[1] + biases[1])
        # The first layer's input is the code itself, which must not reach its own position.
        onward = self.out(beside) if self.first else right + self.out(beside)
        return gate(below), onward, self.skip(beside)

    def see_rows(self, padded: Tensor) -> Tensor:
        """The vertical convolution of features padded above and on both sides."""
        return self.vertical(padded)  # type: ignore[no-any-return]


def gate(x: Tensor) -> Tensor:
    """``(N, 2C, H, W)`` to ``(N, C, H, W)``."""
    a, b = x.chunk(2, 1)
    return a.tanh() * b.sigmoid()
