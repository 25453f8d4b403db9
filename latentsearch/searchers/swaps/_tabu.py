"""The tabu list of a row: swaps tried at the grid held without improvement; none is tried again until it changes."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from latentsearch.result import Status
from latentsearch.searchers.swaps._evaluate import Outcome
from latentsearch.searchers.swaps._swaps import Swaps, until_stalled


@dataclass
class TabuList:
    """Swaps tried at the grid held.

    Attributes:
        ids: ``(M, T)`` int64, filled up with the id of the code that position 0 holds, which is no swap.
        count: ``(M,)`` int64, how many they are.
    """

    ids: Tensor
    count: Tensor

    @classmethod
    def empty(cls, z: Tensor) -> TabuList:
        """For grids ``(M, *S)`` at which nothing was tried yet."""
        count = z.new_zeros(len(z))
        return cls(count.new_zeros(len(z), 0), count)

    def update(self, outcome: Outcome, swaps: Swaps, codebook_size: int) -> TabuList:
        """With the swaps ``(M, C + U)`` that were evaluated; empty where the grid changed."""
        # The code that position 0 holds is no swap: its id is the filler.
        filler = outcome.z.flatten(1)[:, :1]
        ids = torch.cat([self.ids, torch.where(outcome.tried, swaps.ids(codebook_size), filler)], 1)
        count = torch.where(outcome.better, 0, self.count + outcome.tried.sum(1))
        return TabuList(torch.where(outcome.better[:, None], filler, ids), count)

    def status(self, outcome: Outcome, total: int, patience: int | None) -> Tensor:
        """``(M,)``: OPTIMAL where no swap at all improves (a 1-swap local optimum), STALLED where the best ones do not.

        Args:
            outcome: The result of the last evaluation.
            total: Swaps that there are of a grid.
            patience: Swaps tried without improvement before a row ends; None for all there are.
        """
        # Swaps whose score is not a number are never among the best, and may be all that are left.
        stalled = (self.count >= until_stalled(total, patience)) | ~(outcome.better | outcome.tried.any(1))
        status = torch.where(stalled, Status.STALLED, Status.RUNNING)
        return torch.where(self.count >= total, Status.OPTIMAL, status)
