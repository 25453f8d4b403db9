"""How a linear function of the output is bounded from below: backward from the output to the codes, layer by layer.

Linear relaxation [Zhang et al., *Efficient Neural Network Robustness Certification with General
Activation Functions*, 2018, section 3 (CROWN)]: where the function rises with a neuron it is held
below by the neuron's lower line, where it falls by the upper one. What reaches the codes is linear in
what each position gives, so its least value over a set of grids is a sum over positions of minima.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from latentsearch._rows import sum_rows
from latentsearch.bounds._layers import AFFINE, Interval, through

_LINEAR: tuple[type[nn.Module], ...] = (
    *AFFINE, nn.BatchNorm1d, nn.BatchNorm2d, nn.Flatten, nn.Unflatten, nn.AvgPool1d, nn.AvgPool2d, nn.Upsample,
    nn.PixelShuffle, nn.Identity, nn.Dropout, nn.Dropout1d, nn.Dropout2d,
)  # fmt: skip


class Backward(NamedTuple):
    """A linear function one layer further back.

    Attributes:
        v: ``(N, ...)``, its coefficients.
        constant: ``(N,)``, what is added.
        size: ``(N,)``, the sum of the sizes of what the constant was summed from, for its rounding.
    """

    v: Tensor
    constant: Tensor
    size: Tensor


def backward(layer: Any, x: Interval, v: Tensor) -> Backward:
    """``v . layer(x) >= v' . x + constant`` for all x of an interval.

    Args:
        layer: One that has a rule in ``_layers``.
        x: What comes into it, ``(N, ...)``.
        v: ``(N, ...)``, shaped as what comes out of it.
    """
    from latentsearch.models import ResidualBlock  # late: most who import the package never ask for a bound

    if isinstance(layer, _LINEAR):
        return transposed(layer, torch.zeros_like(x.low), v)
    if isinstance(layer, ResidualBlock):
        inner = [nn.ReLU(), layer.wide, nn.ReLU(), layer.narrow]
        branch = backward_through(inner, forward_bounds(inner, x), v)
        return branch._replace(v=v + branch.v)
    if isinstance(layer, (nn.ReLU, nn.LeakyReLU)) and getattr(layer, "negative_slope", 0) <= 1:
        return _backward_relu(layer, x, v)
    after = through(layer, x)
    ends = v.clamp(min=0) * after.low + v.clamp(max=0) * after.high
    return Backward(torch.zeros_like(x.low), *sizes(ends))


def forward_bounds(layers: Sequence[nn.Module], x: Interval) -> list[Interval]:
    """What comes into each layer, and what comes out of the last."""
    seen = [x]
    for layer in layers:
        seen.append(through(layer, seen[-1]))
    return seen


def backward_through(layers: Sequence[nn.Module], seen: Sequence[Interval], v: Tensor) -> Backward:
    """A linear function taken backward through several layers; ``seen`` is what ``forward_bounds`` returned."""
    total = Backward(v, *sizes(torch.zeros_like(v)))
    for layer, x in zip(reversed(layers), reversed(seen[:-1]), strict=True):
        back = backward(layer, x, total.v)
        total = Backward(back.v, total.constant + back.constant, total.size + back.size)
    return total


def transposed(layer: Callable[[Tensor], Tensor], zeros: Tensor, v: Tensor) -> Backward:
    """An affine layer taken backward."""
    with torch.enable_grad():
        leaf = zeros.requires_grad_()
        output = layer(leaf)
        (back,) = torch.autograd.grad(output, leaf, v)
    return Backward(back, *sizes(v * output.detach()))


def _backward_relu(layer: Any, x: Interval, v: Tensor) -> Backward:
    """A leaky ReLU, of slope a below 0 and 1 above: between its chord and the nearer of its two lines."""
    slope = float(getattr(layer, "negative_slope", 0.0))
    low, high = x.low.clamp(max=0), x.high.clamp(min=0)
    chord = (high - slope * low) / (high - low).clamp(min=torch.finfo(low.dtype).tiny)
    below, above = torch.where(x.high + x.low > 0, 1.0, slope), chord
    for certain, value in ((x.high <= 0, slope), (x.low >= 0, 1.0)):
        below, above = torch.where(certain, value, below), torch.where(certain, value, above)
    # The chord passes through the upper end, where the function is the identity.
    offset = torch.where((x.low < 0) & (x.high > 0), high - above * high, 0.0)
    rises = v > 0
    return Backward(v * torch.where(rises, below, above), *sizes(torch.where(rises, 0.0, v * offset)))


def sizes(terms: Tensor) -> tuple[Tensor, Tensor]:
    """``(N, ...)`` terms summed, and their sizes summed: ``(N,)`` twice."""
    return sum_rows(terms), sum_rows(terms.abs())
