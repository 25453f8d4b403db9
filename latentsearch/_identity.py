"""Descriptions of settings that are the same in every process: no addresses, tensors by contents.

A checkpoint stores one, so that it is resumed by the search or the fit it belongs to and by no other.
"""

from __future__ import annotations

import functools
import hashlib
import inspect
import os
import re
import types
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

_DEPTH = 12  # deeper than any settings nest; an object that refers to itself stops here
_NUMBERS = (bool, int, float, complex, str, bytes, Tensor, np.ndarray)
_PLAIN = (*_NUMBERS, tuple, list, dict, set, frozenset, functools.partial)
_OTHERS = ("builtins", "torch", "numpy", "latentsearch", "typing", "abc")  # whose classes are the same by name
_INTERNAL = frozenset(vars(nn.Module()))  # what torch itself keeps in every module: weights, hooks, the mode

Weights = Tensor | nn.Module
Describer = Callable[[Weights], str]


def bytes_of(tensor: Tensor) -> memoryview:
    """What a tensor holds, byte by byte."""
    flat = tensor.detach().cpu().reshape(-1)
    # A single element may have any stride, and is contiguous all the same.
    flat = flat if flat.is_contiguous() and flat.stride() == (1,) else flat.clone(memory_format=torch.contiguous_format)
    return flat.view(torch.uint8).numpy().data


def digest(*tensors: Tensor) -> str:
    """A short hash of dtypes, shapes and contents."""
    sha = hashlib.sha256()
    for tensor in tensors:
        plain = tensor.detach().cpu().contiguous()
        sha.update(f"{plain.dtype}{tuple(plain.shape)}".encode())
        sha.update(bytes_of(plain))
    return sha.hexdigest()[:16]


def by_contents(weights: Weights) -> str:
    """Tensors and modules as a search sees them: with all their values."""
    if isinstance(weights, Tensor):
        return f"tensor:{digest(weights)}"
    return f"{weights!r}:{digest(*weights.state_dict().values())}"


def describe_settings(value: Any, depth: int = _DEPTH, weights: Describer = by_contents) -> str:
    """What ``value`` is made of, in words that do not change from process to process."""
    inner = functools.partial(describe_settings, depth=depth - 1, weights=weights)
    if depth == 0:
        return type(value).__qualname__
    match value:
        case Tensor() | nn.Module():
            return weights(value)
        case None | bool() | int() | float() | str() | torch.dtype() | torch.device():
            return repr(value)
        case complex() | bytes() | range() | slice() | np.generic() | os.PathLike():
            return repr(value)
        case type():
            return f"{value.__module__}.{value.__qualname__}"
        case set() | frozenset():
            return f"{{{', '.join(sorted(map(inner, value)))}}}"
        case types.CodeType():
            return f"{hashlib.sha256(value.co_code).hexdigest()[:8]}{inner(value.co_names)}{inner(value.co_consts)}"
        case types.BuiltinFunctionType():
            return f"{value.__module__}.{value.__qualname__}"
        case np.ndarray():
            return f"array:{hashlib.sha256(value.tobytes()).hexdigest()[:16]}"
        case list() | tuple():
            return f"[{', '.join(map(inner, value))}]"
        case dict():
            return (
                f"{{{', '.join(f'{k}: {inner(v)}' for k, v in sorted(value.items(), key=lambda item: repr(item[0])))}}}"
            )
        case functools.partial():
            return f"{inner(value.func)}{inner(value.args)}{inner(value.keywords)}"
        case types.MethodType():
            return f"{inner(value.__self__)}.{value.__name__}"
        case types.FunctionType():
            names = inspect.getclosurevars(value)
            # What it reads of its module, such as a learning rate, one level deep: others are the same by name.
            read = {name: _global(held, weights) for name, held in names.globals.items()}
            held = [names.nonlocals, read, value.__defaults__, value.__kwdefaults__]
            return f"{value.__module__}.{value.__qualname__}:{inner(value.__code__)}{inner(held)}"
    return f"{type(value).__qualname__}{inner(_attributes(value))}"


def _global(held: Any, weights: Describer) -> str:
    """What a function reads of its module: numbers, what objects and classes hold, and what functions do."""
    if isinstance(held, types.FunctionType):
        return describe_settings(held.__code__, 3, weights)
    if isinstance(held, type):
        return describe_settings(_plain(vars(held)), 2, weights)
    return "" if isinstance(held, types.ModuleType) else describe_settings(held, 4, weights)


