"""Samples, looked over, and random draws of some of them."""

from __future__ import annotations

import torch
from torch import Tensor

from latentsearch._checks import in_short, require_seed
from latentsearch.errors import InvalidArgument
from latentsearch.noise import Noise


def as_points(what: str, samples: object, least: int = 2) -> Tensor:
    """``(N, ...)`` as ``(N, d)`` float64, of at least ``least`` rows, all finite."""
    if not isinstance(samples, Tensor) or samples.ndim < 1 or len(samples) < least:
        expected = f"a tensor of at least {least} rows, one a sample"
        raise InvalidArgument(what, got=in_short(samples), expected=expected)
    if not samples.numel():
        raise InvalidArgument(what, got=in_short(samples), expected="at least one number a sample")
    points = samples.detach().double().reshape(len(samples), -1)
    if not bool(points.isfinite().all()):
        rows = (~points.isfinite()).any(1).nonzero().flatten().tolist()
        raise InvalidArgument(what, got=f"NaN or infinity in rows {rows[:8]}", expected="finite numbers")
    return points


def require_tensors(what: str, **tensors: object) -> None:
    """Raise unless each argument is a tensor."""
    for name, tensor in tensors.items():
        if not isinstance(tensor, Tensor):
            raise InvalidArgument(f"{what}.{name}", got=in_short(tensor), expected="a tensor")


def same_width(what: str, a: Tensor, b: Tensor, expected: str = "the same space") -> None:
    """Raise unless points ``(N, d)`` and ``(M, d)`` lie in the same space."""
    if a.shape[1] != b.shape[1]:
        raise InvalidArgument(what, got=f"points of {a.shape[1]} and {b.shape[1]} numbers", expected=expected)


def shuffled(count: int, seed: int, stream: int, device: torch.device | str = "cpu") -> Tensor:
    """``(count,)`` int64: a random order, a pure function of the seed and the stream."""
    require_seed("seed", seed)
    return Noise.from_seed(seed, device=device).fold(stream).bits(count)[0].argsort()


def halves(count: int, most: int, seed: int, device: torch.device | str = "cpu") -> tuple[Tensor, Tensor]:
    """Indices of two random disjoint sets of the same size, at most ``most`` each."""
    order = shuffled(count, seed, 0x48414C46, device)  # "HALF"
    size = min(count // 2, most)
    return order[:size], order[size : 2 * size]
