"""The embeddings of codes: lookup, inner products and nearest codes, whoever holds the vectors."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import torch
import torch.nn.functional as F
from torch import Tensor
from typing_extensions import Self

from latentsearch._codes import canonical


@dataclass(frozen=True, eq=False)
class Codebook:
    """Vectors, and what each position makes of them.

    Attributes:
        vectors: ``(K, D)``, or broadcastable to ``(*S, K, D)`` where positions have their own.
        alias: ``(*S, K)`` int64, the code that each one stands for, where positions that share vectors differ in it;
            None where ``vectors`` have those of the codes that are stood for.
        own: ``(K,)`` or ``(*S, K)`` bool, the codes that stand for themselves; None where all do. A method that leaves
            the others out tries no grid twice.
    """

    vectors: Tensor
    alias: Tensor | None = None
    own: Tensor | None = None

    @classmethod
    def of(cls, vectors: Tensor, alias: Tensor | None) -> Self:
        """Vectors, of which each code has those of the one that it stands for: ``(K,)`` or ``(*S, K)`` int64."""
        if alias is None:
            return cls(vectors)
        own = alias == torch.arange(alias.shape[-1], device=alias.device)
        shared = _shared(vectors, alias)
        if shared is None:
            # What no position uses may be NaN, which products with 0 would spread.
            used = own.any([axis for axis, side in enumerate(_books(vectors, own)) if side == 1], keepdim=True)
            kept = vectors.masked_fill(~used.view(*vectors.shape[:-1], 1), 0)
            return cls(kept, alias, own)
        return cls(vectors.gather(-2, shared[..., None].expand_as(vectors)), None, own)

    @property
    def size(self) -> int:
        """K."""
        return self.vectors.shape[-2]

    @property
    def squares(self) -> Tensor:
        """``(K,)``, or broadcastable to ``(*S, K)``: the squared length of each code."""
        squares = self.vectors.square().sum(-1)
        return squares if self.alias is None else squares.expand(self.alias.shape).gather(-1, self.alias)

    def to(self, dtype: torch.dtype) -> Self:
        """The same with vectors of a dtype."""
        return replace(self, vectors=self.vectors.to(dtype))

    def lookup(self, z: Tensor) -> Tensor:
        """Hard ``(N, *S)`` or soft ``(N, *S, K)`` codes to embeddings ``(N, *S, D)``."""
        if z.is_floating_point():
            z = z if self.alias is None else canonical(self.alias, z)
            return z @ self._of_rows if self._serves_rows else (z[..., None, :] @ self.vectors)[..., 0, :]
        positions = torch.arange(math.prod(z.shape[1:]), device=z.device).view(z.shape[1:])
        return self.lookup_at(z, positions.expand_as(z), z.shape[1:])

    def lookup_at(self, codes: Tensor, positions: Tensor, shape: tuple[int, ...]) -> Tensor:
        """Embeddings ``(..., D)`` of codes ``(...)`` at positions ``(...)`` of the flattened grid of a shape."""
        if self.alias is not None:
            codes = self.alias.flatten(0, -2)[positions, codes]
        if self.vectors.ndim == 2:
            return F.embedding(codes, self.vectors)
        # Not of expanded vectors, of which each would be held as often as it serves.
        own = [positions // math.prod(shape[axis + 1 :]) % side for axis, side in enumerate(shape)]
        books = self.vectors.shape[:-2]
        index = [at if held > 1 else torch.zeros_like(at) for at, held in zip(own, books, strict=True)]
        return self.vectors[tuple([*index, codes])]

    def products(self, v: Tensor) -> Tensor:
        """Inner products of ``(N, *S, D)`` with every code: ``(N, *S, K)``."""
        return self._stood_for(self._products(v))

    def excess(self, e: Tensor) -> Tensor:
        """``|e - c_j|^2 - |e|^2`` for every code j: ``(N, *S, K)``; its arg-min is the nearest code."""
        return self._stood_for(self.vectors.square().sum(-1) - 2 * self._products(e))

    def nearest(self, e: Tensor) -> Tensor:
        """The nearest code at each position that stands for itself: ``(N, *S, D)`` to int64 ``(N, *S)``."""
        return self.without_others(self.excess(e), torch.inf).argmin(-1)

    def without_others(self, table: Tensor, value: float) -> Tensor:
        """A table ``(N, *S, K)`` with ``value`` for codes that stand for others."""
        return table if self.own is None else table.masked_fill(~self.own, value)

    def each(self, shape: tuple[int, ...]) -> Tensor:
        """``(P, K, D)``: the vectors at each position of a grid of that shape."""
        vectors = self.vectors.expand(*shape, *self.vectors.shape[-2:])
        if self.alias is not None:
            vectors = vectors.gather(-2, self.alias[..., None].expand_as(vectors))
        return vectors.flatten(0, -3)

    def _products(self, v: Tensor) -> Tensor:
        return v @ self._of_rows.mT if self._serves_rows else (self.vectors @ v[..., None])[..., 0]

    def _stood_for(self, table: Tensor) -> Tensor:
        """A table ``(N, *S, K)`` of what vectors give, with that of the codes that are stood for."""
        return table if self.alias is None else table.gather(-1, self.alias.expand_as(table))

    @property
    def _serves_rows(self) -> bool:
        """Whether one codebook serves all positions along the grid's last axis: then products need no copies of it."""
        return self.vectors.ndim == 2 or self.vectors.shape[-3] == 1

    @property
    def _of_rows(self) -> Tensor:
        return self.vectors if self.vectors.ndim == 2 else self.vectors[..., 0, :, :]


def _books(vectors: Tensor, alias: Tensor) -> tuple[int, ...]:
    """How many codebooks there are along each axis of the grid."""
    return tuple(vectors.shape[:-2]) or (1,) * (alias.ndim - 1)


def _shared(vectors: Tensor, alias: Tensor) -> Tensor | None:
    """The alias of each codebook, shaped as vectors but for their width; None where positions that share one differ."""
    if alias.ndim > 1:
        for axis, side in enumerate(_books(vectors, alias)):
            first = alias.narrow(axis, 0, 1)
            if side == 1 and not torch.equal(alias, first.expand_as(alias)):
                return None
            alias = first if side == 1 else alias
    return alias.expand(vectors.shape[:-1]) if alias.ndim == 1 else alias.reshape(vectors.shape[:-1])
