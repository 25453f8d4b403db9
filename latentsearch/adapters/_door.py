"""A decoder's door, and an encoder's: a copy in its own dtype goes in, and float32 at least comes out."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import torch
from torch import Tensor

from latentsearch._context import ordinary
from latentsearch.errors import InvalidArgument, describe

T = TypeVar("T")


def entering(x: Tensor, dtype: torch.dtype) -> Tensor:
    """A copy in ``dtype``: what changes its argument in place changes nothing of the caller's."""
    return x.to(dtype, copy=True)


def encoded(what: str, encode: Callable[[Tensor], T], output: Tensor, dtype: torch.dtype) -> T:
    """What an encoder makes of outputs.

    Raises:
        InvalidArgument: If it fails.
    """
    try:
        return encode(entering(output, dtype))
    except Exception as error:
        raise InvalidArgument(
            what,
            got=f"a function that fails on {describe(output)} with {type(error).__name__}: {error}",
            expected="outputs (N, *O), as the decoder gives them, to latents (N, *S)",
            hint="an encoder that expects another range can be wrapped: lambda x: net(2 * x - 1)",
        ) from error


def leaving(what: str, output: object, transform: Callable[[Tensor], Tensor] | None, dtype: torch.dtype) -> Tensor:
    """What a decoder gave, transformed, and in ``dtype`` if it is floating.

    Raises:
        InvalidArgument: If it is no tensor.
    """
    try:
        found: object = output if transform is None else transform(output)  # type: ignore[arg-type]  # which may pick
    except Exception as error:
        if isinstance(output, Tensor):
            raise
        raise _no_tensor(what, output) from error
    if not isinstance(found, Tensor):
        raise _no_tensor(what, found)
    return raised(found, dtype)


def _no_tensor(what: str, output: object) -> InvalidArgument:
    got, expected = f"a {type(output).__name__}", "a tensor (N, *O)"
    return InvalidArgument(f"{what}.decoder", got=got, expected=expected, hint=_picked(output))


def raised(output: Tensor, dtype: torch.dtype) -> Tensor:
    """A floating tensor in ``dtype``, of inference mode no more; what is none, such as a tuple, for checks to name."""
    if isinstance(output, Tensor) and output.is_floating_point():
        return ordinary(output).to(dtype)
    return output


def _picked(output: object) -> str:
    """How the tensor is picked out of what holds it."""
    if isinstance(output, (tuple, list)):
        return "pick it in a lambda, for instance lambda z: net(z)[0]"
    if isinstance(output, dict):
        names = [repr(name) for name, value in output.items() if isinstance(value, Tensor)]
        return f"pick it in a lambda, for instance lambda z: net(z)[{names[0] if names else '...'}]"
    names = [name for name, value in vars(output).items() if isinstance(value, Tensor)] if _has_fields(output) else []
    return f"pick it in a lambda, for instance lambda z: net(z).{names[0] if names else 'sample'}"


def _has_fields(output: object) -> bool:
    return hasattr(output, "__dict__")
