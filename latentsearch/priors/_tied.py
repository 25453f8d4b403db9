"""How codes go into a network and come out of it: one table for both, which the generator's codebook informs."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from latentsearch.errors import InvalidArgument


class TiedCodes(nn.Module):
    r"""K codes as vectors, on the way in and on the way out.

    The vector of code k is $W e_k + u_k$, with $e_k$ from the generator's codebook in units of its standard
    deviation, and $u_k$ free, 0 at first: what is learnt of a code serves those that look like it, and a code that
    is seldom seen does not learn alone. The logits are inner products with the same vectors.

    Args:
        size: K.
        width: Of the vectors.
        codebook: ``(K, D)``; None where codes have no embeddings, and all is learnt.
    """

    codebook: Tensor

    def __init__(self, size: int, width: int, codebook: Tensor | None = None) -> None:
        super().__init__()
        book = torch.zeros(size, 0) if codebook is None else codebook.detach().float()
        scale = book.std().clamp(min=1e-12) if book.numel() > 1 else 1.0
        self.register_buffer("codebook", book / scale)
        self.project = nn.Linear(book.shape[1], width, bias=False) if book.shape[1] else None
        self.free = nn.Parameter(torch.zeros(size, width))
        self.masked = nn.Parameter(torch.zeros(width))
        self.norm = nn.LayerNorm(width)
        self.out = nn.Linear(width, width, bias=False)
        self.bias = nn.Parameter(torch.zeros(size))
        nn.init.normal_(self.masked, std=0.5)
        if self.project is None:
            nn.init.normal_(self.free, std=0.5)
        else:
            nn.init.normal_(self.project.weight, std=0.5 / book.shape[1] ** 0.5)
        # All logits are 0 at first: the network starts at the histogram.
        nn.init.zeros_(self.out.weight)

    @property
    def table(self) -> Tensor:
        """``(K, width)``."""
        return self.free if self.project is None else self.project(self.codebook) + self.free

    def embed(self, z: Tensor, known: Tensor | None = None) -> Tensor:
        """The vectors of codes, ``(N, *S, width)``.

        Args:
            z: Hard ``(N, *S)`` or soft ``(N, *S, K)`` codes.
            known: ``(N, *S)`` bool, None for all; codes that are not known share a vector of their own.
        """
        table = self.table
        found = z.to(table.dtype) @ table if z.is_floating_point() else _embedded(z, table)
        return found if known is None else self.hidden(found, known)

    def hidden(self, embedded: Tensor, known: Tensor) -> Tensor:
        """Vectors ``(N, *S, width)``, with the mask's own where nothing is known."""
        return torch.where(known[..., None], embedded, self.masked.to(embedded.dtype))

    def logits(self, features: Tensor) -> Tensor:
        """``(..., width)`` to ``(..., K)``."""
        return F.linear(self.out(self.norm(features)), self.table) + self.bias


def _embedded(z: Tensor, table: Tensor) -> Tensor:
    try:
        return F.embedding(z, table)
    except IndexError:
        # Only where torch looks at the codes anyway, on the CPU, is it known here.
        got = f"codes from {int(z.min())} to {int(z.max())}"
        raise InvalidArgument("codes", got=got, expected=f"those of [0, {len(table)})") from None