def _plain(held: Mapping[str, Any]) -> dict[str, Any]:
    """The numbers and the like among attributes."""
    return {name: value for name, value in held.items() if isinstance(value, _PLAIN) and not name.startswith("__")}


_SHOWN = 60  # letters of a difference
_HASH = re.compile(r"\b(?:(?=[0-9]*[a-f])[0-9a-f]{8,64}|[0-9]{12,})\b")  # of contents, or a seed of a problem
_BORDERS = re.compile(r"[\[\]{}()]|, ")


def first_difference(then: str, now: str) -> str:
    """Where two descriptions first differ, for people, such as ``batch: 32 then, batch: 16 now``.

    Contents of tensors and functions are hashes, which tell people nothing: then it is a name, or empty.
    """
    common = next((n for n, (a, b) in enumerate(zip(then, now, strict=False)) if a != b), min(len(then), len(now)))
    start = max((border.end() for border in _BORDERS.finditer(then[:common])), default=0)
    parts = []
    for text in (then, now):
        border = _BORDERS.search(text, max(start, common - 1))
        parts.append(text[start : border.start() if border and border.start() >= common else None])
    if all(part and len(part) <= _SHOWN and not _HASH.search(part) for part in parts):
        return f"{parts[0]} then, {parts[1]} now"
    names = {part.partition(":")[0] for part in parts}
    return f"in {names.pop()}" if len(names) == 1 and ":" in parts[0] and min(names).isidentifier() else ""


def describe_structure(model: nn.Module) -> str:
    """The settings of a module and of all its parts, whatever their weights are.

    Two modules are described alike if they are of one class, with weights of the same shapes, and
    every other attribute, theirs or their parts', is the same: what a fit needs to know before it
    goes on from a file, of which the weights come from the file.
    """
    return _Structure()(model)


class _Structure:
    """Describes modules without their weights, each once: parts may refer to the whole."""

    def __init__(self) -> None:
        self._seen: dict[int, tuple[int, nn.Module]] = {}

    def __call__(self, weights: Weights) -> str:
        if isinstance(weights, Tensor):
            return _form(weights) if weights.requires_grad else by_contents(weights)
        if id(weights) in self._seen:
            return f"module {self._seen[id(weights)][0]}"
        self._seen[id(weights)] = len(self._seen), weights
        parts = [f"{name}: {self(child)}" for name, child in weights.named_children()]
        return f"{type(weights).__qualname__}({', '.join([*self._own(weights), *parts])})"

    def _own(self, module: nn.Module) -> Iterator[str]:
        """A module's parameters and buffers by their form, and its other attributes."""
        for name, parameter in module.named_parameters(recurse=False):
            yield f"{name}: {_form(parameter)}" + ("" if parameter.requires_grad else " frozen")
        for name, buffer in module.named_buffers(recurse=False):
            yield f"{name}: {_form(buffer)}"
        for name, value in sorted(_attributes(module).items()):
            if name not in _INTERNAL:
                # Each module begins at full depth, or settings of deeply nested layers would not be seen.
                yield f"{name}={describe_settings(value, weights=self)}"


def _form(tensor: Tensor) -> str:
    return f"{tensor.dtype}{list(tensor.shape)}"


def _attributes(value: object) -> dict[str, Any]:
    """What an object holds, in ``__dict__`` or in slots."""
    held = {}
    for kind in type(value).__mro__:
        for name in _names(vars(kind).get("__slots__", ())):
            if not (name.startswith("__") and name.endswith("__")):
                # Names that are private to their class are kept under another.
                own = f"_{kind.__name__.lstrip('_')}{name}" if name.startswith("__") else name
                held[name] = getattr(value, own, None)
    # A class of the user's may keep settings for all of its objects.
    for kind in type(value).__mro__:
        if kind.__module__.split(".")[0] not in _OTHERS:
            held = _plain(vars(kind)) | held
    return held | getattr(value, "__dict__", {})


def _names(slots: str | Iterable[str]) -> tuple[str, ...]:
    return (slots,) if isinstance(slots, str) else tuple(slots)
