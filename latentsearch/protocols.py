"""The contracts that users implement: generators and priors, and what a searcher is."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol, runtime_checkable

import torch
from torch import Tensor

from latentsearch.goal import AnyGoal
from latentsearch.noise import Noise
from latentsearch.spaces import LatentSpace

if TYPE_CHECKING:
    from latentsearch.result import SearchResult
    from latentsearch.run import Run


@runtime_checkable
class Prior(Protocol):
    """A distribution over latents. Never None: where nothing is known, a null object says so."""

    def sample(self, noise: Noise) -> Tensor:
        """One hard latent per row of ``noise``: ``(N, *S)``."""

    def log_prob(self, z: Tensor) -> Tensor:
        """``(N,)``, up to a constant; differentiable in continuous and in soft latents."""


@runtime_checkable
class Generator(Protocol):
    """A frozen decoder with its latent space.

    Attributes:
        space: What a latent is.
        prior: A distribution over latents.
        device: Where latents live.
        dtype: The floating dtype of continuous latents and of soft ones.
    """

    @property
    def space(self) -> LatentSpace: ...
    @property
    def prior(self) -> Prior: ...
    @property
    def device(self) -> torch.device: ...
    @property
    def dtype(self) -> torch.dtype: ...

    def decode(self, z: Tensor) -> Tensor:
        """Hard ``(N, *S)`` or soft ``(N, *S, K)`` latents to outputs ``(N, *O)``; deterministic."""


@runtime_checkable
class EmbeddingGenerator(Generator, Protocol):
    """A discrete generator whose codes have embeddings that a gradient can reach."""

    @property
    def codebook(self) -> Tensor:
        """``(K, D)``, or broadcastable to ``(*S, K, D)`` where positions have codebooks of their own."""

    def embed(self, z: Tensor) -> Tensor:
        """Hard or soft latents to embeddings ``(N, *S, D)``."""

    def decode_embedding(self, e: Tensor) -> Tensor:
        """Embeddings ``(N, *S, D)`` to outputs ``(N, *O)``."""


@runtime_checkable
class LocalGenerator(Generator, Protocol):
    """A discrete generator that can decode again what one changed code reaches, for less than a whole decode.

    Attributes:
        redecode_share: What ``redecode`` costs, as a share of ``decode``; 1 where it saves nothing.
    """

    @property
    def redecode_share(self) -> float: ...

    def redecode(self, z: Tensor, position: Tensor, output: Tensor) -> Tensor:
        """Decode hard grids again that differ at one position from those of known outputs.

        Args:
            z: ``(N, *S)`` int64.
            position: ``(N,)`` int64, where in the flattened grid.
            output: ``(N, *O)``, what the grids decoded to before; it may be written over.

        Returns:
            ``decode(z)`` up to rounding, ``(N, *O)``.
        """


@runtime_checkable
class AliasedGenerator(Generator, Protocol):
    """A discrete generator with codes that stand for others, such as codes never used in training.

    A search scores and reports what ``canonical`` gives.
    """

    def canonical(self, z: Tensor) -> Tensor:
        """Hard ``(N, *S)`` or soft ``(N, *S, K)`` codes without those that stand for others.

        They decode to the same, and once more changes nothing.
        """


@runtime_checkable
class AutoEncoder(Generator, Protocol):
    """A generator that can also encode: a source of starting points."""

    def encode(self, output: Tensor) -> Tensor:
        """Outputs ``(N, *O)`` to hard latents ``(N, *S)``."""


class Searcher(Protocol):
    """A method of search: settings only, so one instance serves any number of runs.

    [BaseSearcher][latentsearch.loop.BaseSearcher] has a `search` that looks at its arguments, and answers
    what a search of several stages asks of its parts.
    """

    def search(
        self,
        generator: Generator,
        constraint: AnyGoal,
        *,
        init: Tensor | None = None,
        seed: int | Sequence[int] | None = None,
        run: Run = ...,
    ) -> SearchResult:
        """Find latents whose outputs fulfil the constraint."""
