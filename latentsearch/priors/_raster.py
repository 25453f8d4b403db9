"""Draws from a PixelCNN one code after another, at the cost of what is new and not of a pass."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from torch import Tensor

from latentsearch.noise import Noise
from latentsearch.priors._gated import gate

if TYPE_CHECKING:
    from latentsearch.priors.pixelcnn import PixelCNN


@torch.no_grad()
def draw(network: PixelCNN, noise: Noise, label: Tensor | None) -> Tensor:
    """``(N, *S)`` grids, of classes ``(N,)`` where there are any."""
    height, width = network.sides
    z = torch.zeros(len(noise), height, width, dtype=torch.int64, device=noise.keys.device)
    above = _RowsAbove(network, len(noise), label)
    for row in range(height):
        beside = _OwnRow(network, above.across(), row, label)
        for column in range(width):
            logits = beside.logits(column)
            z[:, row, column] = noise.fold(row * width + column).categorical(logits)
            beside.put(column, network.codes.embed(z[:, row, column]))
        above.push(beside.embedded, row)
    return z.view(len(noise), *network.space.shape)


class _RowsAbove:
    """The vertical stack: at each layer the last rows of its input, and its output at the last row."""

    def __init__(self, network: PixelCNN, rows: int, label: Tensor | None) -> None:
        self._layers, self._label = network.layers, label
        like, width = network.codes.masked, network.sides[1]
        # Padded at both sides, as the convolution wants it.
        self._windows = [
            like.new_zeros(rows, len(like), layer.reach + 1, width + 2 * layer.reach) for layer in self._layers
        ]
        self._below = [like.new_zeros(rows, 2 * len(like), 1, width) for _ in self._layers]

    def across(self) -> list[Tensor]:
        """What each layer's horizontal stack learns of the rows above: ``(N, 2C, 1, W)``."""
        return [layer.across(below) for layer, below in zip(self._layers, self._below, strict=True)]

    def push(self, x: Tensor, row: int) -> None:
        """Take in a finished row of codes' vectors, ``(N, C, 1, W)``."""
        for number, layer in enumerate(self._layers):
            padded = F.pad(x, (layer.reach, layer.reach))
            self._windows[number] = torch.cat([self._windows[number][:, :, 1:], padded], 2)
            bias = layer.place[0, :, row : row + 1] + layer.label_bias(self._label)[0]
            self._below[number] = layer.see_rows(self._windows[number]) + bias
            x = gate(self._below[number])


class _OwnRow:
    """The horizontal stack in the row that is being drawn: each layer's input so far."""

    def __init__(self, network: PixelCNN, across: list[Tensor], row: int, label: Tensor | None) -> None:
        self._network, self._layers, self._row = network, network.layers, row
        self._given = [
            said + layer.place[1, :, row : row + 1] + layer.label_bias(label)[1]
            for layer, said in zip(self._layers, across, strict=True)
        ]
        rows, doubled, _, width = across[0].shape
        self._inputs = [across[0].new_zeros(rows, doubled // 2, 1, layer.reach + width) for layer in self._layers]

    @property
    def embedded(self) -> Tensor:
        """``(N, C, 1, W)``: the vectors of the codes that were put."""
        return self._inputs[0][..., self._layers[0].reach :]

    def put(self, column: int, vector: Tensor) -> None:
        """Take in the vectors ``(N, C)`` of the codes drawn at a column."""
        self._store(0, column, vector[:, :, None, None])

    def logits(self, column: int) -> Tensor:
        """``(N, K)`` log-probabilities at a column, given what was put before it."""
        total, right = torch.zeros_like(self._inputs[0][..., :1]), self._inputs[0][..., :1]
        for number, layer in enumerate(self._layers):
            if number:
                self._store(number, column, right)
            seen = self._inputs[number][..., column : column + layer.horizontal.kernel_size[1]]
            beside = gate(layer.horizontal(seen) + self._given[number][..., column : column + 1])
            right = layer.out(beside) if layer.first else right + layer.out(beside)
            total = total + layer.skip(beside)
        return self._network.logits_at(total[..., 0, 0], self._row * self._network.sides[1] + column)

    def _store(self, number: int, column: int, value: Tensor) -> None:
        place = self._layers[number].reach + column
        self._inputs[number][..., place : place + 1] = value
