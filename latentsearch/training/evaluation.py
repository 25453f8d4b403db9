"""The terms of a model's loss: on a batch, and over a whole data set."""

from __future__ import annotations

import inspect
import itertools
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from latentsearch._checks import in_short, misfit, require_count
from latentsearch.errors import InvalidArgument
from latentsearch.noise import Noise
from latentsearch.training.batches import Data, in_order
from latentsearch.training.randomness import drawn_from

Terms = Mapping[str, Tensor]
"""Scalars by name, whose sum is the loss."""

_EVALUATE, _GLOBAL = 3, 4  # streams of noise folded in


class Trainable(Protocol):
    """What [fit][latentsearch.training.fit] asks of a model, beside being an ``nn.Module``."""

    def training_terms(self, *batch: Any) -> Mapping[str, Tensor] | Mapping[str, Terms | Callable[[], Terms]]:
        """The scalar terms of the loss on a batch: the data's tensors, then one row of noise.

        A model of several optimisers returns the terms of each of its
        [groups][latentsearch.training.Group] by the group's name; as functions of nothing where they
        are only worth computing when it is the group's turn.
        """


def require_trainable(what: str, model: object) -> None:
    """Raise unless this is a module, and no class of them, that has ``training_terms``."""
    # Not isinstance(model, Trainable): from Python 3.12 on that does not see what compiled modules pass on.
    if not isinstance(model, nn.Module) or not callable(getattr(model, "training_terms", None)):
        hint = f"write {model.__name__}(...)" if isinstance(model, type) else ""
        raise InvalidArgument(what, got=in_short(model), expected="an nn.Module with training_terms", hint=hint)


def terms_of(
    model: nn.Module, batch: Sequence[Any], noise: Noise, autocast: torch.dtype | None = None
) -> Mapping[str, Any]:
    """What ``training_terms`` gives for a batch, which is brought to where the weights are."""
    placed = next(itertools.chain(model.parameters(), model.buffers()), None)
    device = noise.keys.device if placed is None else placed.device
    parts = [_moved(part, device) for part in batch]
    # Dropout draws from torch's global state: from the noise, it is the same in every run, and after a resume.
    cast = torch.autocast(device.type, autocast, enabled=autocast is not None)
    with drawn_from(noise.fold(_GLOBAL), device), cast:
        try:
            terms: Mapping[str, Any] = model.training_terms(*parts, noise.to(device))  # type: ignore[operator]
        except TypeError:
            _require_room(model, len(parts))
            raise
    return terms


def _require_room(model: nn.Module, parts: int) -> None:
    """Raise if a call of ``training_terms`` failed for the number of its arguments."""
    function: Callable[..., object] = model.training_terms  # type: ignore[assignment]
    if why := misfit(function, *[None] * parts, None):
        got = f"a batch of {parts} part{'s' if parts > 1 else ''}, and noise ({why})"
        expected = f"what it takes, ({', '.join(inspect.signature(function).parameters)})"
        raise InvalidArgument("training_terms", got=got, expected=expected)


def _moved(part: Any, device: torch.device) -> Any:
    """A part of a batch on a device: a tensor, or tensors by name; what else there is stays as it is."""
    if isinstance(part, Mapping):
        return {name: _moved(value, device) for name, value in part.items()}
    return part.to(device) if isinstance(part, Tensor) else part


def _rows(batch: Sequence[Any]) -> int:
    """The number of rows of a batch."""
    first = batch[0]
    return len(next(iter(first.values()))) if isinstance(first, Mapping) else len(first)


def called(terms: Terms | Callable[[], Terms]) -> Terms:
    """Terms that may be a function of nothing."""
    return terms() if callable(terms) else terms


def flat(terms: Mapping[str, Any]) -> dict[str, Tensor]:
    """The terms of all groups, as ``group.term``; terms without groups as they are."""
    found: dict[str, Tensor] = {}
    for name, value in terms.items():
        if isinstance(value, Tensor):
            found[name] = value
        else:
            found |= {f"{name}.{term}": scalar for term, scalar in called(value).items()}
    return found


@torch.no_grad()
def evaluate(model: nn.Module, data: Data, *, batch_size: int = 500, noise: Noise | None = None) -> dict[str, float]:
    """Each term of a model's loss over all of ``data``, in evaluation mode.

    Args:
        model: A module with ``training_terms``. Of a model of several groups, the terms are called
            ``group.term``.
        data: Tensors with the same first dimension, a data set, or an iterable of batches that ends,
            such as a data loader.
        batch_size: Rows at a time, of tensors and data sets.
        noise: One row, for models that draw; seed 0 if not given. It may be on any device, as the data may.

    Raises:
        InvalidArgument: If there are no data, or the model has no ``training_terms``.
    """
    require_trainable("evaluate.model", model)
    require_count("evaluate.batch_size", batch_size)
    if noise is not None and not isinstance(noise, Noise):
        raise InvalidArgument("evaluate.noise", got=in_short(noise), expected="a Noise", hint="Noise.from_seed(0)")
    noise = (Noise.from_seed(0) if noise is None else noise).fold(_EVALUATE)
    training, batches, start = model.training, in_order("evaluate.data", data, batch_size), 0
    scored: list[tuple[dict[str, float], int]] = []
    model.eval()
    try:
        for batch in batches:
            terms = flat(terms_of(model, batch, noise.fold(start)))
            scored.append(({name: float(term) for name, term in terms.items()}, _rows(batch)))
            start += _rows(batch)
    finally:
        model.train(training)
    if not start:
        raise InvalidArgument("evaluate.data", got="no batch", expected="at least one row")
    names = dict.fromkeys(name for terms, _ in scored for name in terms)
    return {name: sum(terms[name] * rows / start for terms, rows in scored if name in terms) for name in names}
