"""Whether a code is felt mostly near its own place: looked at, since the shapes of grid and output do not tell.

A grid of one axis may be a sequence, or a handful of codes of which a fully connected decoder makes everything.
"""

from __future__ import annotations

import torch
from torch import Tensor

from latentsearch._maps import with_axes
from latentsearch.noise import Noise
from latentsearch.protocols import Generator
from latentsearch.searchers.swaps._colours import owned_by_each
from latentsearch.spaces import Discrete

_PLACES = 6  # swaps that are looked at
_LEAST = 0.25  # of what a change is beyond an even spread, how much must be near the swap


@torch.no_grad()
def felt_nearby(generator: Generator, spacing: int = 3) -> bool:
    """Whether single swaps change the output mostly within what their positions own among those of their colour.

    It takes seven decodes, which are charged to nobody, as those that look a problem over before a run. They tell of
    the decoder alone, so that what is chosen for a problem does not depend on others beside it.

    Args:
        generator: A decoder of codes.
        spacing: Cells between positions of one colour.
    """
    space = generator.space
    assert isinstance(space, Discrete)
    position, grids = _swapped(space, Noise.from_seed(0, device=generator.device))
    # One by one: how many fit the memory at once is found out later.
    output = torch.cat([generator.decode(grid) for grid in grids.split(1)])
    change = (output[1:] - output[:1]).abs()
    axes = len(space.shape)
    # Channels may come before the axes of the grid, or a vocabulary after them.
    found = [
        _nearness(change.movedim(tuple(range(first, first + axes)), tuple(range(-axes, 0))), space, position, spacing)
        for first in range(1, change.ndim - axes + 1)
    ]
    return max(found, default=0.0) >= _LEAST


def _swapped(space: Discrete, noise: Noise) -> tuple[Tensor, Tensor]:
    """Where codes are swapped, ``(n,)``, and grids ``(1 + n, *S)``: a random one, and the same with a swap each."""
    position = noise.fold(0).integers(space.positions, _PLACES)[0]
    z = noise.fold(1).integers(space.codebook_size, space.positions).expand(_PLACES, -1)
    other = noise.fold(2).integers(space.codebook_size, _PLACES)[0][:, None]
    grids = torch.cat([z[:1], z.scatter(1, position[:, None], other)])
    return position, grids.unflatten(1, space.shape)


def _nearness(change: Tensor, space: Discrete, position: Tensor, spacing: int) -> float:
    """How much of changes ``(n, ..., *cells)`` is near the swaps, from 0 where they are spread evenly to 1."""
    change = with_axes(change, len(space.shape))
    owned = (owned_by_each(each, space.shape, spacing).flatten(1) for each in (change, torch.ones_like(change)))
    near, cells = (each.gather(1, position[:, None])[:, 0] for each in owned)
    total = change.flatten(1).sum(1)
    even = total * cells / change[0].numel()
    return float((near - even).sum() / (total - even).sum())
