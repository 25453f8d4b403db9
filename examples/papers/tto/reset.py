"""A third reading of Algorithm 2: the embedding is projected onto the codebook whenever the codes change."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch

import latentsearch as ls


@dataclass(frozen=True)
class ResetSearch(ls.StraightThroughSearch):
    """Accumulate while the codes stay, as in the inner loop, and start anew from the new codes when they change.

    So neither does a step that flips nothing get lost, as with `snap=True`, nor does a position carry a
    drift from grids long left behind, as it does where e is never projected. The next grid is a function
    of the grid alone: a repeat is a cycle.
    """

    def step(self, objective: Any, state: Any, noise: ls.Noise) -> Any:
        after, proposal = super().step(objective, state, noise)
        changed = (after.z != state.z).flatten(1).any(1)
        kept = changed.view(-1, *[1] * (after.e.value.ndim - 1))
        after.e.value.copy_(torch.where(kept, objective.embed(after.z), after.e.value))
        return after, proposal
