"""What is looked at of a generator's arguments before anything is decoded."""

from __future__ import annotations

import torch

from latentsearch._checks import in_short, require_function
from latentsearch.errors import InvalidArgument

_FUNCTIONS = {
    "encode": "a function from outputs to latents, or None",
    "posterior": "a function from outputs to mean and standard deviation, or None",
    "project": "a function from codes to what the decoder sees, or None",
    "output_transform": "a function of outputs, such as torch.sigmoid, or None",
}


def check_functions(name: str, **given: object) -> None:
    """Raise unless what should be functions are."""
    for argument, function in given.items():
        if function is not None:
            require_function(f"{name}.{argument}", function, _FUNCTIONS[argument])


def known_device(what: str, device: object, default: torch.device) -> torch.device:
    """The device that was said, or the one that is known."""
    if device is None:
        return default
    try:
        found: torch.device = torch.device(device)  # type: ignore[call-overload]  # which it says itself
        torch.empty(0, device=found)
    except Exception as error:
        said = f"{error}".split("\n")[0]
        raise InvalidArgument(
            what, got=f"{in_short(device)} ({said})", expected="a device that is here, such as 'cpu' or 'cuda'"
        ) from error
    return found


def known_dtype(what: str, dtype: object, default: torch.dtype) -> torch.dtype:
    """The dtype that was said, or the one that is known."""
    if dtype is None:
        return default
    if not isinstance(dtype, torch.dtype) or not dtype.is_floating_point:
        raise InvalidArgument(what, got=in_short(dtype), expected="a floating dtype, such as torch.float16")
    return dtype
