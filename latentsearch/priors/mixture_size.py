"""The size of a mixture, chosen on held-out latents."""

from __future__ import annotations

import math
from collections.abc import Sequence

from torch import Tensor

from latentsearch.errors import InvalidArgument
from latentsearch.priors.gaussian_mixture import GaussianMixture
from latentsearch.spaces import Continuous


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
    Continuous(tuple(latents.shape[1:])).check("fit_gaussian_mixture.held_out", held_out)
    best, least = None, math.inf
    for count in components:
        if best is not None and 2 * count > len(latents):
            break
        mixture = GaussianMixture.fit(latents, count, seed=seed)
        nats = -float(mixture.log_prob(held_out).double().mean())
        if best is not None and nats >= least:
            break
        best, least = mixture, nats
    if best is None:
        raise InvalidArgument("fit_gaussian_mixture.components", got="none", expected="at least one number")
    return best
