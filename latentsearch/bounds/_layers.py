r"""How intervals pass through layers.

Interval bound propagation [Gowal et al., *On the Effectiveness of Interval Bound Propagation for
Training Verifiably Robust Models*, 2018, section 3]: an affine layer maps centre and radius,
$\mu' = W\mu + b$ and $r' = |W| r$ (equation 6), an increasing function maps the two ends.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from latentsearch.errors import Unsupported

# Units of rounding by which intervals are widened before every sum, so that they hold what is
# rounded in another order too.
_ROUNDING = 16


class Interval(NamedTuple):
    """All tensors between two, element by element."""

    low: Tensor
    high: Tensor


_INCREASING = (
    nn.ReLU, nn.ReLU6, nn.LeakyReLU, nn.ELU, nn.Tanh, nn.Sigmoid, nn.Hardtanh, nn.Hardsigmoid, nn.Softplus,
    nn.Flatten, nn.Unflatten, nn.AvgPool1d, nn.AvgPool2d, nn.MaxPool1d, nn.MaxPool2d, nn.PixelShuffle,
)  # fmt: skip
_SAME = (nn.Identity, nn.Dropout, nn.Dropout1d, nn.Dropout2d)
_CONVOLUTIONS: dict[type, Callable[..., Tensor]] = {nn.Conv1d: F.conv1d, nn.Conv2d: F.conv2d}
_TRANSPOSED: dict[type, Callable[..., Tensor]] = {
    nn.ConvTranspose1d: F.conv_transpose1d,
    nn.ConvTranspose2d: F.conv_transpose2d,
}
_NORMS = (nn.BatchNorm1d, nn.BatchNorm2d)
AFFINE = (nn.Linear, *_CONVOLUTIONS, *_TRANSPOSED)
# Functions that fall and then rise, and where they turn.
_TURNS: dict[type, float] = {nn.GELU: -0.7517915246935645, nn.SiLU: -1.2784645427610738}
_FUNCTIONS: dict[Any, type[nn.Module]] = {torch.sigmoid: nn.Sigmoid, torch.tanh: nn.Tanh, torch.relu: nn.ReLU}


def flat_layers(network: object) -> list[nn.Module]:
    """The layers of a network in order, sequences opened; modules only."""
    if type(network) is nn.Sequential:
        return [layer for part in network for layer in flat_layers(part)]
    if isinstance(network, nn.Module):
        return [network]
    try:
        known = _FUNCTIONS.get(network)
    except TypeError:
        known = None
    if known is not None:
        return [known().eval()]
    raise refused(f"a {getattr(network, '__qualname__', type(network).__name__)}, which cannot be looked into")


def refused(got: str) -> Unsupported:
    return Unsupported(
        "IntervalBound",
        got=got,
        expected="an nn.Sequential of linear, convolution, batch norm, pooling and elementwise layers",
        hint="give BranchAndBoundSearch a bound of your own, or use CoordinateSearch",
    )


def check_layer(layer: nn.Module) -> None:
    """Raise Unsupported for a layer that has no rule here. Subclasses may do anything, so types must be exact."""
    from latentsearch.models import ResidualBlock  # late: most who import the package never ask for a bound

    kind = type(layer)
    known = kind in (*AFFINE, *_INCREASING, *_SAME, *_TURNS, ResidualBlock)
    known |= kind in _NORMS and bool(getattr(layer, "track_running_stats", False))
    known |= isinstance(layer, nn.Upsample) and layer.mode in ("nearest", "bilinear", "linear")
    known &= getattr(layer, "padding_mode", "zeros") == "zeros" and getattr(layer, "approximate", "none") == "none"
    known &= getattr(layer, "negative_slope", 0) >= 0 and getattr(layer, "alpha", 0) >= 0
    known &= not (getattr(layer, "return_indices", False) or layer._forward_hooks or layer._forward_pre_hooks)
    if not known or layer.training:
        raise refused(f"a decoder with the layer {layer}" + (" in train mode" if known else ""))


def through(layer: Any, x: Interval) -> Interval:
    """What a layer makes of an interval."""
    from latentsearch.models import ResidualBlock  # late: most who import the package never ask for a bound

    kind = type(layer)
    if kind in AFFINE:
        return _affine(lambda t, weight, bias: apply_affine(layer, t, weight, bias), layer.weight, layer.bias, x)
    if kind in _NORMS:
        return _norm(layer, x)
    if kind in _SAME:
        return x
    if kind in _TURNS:
        function: Callable[[Tensor], Tensor] = F.gelu if kind is nn.GELU else F.silu
        turn = torch.full_like(x.low, _TURNS[kind]).clamp(x.low, x.high)
        return Interval(function(turn), torch.maximum(function(x.low), function(x.high)))
    if isinstance(layer, ResidualBlock):
        inner = x
        for part in (nn.ReLU(), layer.wide, nn.ReLU(), layer.narrow):
            inner = through(part, inner)
        return Interval(x.low + inner.low, x.high + inner.high)
    inplace = getattr(layer, "inplace", False)
    return Interval(*(layer(end.clone() if inplace else end) for end in x))


def apply_affine(layer: Any, x: Tensor, weight: Tensor, bias: Tensor | None, groups: int | None = None) -> Tensor:
    """An affine layer with other parameters."""
    kind = type(layer)
    if kind is nn.Linear:
        return F.linear(x, weight, bias)
    groups = layer.groups if groups is None else groups
    if kind in _CONVOLUTIONS:
        return _CONVOLUTIONS[kind](x, weight, bias, layer.stride, layer.padding, layer.dilation, groups)
    extra = layer.output_padding
    return _TRANSPOSED[kind](x, weight, bias, layer.stride, layer.padding, extra, groups, layer.dilation)


def _affine(layer: Callable[..., Tensor], weight: Tensor, bias: Tensor | None, x: Interval) -> Interval:
    centre, radius = (x.low + x.high) / 2, (x.high - x.low) / 2
    middle = layer(centre, weight, bias)
    size = None if bias is None else bias.abs() * rounding(bias)
    around = layer(radius + (centre.abs() + radius) * rounding(x.low), weight.abs(), size)
    return Interval(middle - around, middle + around)


def _norm(layer: Any, x: Interval) -> Interval:
    weight = torch.ones_like(layer.running_var) if layer.weight is None else layer.weight
    scale = weight / (layer.running_var + layer.eps).sqrt()
    shift = -layer.running_mean * scale + (0 if layer.bias is None else layer.bias)
    shape = (-1, *(1,) * (x.low.ndim - 2))

    def scaled(t: Tensor, scale: Tensor, shift: Tensor | None) -> Tensor:
        assert shift is not None
        return t * scale.view(shape) + shift.view(shape)

    return _affine(scaled, scale, shift, x)


def rounding(like: Tensor) -> float:
    """The share of its size by which a number is widened."""
    return _ROUNDING * torch.finfo(like.dtype).eps
