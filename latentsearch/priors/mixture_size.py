"""The size of a mixture, chosen on held-out latents."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import partial
from typing import TypeVar

import torch
from torch import Tensor

from latentsearch._checks import in_short, require_count, require_seed
from latentsearch.errors import InvalidArgument
from latentsearch.priors._latents import require_floating, require_vectors
from latentsearch.priors.gaussian_mixture import GaussianMixture
from latentsearch.priors.innovation_mixture import InnovationMixture
from latentsearch.priors.patch_mixture import PatchMixture
from latentsearch.spaces import Continuous

_AT_ONCE = 500  # held-out latents scored at a time

Density = TypeVar("Density", GaussianMixture, PatchMixture, InnovationMixture)
OfPatches = TypeVar("OfPatches", PatchMixture, InnovationMixture)


def fit_gaussian_mixture(
    latents: Tensor, held_out: Tensor, *, components: Sequence[int] = (1, 10, 50, 100), seed: int = 0
) -> GaussianMixture:
    """The mixture that held-out latents are likeliest under, of several sizes.

    Sizes are tried in their order until one is no better than that before it. On 60,000 latents of 20
    elements the default takes less than a minute of one core; the time grows with the square of the elements.

    Args:
        latents: ``(T, *S)`` encodings.
        held_out: ``(V, *S)``, encodings of other images.
        components: Numbers of components; those of which there would be fewer than two latents each are left out.
        seed: For the starts.

    Example:
        >>> import latentsearch as ls
        >>> from latentsearch.priors import fit_gaussian_mixture
        >>> latents = ls.Noise.from_seed(0, 300).normal(2)
        >>> latents[::2] += 5
        >>> fit_gaussian_mixture(latents[:200], latents[200:], components=(1, 2, 20))
        GaussianMixture(2 components over (2,))
    """
    _check("fit_gaussian_mixture", latents, held_out, components, seed)
    return _likeliest(partial(GaussianMixture.fit, latents, seed=seed), held_out, components, len(latents))


def fit_patch_mixture(
    latents: Tensor,
    held_out: Tensor,
    *,
    components: Sequence[int] = (10, 50, 100),
    kind: type[OfPatches] = PatchMixture,  # type: ignore[assignment]
    reach: int = 1,
    seed: int = 0,
) -> OfPatches:
    """The mixture over patches that held-out latents are likeliest under, of several sizes.

    Sizes are tried in their order until one is no better than that before it. The time does not grow with the size
    of latents, of which so many patches are taken, but with the square of their channels.

    Args:
        latents: ``(T, C, H, W)`` encodings.
        held_out: ``(V, C, H, W)``, encodings of other images.
        components: Numbers of components; those of which there would be fewer than two patches each are left out.
        kind: PatchMixture, or [InnovationMixture][latentsearch.priors.InnovationMixture].
        reach: How many rows and columns a site looks back. More tell more of it, and take more components to say what.
        seed: For the choice of patches and the starts.

    Example:
        >>> import latentsearch as ls
        >>> from latentsearch.priors import fit_patch_mixture
        >>> latents = ls.Noise.from_seed(0, 60).normal(2, 8, 8)
        >>> fit_patch_mixture(latents[:50], latents[50:], components=(1, 4))
        PatchMixture(1 components over patches of reach 1 of (2, 8, 8))
    """
    _check("fit_patch_mixture", latents, held_out, components, seed)
    require_count("fit_patch_mixture.reach", reach)
    if not isinstance(kind, type) or not issubclass(kind, (PatchMixture, InnovationMixture)):
        expected = "PatchMixture or InnovationMixture, the class itself"
        raise InvalidArgument("fit_patch_mixture.kind", got=in_short(kind), expected=expected)
    windows = len(latents) * max(latents.shape[-2] - reach, 0) * max(latents.shape[-1] - 2 * reach, 0)
    fit = partial(kind.fit, latents, reach=reach, seed=seed)
    return _likeliest(fit, held_out, components, windows)


def _likeliest(fit: Callable[[int], Density], held_out: Tensor, components: Sequence[int], rows: int) -> Density:
    """What ``fit`` makes of the number of components that is best; as many rows are there to fit to."""
    best, least = None, math.inf
    for count in components:
        if best is not None and 2 * count > rows:
            break
        density = fit(count)
        with torch.no_grad():
            nats = -float(torch.cat([density.log_prob(part) for part in held_out.split(_AT_ONCE)]).double().mean())
        if best is not None and nats >= least:
            break
        best, least = density, nats
    assert best is not None  # there is one number at least
    return best


def _check(caller: str, latents: object, held_out: object, components: object, seed: int) -> None:
    for name, given in (("latents", latents), ("held_out", held_out)):
        if not isinstance(given, Tensor) or given.ndim < 2 or not len(given):
            raise InvalidArgument(f"{caller}.{name}", got=in_short(given), expected="a tensor of at least one row")
        require_floating(f"{caller}.{name}", given, "a floating tensor, one latent a row")
    assert isinstance(latents, Tensor) and isinstance(held_out, Tensor)
    require_vectors(f"{caller}.held_out", held_out, latents.shape[1:])
    Continuous(tuple(latents.shape[1:])).check(f"{caller}.held_out", held_out)
    if not isinstance(components, Sequence) or isinstance(components, str) or not components:
        expected = "a list of numbers, one at least, such as (1, 10, 50)"
        raise InvalidArgument(f"{caller}.components", got=repr(components), expected=expected)
    for count in components:
        require_count(f"{caller}.components", count)
    require_seed(f"{caller}.seed", seed)
