"""The prior that a model of the zoo carries: its file is read when something is asked of it."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property

import torch
from torch import Tensor

from latentsearch.priors import Fingerprint, FittedPrior
from latentsearch.priors.fitted_prior import FittedCodes
from latentsearch.protocols import Prior
from latentsearch.spaces import Discrete


class CarriedPrior(FittedCodes):
    """A prior over codes that is not read before it is needed, so that a model costs no more for having one.

    Args:
        space: The grids.
        read: Its file, as a prior on a device.
        device: Where its tensors are to live.
    """

    def __init__(
        self, space: Discrete, read: Callable[[torch.device], FittedPrior], device: torch.device | str = "cpu"
    ) -> None:
        self._space, self._read, self._device = space, read, torch.device(device)

    @cached_property
    def _whole(self) -> FittedPrior:
        return self._read(self._device)

    @property
    def space(self) -> Discrete:
        return self._space

    @property
    def prior(self) -> Prior:  # type: ignore[override]
        return self._whole.prior

    @property
    def residuals(self) -> Tensor:  # type: ignore[override]
        return self._whole.residuals

    @property
    def figures(self) -> dict[str, float]:  # type: ignore[override]
        return self._whole.figures

    @property
    def fingerprint(self) -> Fingerprint:  # type: ignore[override]
        # A model is the one that its file is of, so nothing is read for the sake of this.
        return self._whole.fingerprint if "_whole" in vars(self) else Fingerprint.unknown()

    def to(self, device: torch.device | str) -> CarriedPrior:
        """The same on another device; itself if it is there."""
        return self if torch.device(device) == self._device else CarriedPrior(self._space, self._read, device)
