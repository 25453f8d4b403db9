"""Settings, looked over."""

from __future__ import annotations

import inspect
import math
import os
from collections.abc import Callable, Sequence
from functools import partial
from numbers import Integral, Number, Real
from pathlib import Path
from typing import TYPE_CHECKING, TypeGuard

import torch
from torch import Tensor

from latentsearch.errors import InvalidArgument, MissingFile, describe

if TYPE_CHECKING:
    from latentsearch.noise import Noise  # which looks over its settings itself


def require_noise(name: str, noise: object) -> None:
    """Raise unless it is noise: no number and no generator of torch's has keys of rows."""
    # Known by what it has: noise looks over its own settings with the checks of this file.
    if not (hasattr(noise, "keys") and callable(getattr(noise, "fold", None))):
        hint = "Noise.from_seed(seed, n) has n rows"
        raise InvalidArgument(name, got=in_short(noise), expected="a Noise", hint=hint)


def require_one_row(name: str, noise: Noise) -> None:
    """Raise unless noise has one row, of which as many are split as are needed."""
    require_noise(name, noise)
    if len(noise) != 1:
        hint = "say Noise.from_seed(seed), without a number of problems"
        raise InvalidArgument(name, got=f"noise of {len(noise)} rows", expected="one row", hint=hint)


def require_positive(name: str, value: float | Tensor) -> None:
    """Raise unless a setting is a positive number; tensors come from a search, which must not wait for them."""
    if not isinstance(value, Tensor) and not (is_number(value) and value > 0):
        raise InvalidArgument(name, got=repr(value), expected="a positive number")


def require_nonzero(name: str, value: float | Tensor) -> None:
    """Raise unless a setting is a finite number other than 0, or a tensor."""
    if not isinstance(value, Tensor) and not (is_number(value) and value != 0):
        raise InvalidArgument(name, got=repr(value), expected="a number other than 0")


def require_finite(name: str, value: float | Tensor) -> None:
    """Raise unless a setting is a finite number, or a tensor."""
    if not isinstance(value, Tensor) and not is_number(value):
        raise InvalidArgument(name, got=repr(value), expected="a finite number")


def require_weight(name: str, value: object) -> None:
    """Raise unless a setting is a finite number of at least 0."""
    if not (is_number(value) and value >= 0):
        raise InvalidArgument(name, got=repr(value), expected="a number of at least 0")


def require_share(name: str, value: object, *, ends: str = "()") -> None:
    """Raise unless a setting is a number from 0 to 1; ``ends`` says which of them count, as in ``"[)"``."""
    low, high = ends[0], ends[1]
    inside = is_number(value) and (0 < value < 1 or (value == 0 and low == "[") or (value == 1 and high == "]"))
    if not inside:
        raise InvalidArgument(name, got=repr(value), expected=f"a number in {low}0, 1{high}")


def require_span(name: str, value: object) -> None:
    """Raise unless a setting is a pair of finite numbers, the lower one first."""
    pair = isinstance(value, Sequence) and len(value) == 2 and all(map(is_number, value))
    if not pair or not value[0] < value[1]:  # type: ignore[index]
        raise InvalidArgument(name, got=in_short(value), expected="two numbers, (low, high) with low < high")


def require_count(name: str, value: object, least: int = 1) -> None:
    """Raise unless a setting is a whole number of at least ``least``."""
    if not is_whole(value) or value < least:
        raise InvalidArgument(name, got=repr(value), expected=f"a whole number of at least {least}")


def require_flag(name: str, value: object) -> None:
    """Raise unless a setting is True or False: any word would count as True."""
    if not isinstance(value, bool):
        raise InvalidArgument(name, got=repr(value), expected="True or False")


def require_seed(name: str, value: object) -> None:
    """Raise unless a seed is a whole number."""
    if not is_whole(value):
        raise InvalidArgument(name, got=repr(value), expected="a whole number")


def require_function(name: str, value: object, expected: str) -> None:
    """Raise unless an argument can be called; of a class that is to be made first, say so."""
    if not callable(value):
        raise InvalidArgument(name, got=in_short(value), expected=expected)


def require_numbers(name: str, value: object) -> None:
    """Raise unless a setting is a finite number, or a list of such."""
    values = value if isinstance(value, (list, tuple)) else [value]
    if not values or not all(map(is_number, values)):
        raise InvalidArgument(name, got=repr(value), expected="a number, or one a problem")


def require_made(name: str, value: object, expected: str) -> None:
    """Raise unless an argument is a function or a module, and not the class of one."""
    if isinstance(value, type):
        raise InvalidArgument(name, got=in_short(value), expected=expected, hint=f"make one: {value.__name__}(...)")
    require_function(name, value, expected)


def require_one_of(name: str, value: object, choices: tuple[str, ...]) -> None:
    """Raise unless a setting is one of a few."""
    if value not in choices:
        raise InvalidArgument(name, got=repr(value), expected=" or ".join(map(repr, choices)))


def is_number(value: object) -> TypeGuard[float]:
    """Whether something is a finite number; True and False are none."""
    return isinstance(value, Real) and not isinstance(value, bool) and math.isfinite(value)


def is_pair(value: object) -> TypeGuard[tuple[float, float]]:
    """Whether something is two finite numbers."""
    return isinstance(value, Sequence) and len(value) == 2 and all(map(is_number, value))


def is_whole(value: object) -> TypeGuard[int]:
    """Whether something is a whole number; True and False are none."""
    return isinstance(value, Integral) and not isinstance(value, bool)


