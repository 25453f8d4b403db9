"""What critics and actors are fitted to: draws of q(z|x), and how far these spread."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from latentsearch._context import in_own_context
from latentsearch.errors import Unsupported
from latentsearch.fitting._given import are_latents, encoded
from latentsearch.noise import Noise
from latentsearch.protocols import AutoEncoder, Generator, require_generator
from latentsearch.spaces import Continuous

_BATCH = 256  # images encoded at once
_OF_ALL = 0.25  # of the standard deviation of encodings, for the spread of q(z|x) where nothing is known of it


class Encodings(NamedTuple):
    """Latents of data.

    Attributes:
        latents: ``(N, *S)``, one draw of q(z|x) an image.
        spread: The mean standard deviation of q(z|x), ``(*S)``; a quarter of that of all latents where an encoder has
            none; 0 of codes.
    """

    latents: Tensor
    spread: Tensor


@in_own_context
@torch.no_grad()
def encodings(generator: Generator, data: Tensor, noise: Noise) -> Encodings:
    """Latents of images ``(N, *O)``, of a VAE draws of q(z|x); latents as they are.

    Args:
        generator: One that encodes.
        data: Images, or latents.
        noise: One row, for draws of q(z|x).

    Example:
        >>> import latentsearch as ls
        >>> from latentsearch import fitting, zoo
        >>> generator = ls.wrap(zoo.load("mnist-vae"))
        >>> found = fitting.encodings(generator, zoo.images()[0], ls.Noise.from_seed(0))
        >>> found.latents.shape, found.spread.shape
        (torch.Size([20, 20]), torch.Size([20]))
    """
    require_generator("encodings.generator", generator)
    if are_latents(generator, data):
        return Encodings(data, _guessed(generator, data))
    assert isinstance(generator, AutoEncoder)
    posterior = getattr(generator, "posterior", None)
    if posterior is None:
        latents = torch.cat([encoded(generator, part) for part in data.split(_BATCH)])
        return Encodings(latents, _guessed(generator, latents))
    try:
        parts = [posterior(part.to(generator.device)) for part in data.split(_BATCH)]
    except Unsupported:
        latents = torch.cat([encoded(generator, part) for part in data.split(_BATCH)])
        return Encodings(latents, _guessed(generator, latents))
    mean, deviation = (torch.cat(both) for both in zip(*parts, strict=True))
    drawn = noise.to(mean.device).normal(*mean.shape, dtype=mean.dtype)[0]
    return Encodings(mean + deviation * drawn, deviation.mean(0))


def _guessed(generator: Generator, latents: Tensor) -> Tensor:
    if not isinstance(generator.space, Continuous):
        return torch.zeros((), dtype=torch.float32)
    # A dimension in which all latents are the same has no scale of its own.
    spread = latents.std(0)
    return _OF_ALL * torch.where(spread > 0, spread, 1.0)
