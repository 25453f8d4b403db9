"""Elementwise distances that several constraints share."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from latentsearch._shapes import remedy
from latentsearch.errors import InvalidArgument, describe

Distance = Literal["l2", "l1", "huber"]


def _huber(a: Tensor, b: Tensor) -> Tensor:
    # Expanded, since torch warns where one target serves many rows.
    a, b = torch.broadcast_tensors(a, b)
    return F.huber_loss(a, b, reduction="none", delta=0.1)


DISTANCES: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "l2": lambda a, b: (a - b).square(),
    "l1": lambda a, b: (a - b).abs(),
    "huber": _huber,
}


def check_target(what: str, target: Tensor, output_shape: torch.Size, wanted_of: str) -> None:
    """A target of one row a problem must have the output's shape."""
    if target.shape[1:] == output_shape[1:]:
        return
    wanted = tuple(output_shape[1:])
    hint = remedy("target", tuple(target.shape), lambda shape: shape[1:] == wanted)
    shape = ", ".join(map(str, output_shape[1:]))
    raise InvalidArgument(what, got=describe(target), expected=f"shape (B, {shape}), {wanted_of}", hint=hint)


def check_floating(what: str, target: Tensor) -> None:
    """A target must be in the output's range, hence floating."""
    if not target.is_floating_point():
        real = not target.is_complex()
        raise InvalidArgument(
            what,
            got=describe(target),
            expected="floating values in the output's range" if real else "real values",
            hint="x.float() / 255 for bytes" if real else "torch.view_as_real(x) has both parts in a last dimension",
        )
