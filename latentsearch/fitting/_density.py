"""The density of continuous latents that held-out ones are likeliest under."""

from __future__ import annotations

import math
from functools import partial

import torch
from torch import Tensor

from latentsearch.priors import InnovationMixture, fit_gaussian_mixture, fit_patch_mixture
from latentsearch.protocols import Prior

_MIXED = 64  # elements of a spatial latent up to which whole latents get a mixture, and not one Gaussian
_WHOLE = 512  # elements up to which they get a covariance, which is a square of them
_SIZES = (10, 50)  # numbers of components over patches
LEAST_EACH = 2  # latents for each element of what gets a covariance: with fewer it is close to singular


def fit_density(latents: Tensor, held_out: Tensor, seed: int) -> Prior:
    """Fit to ``(T, *S)``: a mixture over whole latents or, where that is likelier, over the patches of spatial ones."""
    shape = latents.shape[1:]
    if not is_spatial(shape):
        return fit_gaussian_mixture(latents, held_out, seed=seed)
    patches = partial(fit_patch_mixture, latents, held_out, components=_SIZES, seed=seed)
    rivals: list[Prior] = [patches()]
    if shape.numel() <= _WHOLE and len(latents) >= LEAST_EACH * shape.numel():
        # Of a latent of many elements there are too few for more than one Gaussian over all.
        components = (1, 10, 50, 100) if shape.numel() <= _MIXED else (1,)
        rivals.append(fit_gaussian_mixture(latents, held_out, components=components, seed=seed))
        rivals.append(patches(kind=InnovationMixture))
    return min(rivals, key=lambda prior: nats(prior, held_out))


def is_spatial(shape: tuple[int, ...]) -> bool:
    """Whether latents ``(*S)`` have patches: what is learnt of one place then serves all."""
    return len(shape) == 3 and shape[1] >= 2 and shape[2] >= 3


@torch.no_grad()
def nats(prior: Prior, latents: Tensor) -> float:
    """Of a dimension, on latents ``(N, *S)``, a part of them at a time."""
    likelihoods = torch.cat([prior.log_prob(part) for part in latents.split(500)])
    return -float(likelihoods.double().mean()) / math.prod(latents.shape[1:])
