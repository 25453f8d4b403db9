"""From a grid that was visited to the nearest one that was not."""

from __future__ import annotations

import torch
from torch import Tensor

from latentsearch._codebook import Codebook
from latentsearch._codes import swapped_hash
from latentsearch._rows import per_row


def nearest_unvisited(codebook: Codebook, e: Tensor, z: Tensor, visited: Tensor) -> tuple[Tensor, Tensor]:
    """The grid that differs from ``z`` in the one code that is cheapest to swap, and was not visited.

    What a swap costs is how much farther the new code's embedding is from ``e`` than that of the code held. Of
    one swap more than grids were visited, one at least leads to a grid that was not: no more need be looked at.

    Args:
        codebook: The codes.
        e: ``(M, *S, D)``.
        z: ``(M, *S)``.
        visited: ``(M, T)`` int64, hashes of the grids visited.

    Returns:
        ``(M, *S)``, and ``(M,)`` bool: whether there is such a grid; where not, ``z`` is returned.
    """
    flat, size = z.flatten(1), codebook.size
    cost = codebook.without_others(codebook.excess(e), torch.inf).flatten(1, -2)
    cost = cost - cost.gather(2, flat[..., None])
    cost = torch.where(cost.isnan(), torch.inf, cost).scatter(2, flat[..., None], torch.inf)
    count = min(visited.shape[1] + 1, flat.shape[1] * (size - 1))
    if count == 0:
        return z, torch.zeros_like(flat[:, 0], dtype=torch.bool)
    index = cost.flatten(1).topk(count, 1, largest=False).indices
    known = visited.sort(1).values
    swapped = swapped_hash(z, index // size, index % size, size)
    place = torch.searchsorted(known, swapped).clamp(max=known.shape[1] - 1)
    fresh = known.gather(1, place) != swapped
    if codebook.own is not None:
        fresh = fresh & codebook.own.expand(*z.shape[1:], size).flatten()[index]
    # The first that is new is the nearest; with none, the first of all is as good as any: ``z`` is returned.
    choice = index.gather(1, fresh.byte().argmax(1, keepdim=True))
    new = flat.scatter(1, choice // size, choice % size).view_as(z)
    found = fresh.any(1)
    return torch.where(per_row(found, z), new, z), found
