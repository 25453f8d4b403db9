"""The loss of a mixed VAE as a function of its codes, of which neighbours share most."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from latentsearch.models._products import softplus_total


class MixedLoss:
    """Minus the log-likelihood, plus the divergence of the styles chosen, as a function of codes: a NeighbourhoodLoss.

    Args:
        decoder: From its first layer's sums ``(..., H)`` to pixel logits.
        images: ``(N, pixels)``.
        parts: ``(N, n, k, H)``, what each category adds to those sums.
        rest: ``(N, H)``, what is there anyway.
        kl: ``(N, n, k)``, the divergence of each category's style.
    """

    def __init__(self, decoder: nn.Module, images: Tensor, parts: Tensor, rest: Tensor, kl: Tensor) -> None:
        self.decoder, self.images, self.parts, self.rest, self.kl = decoder, images, parts, rest, kl

    def __call__(self, z: Tensor, row: Tensor) -> Tensor:
        y = as_weights(z, self.parts)
        hidden = self.rest[row] + summed(y, self.parts[row])
        return self._misfit(hidden, row) + (y * self.kl[row]).sum((1, 2))

    @torch.no_grad()
    def neighbourhood(self, z: Tensor, code: Tensor | None) -> Tensor:
        parts, kl, at = self.parts, self.kl, z[..., None]
        own, own_kl = parts_of(parts, at), kl.gather(2, at)
        if code is not None:
            parts, kl = parts_of(parts, code), kl.gather(2, code)
        sums = (self.rest + own.sum((1, 2)))[:, None, None] + parts - own
        row = torch.arange(len(z), device=z.device)
        return self._misfit(sums, row) + own_kl.sum((1, 2), keepdim=True) + kl - own_kl

    def _misfit(self, hidden: Tensor, row: Tensor) -> Tensor:
        """Minus the log-likelihood of pixels, ``(M, ...)`` for ``(M, ..., H)``."""
        logits = self.decoder(hidden)
        images = self.images[row]
        likely = torch.einsum("m...p,mp->m...", logits, images)
        return softplus_sum(logits) - likely


def softplus_sum(logits: Tensor) -> Tensor:
    """The sum of ``log(1 + e^l)`` over the last dimension."""
    return F.softplus(logits).sum(-1) if torch.is_grad_enabled() else softplus_total(logits)


def as_weights(codes: Tensor, parts: Tensor) -> Tensor:
    """Hard or soft codes as ``(N, n, k)`` weights."""
    return codes if codes.is_floating_point() else F.one_hot(codes, parts.shape[2]).to(parts.dtype)


def summed(y: Tensor, parts: Tensor) -> Tensor:
    """``(N, H)``: the sum of all categories' parts by their weights."""
    return torch.einsum("mnk,mnkh->mh", y, parts)


def parts_of(parts: Tensor, code: Tensor) -> Tensor:
    """``(N, n, C, H)``: the parts ``(N, n, k, H)`` of some codes ``(N, n, C)``."""
    return parts.gather(2, code[..., None].expand(*code.shape, parts.shape[-1]))
