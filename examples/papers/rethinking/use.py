"""What becomes of many centres: how many attract data, and how many have come to lie in one place."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from .fits import images
from .spaces import by_parts

MERGED = 0.1  # of the spread of encodings: nearer to another centre than this


def measured(model: Any, data: str) -> dict[str, float]:
    """``used``: the share that is the nearest to some test encoding; ``merged``: the share that is beside another one.

    ``perplexity`` is of the shares of encodings; ``apart`` the mean distance of a centre from its nearest, over the
    spread of encodings; ``inside`` the share whose nearest encoding is no farther than encodings are from theirs, in
    95 of 100.
    """
    z = by_parts(model.encode, images(data, "test")[0])
    share = torch.bincount(model.nearest(z), minlength=len(model.centres)).double() / len(z)
    entropy = -(share * share.clamp(min=1e-12).log()).sum()
    spread = z.var(0).sum().sqrt()
    found = {
        "used": float((share > 0).double().mean()),
        "perplexity": float(entropy.exp()),
        "spread": float(spread),
        "inside": float((torch.cdist(model.centres, z).amin(1) <= _own(z).quantile(0.95)).double().mean()),
    }
    if len(model.centres) > 1:
        apart = torch.cdist(model.centres, model.centres).fill_diagonal_(torch.inf).amin(1) / spread
        found |= {"merged": float((apart < MERGED).double().mean()), "apart": float(apart.mean())}
    return found


def _own(z: Tensor) -> Tensor:
    """How far 1,000 encodings are from their nearest among all."""
    distance = torch.cdist(z[:1000], z)
    distance[torch.arange(len(distance)), torch.arange(len(distance))] = torch.inf
    return distance.amin(1)
