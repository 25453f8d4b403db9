"""The vectors that a latent is made of: one, or several such as the layers' of a StyleGAN."""

from __future__ import annotations

import math

from torch import Tensor

from latentsearch.errors import InvalidArgument, describe


def check_dims(what: str, dims: int | None) -> None:
    """Raise unless a number of dimensions is one, or None for all."""
    if dims is not None and (not isinstance(dims, int) or isinstance(dims, bool) or dims < 1):
        raise InvalidArgument(f"{what}.dims", got=repr(dims), expected="a whole number of at least 1, or None for all")


def vectors(what: str, latent: Tensor, dims: int | None) -> Tensor:
    """Latents ``(N, *S)`` as vectors ``(N, L, d)``, each of the last ``dims`` dimensions; L = 1 where dims is None.

    Raises:
        InvalidArgument: If latents are codes, or have fewer dimensions.
    """
    if not latent.is_floating_point():
        raise InvalidArgument(what, got=describe(latent), expected="continuous latents, which have a length")
    if dims is not None and dims >= latent.ndim:
        got, most = f"{dims} for latents of shape {tuple(latent.shape[1:])}", latent.ndim - 1
        raise InvalidArgument(f"{what}.dims", got=got, expected=f"at most {most}, or None for all")
    size = math.prod(latent.shape[1:] if dims is None else latent.shape[latent.ndim - dims :])
    return latent.reshape(len(latent), -1, size)
