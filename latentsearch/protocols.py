"""The contracts that users implement: generators and priors, and what a searcher is."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol, runtime_checkable

import torch
from torch import Tensor

from latentsearch._checks import in_short
from latentsearch._structural import Structural, lacking
from latentsearch.errors import InvalidArgument
from latentsearch.goal import AnyGoal
from latentsearch.noise import Noise
from latentsearch.spaces import LatentSpace

if TYPE_CHECKING:
    from latentsearch.result import SearchResult
    from latentsearch.run import Run


@runtime_checkable
class Prior(Protocol, metaclass=Structural):
    """A distribution over latents. Never None: where nothing is known, a null object says so.

    A prior whose network takes time may have a ``cost``: what one draw costs, as a share of a decode, which a search
    is charged; draws from one that says nothing are free. One with a method ``to(device)`` that returns it on
    another device, or that is a module, goes along with ``LogPrior.to``.

    Attributes:
        space: What it is a distribution over.
    """

    @property
    def space(self) -> LatentSpace: ...

    def sample(self, noise: Noise) -> Tensor:
        """One hard latent per row of ``noise``: ``(N, *S)``."""

    def log_prob(self, z: Tensor) -> Tensor:
        """``(N,)`` in nats, up to a constant; differentiable in continuous and in soft latents."""


@runtime_checkable
class ConditionalPrior(Prior, Protocol, metaclass=Structural):
    """A prior over grids of codes that says of some positions what the others make likely: it can propose.

    Attributes:
        cost: What one pass of its network costs for one row, as a share of a decode; 0 where there is
            nothing to run. ``conditionals`` takes one pass, and ``passes`` says how many ``resample`` takes;
            ``sample`` takes those of a grid of which nothing is known. A search is charged for them.
    """

    @property
    def cost(self) -> float: ...

    def conditionals(self, z: Tensor, known: Tensor) -> Tensor:
        """Log-probabilities of every code at every position, given the known ones; normalised over the K codes.

        Args:
            z: ``(N, *S)`` hard grids.
            known: ``(N, *S)`` bool, the positions to go by; codes of ``z`` that are not known are not looked at.

        Returns:
            ``(N, *S, K)``: log p(z_p = j | the known codes), in nats. A known position has its own code for
            certain: 0 there, and minus infinity for the others.
        """

    def resample(self, z: Tensor, mask: Tensor, noise: Noise) -> Tensor:
        """Hard grids ``(N, *S)`` whose positions in ``mask``, ``(N, *S)`` bool, are drawn given the rest."""

    def passes(self, mask: Tensor) -> Tensor:
        """``(N,)`` int64: how many passes ``resample`` takes for masks ``(N, *S)``."""


@runtime_checkable
class AutoregressivePrior(Prior, Protocol, metaclass=Structural):
    """A prior over grids of codes that says of each position what those before it make likely.

    Before is in raster order, the order of the flattened grid. Its ``log_prob`` is the sum over a grid's own codes.
    """

    def causal_logits(self, z: Tensor) -> Tensor:
        """``(N, *S, K)``: log p(z_p = j | the codes before p), of hard ``(N, *S)`` or soft ``(N, *S, K)`` grids."""


@runtime_checkable
class NormalBase(Prior, Protocol, metaclass=Structural):
    """A prior whose draws are a function of standard normals, which has an inverse: a flow."""

    def decode(self, base: Tensor) -> Tensor:
        """Standard normals ``(N, *E)`` to latents ``(N, *S)``; a gradient passes."""

    def encode(self, latents: Tensor) -> Tensor:
        """Latents ``(N, *S)`` to the standard normals ``(N, *E)`` that they are made of."""


@runtime_checkable
class CalibratedPrior(Prior, Protocol, metaclass=Structural):
    """A prior that knows how far the decoder is off: what ``noise="decoder"`` stands for.

    Attributes:
        residuals: ``(n, *O)``, of some images what their encodings decode to, minus the images.
    """

    @property
    def residuals(self) -> Tensor: ...


def require_prior(what: str, prior: object) -> None:
    """Raise InvalidArgument unless an argument is a Prior."""
    # A class has the methods, too, and cannot be asked.
    if isinstance(prior, Prior) and not isinstance(prior, type):
        return
    hint = ""
    if isinstance(prior, type):
        hint = f"make one: {prior.__name__}(...)"
    elif isinstance(prior, torch.distributions.Distribution):
        hint = "wrap it: ls.priors.DistributionPrior(distribution)"
    elif hasattr(prior, "sample") and hasattr(prior, "log_prob"):
        hint = "space says what it is a distribution over, such as ls.Continuous((20,))"
    elif isinstance(prior, Generator):
        hint = "generator.prior is one"
    elif isinstance(prior, (str, os.PathLike)):
        hint = "ls.priors.load(path) reads one"
    expected = "an object with sample, log_prob and space"
    got = f"the class {prior.__name__}" if isinstance(prior, type) else type(prior).__name__
    raise InvalidArgument(what, got=got, expected=expected, hint=hint)


@runtime_checkable
class Generator(Protocol, metaclass=Structural):
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
class EmbeddingGenerator(Generator, Protocol, metaclass=Structural):
    """A discrete generator whose codes have embeddings that a gradient can reach."""

    @property
    def codebook(self) -> Tensor:
        """``(K, D)``, or broadcastable to ``(*S, K, D)`` where positions have codebooks of their own."""

    def embed(self, z: Tensor) -> Tensor:
        """Hard or soft latents to embeddings ``(N, *S, D)``."""

    def decode_embedding(self, e: Tensor) -> Tensor:
        """Embeddings ``(N, *S, D)`` to outputs ``(N, *O)``."""


@runtime_checkable
class LocalGenerator(Generator, Protocol, metaclass=Structural):
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
class AliasedGenerator(Generator, Protocol, metaclass=Structural):
    """A discrete generator with codes that stand for others, such as codes never used in training.

    A search scores and reports what ``canonical`` gives. Where one has ``unmasked``, the generator of the same decoder
    in which every code stands for itself, priors that were fitted to that are known to belong to this one.
    """

    def canonical(self, z: Tensor) -> Tensor:
        """Hard ``(N, *S)`` or soft ``(N, *S, K)`` codes without those that stand for others.

        They decode to the same, and once more changes nothing.
        """


@runtime_checkable
class AutoEncoder(Generator, Protocol, metaclass=Structural):
    """A generator that can also encode: a source of starting points."""

    def encode(self, output: Tensor) -> Tensor:
        """Outputs ``(N, *O)`` to hard latents ``(N, *S)``."""


def require_generator(what: str, generator: object) -> None:
    """Raise InvalidArgument unless an argument is a Generator."""
    # A class has the methods, too, and cannot decode.
    if isinstance(generator, Generator) and not isinstance(generator, type):
        return
    got, missing = in_short(generator), lacking(generator, Generator)
    hint = "wrap a decoder in ContinuousGenerator or CodebookGenerator first, or a model with ls.wrap(model)"
    if isinstance(generator, type):
        hint = f"make one first: {generator.__name__}(...)"
    elif hasattr(generator, "decode"):
        got = f"{got} without {', '.join(missing)}"
    raise InvalidArgument(what, got=got, expected="a Generator", hint=hint)


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
