"""Operations on anything made of tensors with rows first: a method's state, above all."""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Callable, Sequence
from typing import Any, Protocol, TypeVar, runtime_checkable

import torch
from torch import Tensor

from latentsearch._structural import Structural

State = TypeVar("State")


@runtime_checkable
class RowHolder(Protocol, metaclass=Structural):
    """An object that holds rows in its own way, such as an optimiser with its moments."""

    def tensors(self) -> dict[str, Tensor]:
        """Everything needed to rebuild the object, by name; tensors of no dimension serve all rows."""

    def rebuilt(self, tensors: dict[str, Tensor]) -> RowHolder:
        """The same kind of object around other tensors."""


def flatten(state: Any, prefix: str = "") -> dict[str, Tensor]:
    """The tensors of a state by dotted name: dataclasses, dicts and row holders are opened.

    Whole numbers, such as a count of steps, serve all rows and become tensors of no dimension.
    """
    if isinstance(state, Tensor):
        return {prefix: state}
    if isinstance(state, int):
        return {prefix: torch.tensor(state)}
    if isinstance(state, RowHolder):
        parts: dict[str, Any] = dict(state.tensors())
    elif dataclasses.is_dataclass(state):
        parts = {field.name: getattr(state, field.name) for field in dataclasses.fields(state)}
    elif isinstance(state, dict):
        parts = state
    else:
        raise TypeError(
            f"a state holds tensors, whole numbers, dicts and dataclasses; '{prefix}' is a {type(state).__name__}"
        )
    flat: dict[str, Tensor] = {}
    for name, part in parts.items():
        flat |= flatten(part, f"{prefix}.{name}" if prefix else name)
    return flat


def unflatten(template: State, tensors: dict[str, Tensor], prefix: str = "") -> State:
    """A state shaped like ``template`` with other tensors: the inverse of ``flatten``."""

    def inner(part: Any, name: str) -> Any:
        return unflatten(part, tensors, f"{prefix}.{name}" if prefix else name)

    if isinstance(template, Tensor):
        return tensors[prefix]  # type: ignore[return-value]
    if isinstance(template, int):
        return int(tensors[prefix])  # type: ignore[return-value]
    if isinstance(template, RowHolder):
        mine = f"{prefix}." if prefix else ""
        held = {n.removeprefix(mine): t for n, t in tensors.items() if n.startswith(mine)}
        return template.rebuilt(held)  # type: ignore[return-value]
    if isinstance(template, dict):
        return {name: inner(part, name) for name, part in template.items()}  # type: ignore[return-value]
    fields = [field.name for field in dataclasses.fields(template)]  # type: ignore[arg-type]
    return dataclasses.replace(template, **{n: inner(getattr(template, n), n) for n in fields})  # type: ignore[type-var]


def map_rows(state: State, function: Callable[[Tensor], Tensor]) -> State:
    """``function`` on every tensor that has rows."""
    return unflatten(state, {n: function(t) if t.ndim else t for n, t in flatten(state).items()})


Holder = TypeVar("Holder")


def mapped(holder: Holder, names: Sequence[str], function: Callable[[Tensor], Tensor]) -> Holder:
    """A copy of an object with ``function`` of the named tensors; the object itself if none are named."""
    if not names:
        return holder
    clone = copy.copy(holder)
    for name in names:
        object.__setattr__(clone, name, function(getattr(holder, name)))
    return clone


def per_row(values: Tensor, like: Tensor) -> Tensor:
    """``(N,)`` values shaped to broadcast against ``like``, ``(N, ...)``."""
    return values.view(-1, *(1,) * (like.ndim - 1))


def share_of(done: int | Tensor, total: Tensor, like: Tensor) -> Tensor:
    """How much of a total has been done, at most 1, in the dtype of ``like``: that of whole numbers is the caller's."""
    return (done / total.to(like.dtype)).clamp(max=1)


def sum_rows(x: Tensor) -> Tensor:
    """``(N, ...)`` summed to ``(N,)``."""
    return x.flatten(1).sum(1)


def mean_rows(x: Tensor) -> Tensor:
    """``(N, ...)`` averaged to ``(N,)``."""
    return x.flatten(1).mean(1)
