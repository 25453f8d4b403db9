"""A discrete generator seen through the embeddings of its codes; one-hot vectors where it has none."""

from __future__ import annotations

from functools import cached_property

import torch
from torch import Tensor

from latentsearch._codebook import Codebook
from latentsearch.errors import Unsupported
from latentsearch.protocols import AliasedGenerator, EmbeddingGenerator, Generator
from latentsearch.spaces import Discrete


class EmbeddingView:
    """What methods on codes ask of a generator, whatever it is.

    Attributes:
        codebook: The embeddings of codes; the unit vectors for a generator without.
    """

    def __init__(self, generator: Generator) -> None:
        self._generator = generator
        self._embeddings = generator if isinstance(generator, EmbeddingGenerator) else None
        self._aliases = generator if isinstance(generator, AliasedGenerator) else None

    @property
    def grid(self) -> Discrete:
        """The space of the grids.

        Raises:
            Unsupported: If the generator's latents are no codes.
        """
        space = self._generator.space
        if not isinstance(space, Discrete):
            raise Unsupported("the generator", got=f"{space}", expected="a Discrete space")
        return space

    @cached_property
    def codebook(self) -> Codebook:
        return Codebook.of(self._vectors, self._alias)

    @property
    def own(self) -> Tensor | None:
        """``(K,)`` or ``(*S, K)`` bool, the codes that stand for themselves; None where all do."""
        return None if self._aliases is None else self.codebook.own

    @cached_property
    def fixed(self) -> Tensor | None:
        """``(*S,)`` bool, the positions at which one code stands for all; None where there are none."""
        if self.own is None:
            return None
        found = self.own.expand(*self.grid.shape, -1).sum(-1) == 1
        return found if bool(found.any()) else None

    @cached_property
    def neighbours(self) -> int:
        """How many grids differ from one in one code, those with codes that stand for others left out."""
        if self.own is None:
            return self.grid.positions * (self.grid.codebook_size - 1)
        return int(self.own.expand(*self.grid.shape, -1).sum()) - self.grid.positions

    @cached_property
    def free(self) -> frozenset[int]:
        """The positions of the flattened grid that are not fixed; plain numbers, so that no step asks a device."""
        if self.fixed is None:
            return frozenset(range(self.grid.positions))
        return frozenset((~self.fixed).flatten().nonzero()[:, 0].tolist())

    @property
    def _vectors(self) -> Tensor:
        if self._embeddings is not None:
            return self._embeddings.codebook
        return torch.eye(self.grid.codebook_size, dtype=self._generator.dtype, device=self._generator.device)

    @property
    def _alias(self) -> Tensor | None:
        """``(*S, K)``: the code that each one stands for."""
        if self._aliases is None:
            return None
        codes = torch.arange(self.grid.codebook_size, device=self._generator.device)
        filled = codes.view(-1, *(1,) * len(self.grid.shape)).expand(-1, *self.grid.shape)
        alias = self._aliases.canonical(filled)
        return None if torch.equal(alias, filled) else alias.movedim(0, -1)

    def embed(self, z: Tensor) -> Tensor:
        """Hard grids ``(N, *S)`` or soft ones ``(N, *S, K)`` to embeddings ``(N, *S, D)``."""
        if self._embeddings is not None:
            return self._embeddings.embed(z)
        return z if self.grid.is_soft(z) else self.grid.one_hot(z, self._generator.dtype)

    def decode_embedding(self, e: Tensor) -> Tensor:
        """Embeddings ``(N, *S, D)`` to outputs ``(N, *O)``."""
        return self._generator.decode(e) if self._embeddings is None else self._embeddings.decode_embedding(e)

    def without_others(self, table: Tensor, value: float) -> Tensor:
        """A table ``(N, *S, K)`` with ``value`` for codes that stand for others."""
        return table if self.own is None else self.codebook.without_others(table, value)

    def canonical(self, z: Tensor) -> Tensor:
        """Codes ``(N, *S)`` or ``(N, *S, K)`` without those that stand for others; other latents as they are."""
        return z if self._aliases is None else self._aliases.canonical(z)