def misfit(function: Callable[..., object], *arguments: object, **named: object) -> str:
    """Why a function cannot be called with such arguments; empty where it can, and where that is not known."""
    if isinstance(function, partial):
        return misfit(function.func, *function.args, *arguments, **{**function.keywords, **named})
    try:
        inspect.signature(function).bind(*arguments, **named)
    except TypeError as error:
        return str(error)
    except ValueError:  # some that are built in have no signature
        return ""
    return ""


_AS_THEY_ARE = (str, bytes, Number, torch.dtype, torch.device)


def in_short(value: object) -> str:
    """What an argument is, for messages: classes by name, tensors by shape, numbers and words as they are."""
    if isinstance(value, type):
        return f"the class {value.__name__}"
    if isinstance(value, Tensor):
        return describe(value)
    if value is None or isinstance(value, _AS_THEY_ARE):
        return repr(value)
    kind = type(value).__name__
    return f"{'an' if kind[0] in 'AEIOaeio' else 'a'} {kind}"


def common_problems(what: str, **parts: Tensor) -> int:
    """The one number of problems that parts have rows for, or 1 where all have one row."""
    several = {name: len(part) for name, part in parts.items() if len(part) != 1}
    if len(set(several.values())) > 1:
        raise InvalidArgument(
            what,
            got=" and ".join(f"{name} for {count} problems" for name, count in several.items()),
            expected="the same number of problems everywhere, or 1",
        )
    return next(iter(several.values()), 1)


def check_per_problem(what: str, tensor: object, *, finite: bool = False, hint: str = "") -> Tensor:
    """A tensor fit to hold one row a problem: at least one row, no NaN, and no infinity where it must be finite."""
    if not isinstance(tensor, Tensor) or tensor.ndim == 0 or tensor.shape[0] == 0:
        got = describe(tensor) if isinstance(tensor, Tensor) else type(tensor).__name__
        raise InvalidArgument(what, got=got, expected="a tensor with one row a problem", hint=_as_rows(tensor))
    if tensor.is_meta:
        raise InvalidArgument(
            what, got=describe(tensor), expected="a tensor that holds something", hint="load it first"
        )
    if tensor.is_floating_point():
        for kind, bad in (("NaN", tensor.isnan()), ("infinity", tensor.isinf() & finite)):
            if bool(bad.any()):
                rows = bad.reshape(len(bad), -1).any(1).nonzero().flatten().tolist()
                expected = "finite numbers" if finite else "numbers"
                raise InvalidArgument(what, got=f"{kind} in rows {rows}", expected=expected, hint=hint)
    return tensor


def _as_rows(data: object) -> str:
    """How what is no tensor with rows becomes one."""
    if isinstance(data, Tensor):
        return "x[None] adds the row" if data.ndim == 0 else ""
    if type(data).__module__ == "numpy":
        return "torch.from_numpy(x)"
    if isinstance(data, (list, tuple)) and data:
        return "torch.stack(x)" if all(isinstance(row, Tensor) for row in data) else "torch.tensor(x)"
    return ""


def require_file_path(what: str, path: object, example: str = "report.html", *, kinds: tuple[str, ...] = ()) -> Path:
    """A path that a file can be written to, ``~`` expanded.

    Args:
        what: The argument, for the message.
        path: What was given.
        example: The name of such a file.
        kinds: How its name may end, beside not at all, such as ``(".png",)``; in any way if not given.

    Raises:
        InvalidArgument: If it is no path, or one of a folder, of a device or below a file, or ends in another way.
    """
    expected = "a path of a file"
    found = require_path(what, path, expected)
    _require_sane(what, found)
    if found.is_dir():
        hint = f"name a file in it, such as {found / example}"
        raise InvalidArgument(what, got=f"the folder {str(found)!r}", expected=expected, hint=hint)
    if found.exists() and not found.is_file():
        got, expected = f"{found}, which is a device or a pipe", "a path of a regular file"
        raise InvalidArgument(what, got=got, expected=expected)
    for above in found.parents:
        if above.exists() and not above.is_dir():
            got, expected = f"{found}, which is below the file {above}", "a path of a file in a folder"
            raise InvalidArgument(what, got=got, expected=expected)
    if kinds and found.suffix and found.suffix.lower() not in kinds:
        expected, hint = f"a file that ends in {' or '.join(kinds)}", f"such as {found.with_suffix(kinds[0])}"
        raise InvalidArgument(what, got=str(found), expected=expected, hint=hint)
    return found


def _require_sane(what: str, found: Path) -> None:
    """Raise if a path is none that a disk takes, as one whose name is too long is."""
    try:
        found.exists()
    except OSError as error:
        raise InvalidArgument(what, got=f"{found} ({error.strerror})", expected="a path that can be written") from error


def require_existing_file(what: str, path: object) -> Path:
    """The path of a file that is there, ``~`` expanded; raises InvalidArgument, MissingFile where nothing is."""
    found = require_path(what, path, "a path of a file")
    if found.is_dir():
        raise InvalidArgument(what, got=f"the folder {str(found)!r}", expected="a path of a file")
    if not found.exists():
        raise MissingFile(what, got=f"{found}, where no file is", expected="a path of a file")
    return found


def require_path(what: str, path: object, expected: str) -> Path:
    """A path, ``~`` expanded; raises InvalidArgument for what is none, and for an empty one."""
    if not isinstance(path, (str, os.PathLike)):
        raise InvalidArgument(what, got=in_short(path), expected=expected)
    if not os.fspath(path):
        raise InvalidArgument(what, got="an empty path", expected=expected)
    if str(os.fspath(path)).endswith(os.sep):
        got, hint = f"{os.fspath(path)}, which names a folder", "leave the last stroke out, or name a file in it"
        raise InvalidArgument(what, got=got, expected=expected, hint=hint)
    return Path(path).expanduser()
