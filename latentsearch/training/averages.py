"""Which weights a fit validates and ends with: the ones that learn, or their moving average."""

from __future__ import annotations

from typing import Protocol

from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn


class Average(Protocol):
    """What follows the model.

    Attributes:
        network: The module to validate.
    """

    network: nn.Module

    def update(self, model: nn.Module) -> None:
        """Take in the weights after a step."""

    def tensors(self) -> dict[str, Tensor]:
        """What a checkpoint holds of it."""

    def restore(self, tensors: dict[str, Tensor]) -> None:
        """Restore what a checkpoint held."""


def average_of(model: nn.Module, decay: float | None) -> Average:
    """The model itself, or an exponential moving average of its weights."""
    return _Itself(model) if decay is None else _Moving(model, decay)


class _Itself:
    """No average: the network is the model."""

    def __init__(self, model: nn.Module) -> None:
        self.network = model

    def update(self, model: nn.Module) -> None:
        pass

    def tensors(self) -> dict[str, Tensor]:
        return {}

    def restore(self, tensors: dict[str, Tensor]) -> None:
        pass


class _Moving:
    """An exponential moving average of parameters, from those after the first step on; buffers are the model's."""

    def __init__(self, model: nn.Module, decay: float) -> None:
        self._averaged = AveragedModel(model, multi_avg_fn=get_ema_multi_avg_fn(decay))
        self.network: nn.Module = self._averaged.module

    def update(self, model: nn.Module) -> None:
        self._averaged.update_parameters(model)

    def tensors(self) -> dict[str, Tensor]:
        return dict(self._averaged.state_dict())

    def restore(self, tensors: dict[str, Tensor]) -> None:
        self._averaged.load_state_dict(tensors)
