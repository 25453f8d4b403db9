"""Descriptions of settings that are the same in every process: no addresses, tensors by contents.

A checkpoint stores one, so that it is resumed by the search it belongs to and by no other.
"""

from __future__ import annotations

import functools
import hashlib
import inspect
import types
from typing import Any

import numpy as np
import torch
from torch import Tensor

_DEPTH = 12  # deeper than any settings nest; an object that refers to itself stops here


def digest(*tensors: Tensor) -> str:
    """A short hash of dtypes, shapes and contents."""
    sha = hashlib.sha256()
    for tensor in tensors:
        plain = tensor.detach().cpu().contiguous()
        sha.update(f"{plain.dtype}{tuple(plain.shape)}".encode())
        sha.update(plain.reshape(-1).view(torch.uint8).numpy().tobytes())
    return sha.hexdigest()[:16]


def describe_settings(value: Any, depth: int = _DEPTH) -> str:
    """What ``value`` is made of, in words that do not change from process to process."""
    inner = functools.partial(describe_settings, depth=depth - 1)
    if depth == 0:
        return type(value).__qualname__
    match value:
        case Tensor():
            return f"tensor:{digest(value)}"
        case torch.nn.Module():
            return f"{value!r}:{digest(*value.state_dict().values())}"
        case None | bool() | int() | float() | str() | torch.dtype() | torch.device():
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
            return f"{{{', '.join(f'{k}: {inner(v)}' for k, v in sorted(value.items(), key=repr))}}}"
        case functools.partial():
            return f"{inner(value.func)}{inner(value.args)}{inner(value.keywords)}"
        case types.MethodType():
            return f"{inner(value.__self__)}.{value.__name__}"
        case types.FunctionType():
            held = [inspect.getclosurevars(value).nonlocals, value.__defaults__, value.__kwdefaults__]
            return f"{value.__module__}.{value.__qualname__}:{inner(value.__code__)}{inner(held)}"
    return f"{type(value).__qualname__}{inner(getattr(value, '__dict__', {}))}"
