"""Ways from one latent to another, and single elements changed: what is looked at between and around latents."""

from __future__ import annotations

import torch
from torch import Tensor

from latentsearch.protocols import EmbeddingGenerator, Generator
from latentsearch.spaces import Continuous


@torch.no_grad()
def outputs_between(generator: Generator, starts: Tensor, ends: Tensor, steps: int) -> Tensor:
    """``(T, N, *O)``: outputs at T equal steps from latents ``(N, *S)`` to others, both ends included.

    Continuous latents go along a line. Codes go along the line of their embeddings, which the decoder takes although
    no code is there; those without embeddings are replaced in order, the first share of them at each step.
    """
    shares = torch.linspace(0, 1, steps, dtype=torch.float32)
    if isinstance(generator.space, Continuous):
        return torch.stack([generator.decode(starts + float(t) * (ends - starts)) for t in shares])
    if isinstance(generator, EmbeddingGenerator):
        one, other = generator.embed(starts), generator.embed(ends)
        return torch.stack([generator.decode_embedding(one + float(t) * (other - one)) for t in shares])
    return torch.stack([generator.decode(crossed(starts, ends, float(t))) for t in shares])


def crossed(starts: Tensor, ends: Tensor, share: float) -> Tensor:
    """Grids ``(N, *S)`` whose first share of positions is that of others."""
    flat, count = starts.flatten(1).clone(), round(share * starts[0].numel())
    flat[:, :count] = ends.flatten(1)[:, :count]
    return flat.view_as(starts)


def with_changed(latent: Tensor, element: int, values: Tensor) -> Tensor:
    """``(n, *S)``: one latent ``(*S)`` with n values of one element, counted in the flattened latent."""
    flat = latent.flatten().expand(len(values), -1).clone()
    flat[:, element] = values.to(flat)
    return flat.view(-1, *latent.shape)
