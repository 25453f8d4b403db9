"""A generator of grids of codes, made one of standard normals by a flow onto embeddings."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from latentsearch.adapters._same_noise import same_for_all
from latentsearch.errors import InvalidArgument, Unsupported
from latentsearch.noise import Noise
from latentsearch.objective.embedding import EmbeddingView
from latentsearch.priors import StandardNormal
from latentsearch.protocols import (
    AliasedGenerator,
    AutoEncoder,
    EmbeddingGenerator,
    Generator,
    NormalBase,
    Prior,
)
from latentsearch.spaces import Continuous, Discrete

_SPREAD = 43  # the stream of noise of `to_gaussian`


class GaussianEmbeddings:
    r"""Standard normals that a flow carries to embeddings, of which the nearest codes are decoded.

    The flow is a prior over embeddings $(e_{c_1}, \dots, e_{c_P})$ of grids of codes, such as a
    [CategoricalFlow][latentsearch.priors.CategoricalFlow], or any that was fitted to embeddings with noise of a
    standard deviation ``spread`` about them. Its normals, D a position, become the latents, as in *D-Flow:
    Differentiating through Flows for Controlled Generation* ([Ben-Hamu et al.
    2024](https://arxiv.org/abs/2402.14017)). Beside [GaussianCodes][latentsearch.GaussianCodes] the map is
    smooth and has no order: what is changed at one position does not shuffle those after it. It is not exact: draws
    follow the flow, and codes come back from their normals up to the error of the flow's steps.

    **The codes that are decoded are hard ones**, so that what a search scores is what it reports. Gradients go
    straight through the quantisation [van den Oord et al. 2017](https://arxiv.org/abs/1711.00937), and through the
    flow.

    **Cost.** Each decode runs the flow once, and each gradient back through it. Budgets count the decodes alone.

    Args:
        generator: A decoder of grids of codes ``(N, *S)`` with embeddings ``(N, *S, D)``.
        flow: Over ``Continuous((*S, D))``.
        spread: The standard deviation of the noise about the embeddings that the flow was fitted to.

    Attributes:
        generator, flow, spread: As given.
        prior: Standard normal.

    Raises:
        InvalidArgument: If the flow is over latents of another shape or in train mode, or the spread is negative.
        Unsupported: If the generator has no embeddings of codes, or the flow is none.

    Example:
        >>> import latentsearch as ls
        >>> from latentsearch.priors import CategoricalFlow
        >>> from latentsearch.testing import toys
        >>> toy = toys.codes().generator
        >>> flow = CategoricalFlow(toy.space, toy.codebook, channels=8, blocks=1).eval()
        >>> generator = ls.GaussianEmbeddings(toy, flow, spread=flow.spread)
        >>> eps = generator.prior.sample(ls.Noise.from_seed(0, 3))
        >>> generator.space, generator.codes(eps).shape
        (Continuous(shape=(2, 2, 1)), torch.Size([3, 2, 2]))
    """

    def __init__(self, generator: Generator, flow: Prior, *, spread: float = 0.0) -> None:
        space = generator.space
        if not isinstance(space, Discrete) or not isinstance(generator, EmbeddingGenerator):
            raise Unsupported(
                "GaussianEmbeddings.generator",
                got=f"one of {space}",
                expected="one of codes with embeddings",
                hint="ls.ContinuousGenerator takes the flow and the decoder of continuous latents as one function",
            )
        if not isinstance(flow, NormalBase):
            expected = "a flow, which has decode(base) and encode(latents)"
            hint = "ls.GaussianCodes takes an AutoregressivePrior"
            raise Unsupported("GaussianEmbeddings.flow", got=type(flow).__name__, expected=expected, hint=hint)
        shape = (*space.shape, generator.codebook.shape[-1])
        if flow.space != Continuous(shape):
            expected = f"one over the embeddings, {Continuous(shape)}"
            raise InvalidArgument("GaussianEmbeddings.flow", got=f"one over {flow.space}", expected=expected)
        if isinstance(flow, nn.Module) and flow.training:
            raise InvalidArgument(
                "GaussianEmbeddings.flow", got="one in train mode", expected="evaluation mode", hint="flow.eval()"
            )
        if isinstance(flow, nn.Module):
            kept = next((p.dtype for p in flow.parameters()), generator.dtype)
            if kept != generator.dtype:
                hint = f"flow.to({generator.dtype})"
                got, expected = f"one in {kept}", f"that of the generator, {generator.dtype}"
                raise InvalidArgument("GaussianEmbeddings.flow", got=got, expected=expected, hint=hint)
        if not 0 <= spread < math.inf:
            raise InvalidArgument("GaussianEmbeddings.spread", got=repr(spread), expected="a number of at least 0")
        self.generator: EmbeddingGenerator = generator
        self._book = EmbeddingView(generator).codebook
        self.flow, self.spread, self._grids = flow, float(spread), space
        self.space = Continuous(shape)
        self.device, self.dtype = generator.device, generator.dtype
        self.prior: Prior = StandardNormal(shape, self.dtype)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.generator}, {type(self.flow).__name__}, spread={self.spread:.3g})"

    def decode(self, z: Tensor) -> Tensor:
        """Normals ``(N, *S, D)`` to outputs ``(N, *O)`` of their codes."""
        e = self.flow.decode(z)
        codes = self._nearest(e)
        if not (z.requires_grad and torch.is_grad_enabled()):
            return self.generator.decode(codes)
        return self.generator.decode_embedding(self.generator.embed(codes) + (e - e.detach()))

    @torch.no_grad()
    def codes(self, z: Tensor) -> Tensor:
        """Normals ``(N, *S, D)`` to the codes ``(N, *S)`` that they stand for."""
        return self._nearest(self.flow.decode(z))

    @torch.no_grad()
    def to_gaussian(self, codes: Tensor, noise: Noise | None = None) -> Tensor:
        """Normals ``(N, *S, D)`` that stand for hard codes ``(N, *S)``, up to the error of the flow's steps.

        Noise of the flow's spread is put about the embeddings, so that the normals lie where N(0, I) does. It is left
        out at positions that it would carry to another code.

        Args:
            codes: ``(N, *S)``.
            noise: N rows; if not given, one and the same for each row.
        """
        self._grids.check("GaussianEmbeddings.codes", codes)
        codes = self._canonical(codes)
        noise = same_for_all(codes) if noise is None else noise
        exact = self.generator.embed(codes)
        blurred = exact + self.spread * noise.fold(_SPREAD).normal(*exact.shape[1:], dtype=exact.dtype)
        kept = self._nearest(blurred) == codes
        return self.flow.encode(torch.where(kept[..., None], blurred, exact)).to(self.dtype)

    def encode(self, output: Tensor, noise: Noise | None = None) -> Tensor:
        """Outputs ``(N, *O)`` to normals: `to_gaussian` of what the generator encodes.

        Raises:
            Unsupported: If the generator cannot encode.
        """
        if not isinstance(self.generator, AutoEncoder):
            got = type(self.generator).__name__
            raise Unsupported("GaussianEmbeddings.encode", got=got, expected="a generator that can encode")
        return self.to_gaussian(self.generator.encode(output), noise)

    def _nearest(self, e: Tensor) -> Tensor:
        return self._canonical(self._book.nearest(e.detach()))

    def _canonical(self, codes: Tensor) -> Tensor:
        return self.generator.canonical(codes) if isinstance(self.generator, AliasedGenerator) else codes
