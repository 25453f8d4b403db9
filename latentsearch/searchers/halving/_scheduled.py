"""Any torch optimiser over the members of every row, at a learning rate that each row has for itself."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from latentsearch.loop import OptimizerFactory, RowOptimizer, take


@dataclass
class Scheduled:
    """Members that an optimiser moves.

    Attributes:
        held: The optimiser around ``(N, M, d)``.
        loss: ``(N, M)``, of the points scored last; infinite before the first step.
    """

    held: RowOptimizer
    loss: Tensor

    @staticmethod
    def at(z: Tensor, optimizer: OptimizerFactory) -> Scheduled:
        """Members at ``(N, M, d)``."""
        return Scheduled(RowOptimizer(optimizer, z), torch.full_like(z[..., 0], torch.inf))

    def next_points(self) -> Tensor:
        """``(N, M, d)``: the points to score next."""
        return self.held.value.clone()

    def keep(self, index: Tensor) -> Scheduled:
        """Of each row the members ``(N, V)``."""
        tensors = {name: take(t, index) if t.ndim else t for name, t in self.held.tensors().items()}
        return Scheduled(self.held.rebuilt(tensors), take(self.loss, index))

    def advanced(self, points: Tensor, loss: Tensor, gradient: Tensor, rate: Tensor) -> Scheduled:
        """Move the members.

        Args:
            points: ``(N, M, d)``, what was scored: the members, projected onto the hard limit.
            loss: ``(N, M)``, there; infinite where it is no number.
            gradient: ``(N, M, d)``, there.
            rate: ``(N,)``, what is left of the optimiser's own learning rate.
        """
        self.held.value.copy_(points)
        self.held.step(gradient)
        # Steps are in proportion to the learning rate, and rows may have different ones: the move is scaled.
        self.held.value.copy_(torch.lerp(points, self.held.value, rate[:, None, None]))
        return Scheduled(self.held, loss)
