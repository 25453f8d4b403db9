"""A part of a goal: what may hold data for B problems, one row each."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor
from typing_extensions import Self

from latentsearch._context import ordinary
from latentsearch._rows import mapped
from latentsearch.goal._addend import Addend


class Part(Addend):
    """Base of constraints and limits.

    Attributes:
        problems: B, how many problems there is data for; 1 serves any number of rows.
        tensors: Names of the attributes that hold one row a problem, ``(B, ...)`` or ``(1, ...)``.
    """

    problems: int = 1
    tensors: ClassVar[tuple[str, ...]] = ()

    @property
    def name(self) -> str:
        """The name in reports and messages."""
        return type(self).__name__

    def validate(self, output: Tensor, latent: Tensor) -> None:
        """Raise InvalidArgument if outputs and latents like these do not fit. Called once, before a run."""

    def select(self, index: Tensor) -> Self:
        """The part whose row n serves problem ``index[n]``; itself if it has one problem.

        Args:
            index: ``(N,)`` int64 in [0, B).
        """
        if self.problems == 1:
            return self
        chosen = mapped(self, self.tensors, lambda t: t if t.shape[0] == 1 else t[index.to(t.device)])
        chosen.problems = len(index)
        return chosen

    def to(self, device: torch.device | str, dtype: torch.dtype | None = None) -> Self:
        """The part with its own tensors on ``device``, the floating ones as ``dtype``."""
        return mapped(self, self.tensors, lambda t: ordinary(t).to(device, dtype if t.is_floating_point() else None))

    def __repr__(self) -> str:
        return f"{self.name}({self.problems} problems)" if self.problems > 1 else self.name
