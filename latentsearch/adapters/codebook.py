"""A decoder of grids of codes, wrapped: VQ-VAEs, VQ-GANs, and residual or hierarchical ones."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from functools import cached_property
from typing import Literal

import torch
from torch import Tensor

from latentsearch._checks import require_flag, require_made
from latentsearch._codebook import Codebook
from latentsearch._codes import canonical
from latentsearch._context import ordinary, undisturbed
from latentsearch._watch import Watch, modules_behind
from latentsearch.adapters._arguments import check_functions
from latentsearch.adapters._check import check_generator, dtype_of, hint_on_meta, home_of
from latentsearch.adapters._door import encoded, entering, leaving
from latentsearch.adapters._grids import Grid, check_finite, check_summed, checked_grids, joined, listed, projected
from latentsearch.adapters._used import checked_masks
from latentsearch.adapters.patches import Patches, find_patches
from latentsearch.errors import InvalidArgument, LatentSearchError, Unsupported, describe
from latentsearch.priors import UniformCodes
from latentsearch.protocols import Prior
from latentsearch.spaces import Discrete

Layout = Literal["channels_first", "channels_last"]


class CodebookGenerator:
    """Any decoder of embedded codes, with its codebook.

    The decoder is used as it is: its weights are not changed, and searches give them no gradients. Unless
    ``check=False``, a few grids are decoded at once, and what is wrong is named.

    **Several grids as one.** VQ-VAE-2 has a grid a level, a residual VQ one a stage: give lists of
    codebooks and shapes. The latent is then one grid of all their positions, ``(P,)``, or ``(Q, P)`` of Q grids that
    are alike in shape and codebook; the decoder gets one embedding a grid, ``decoder(e_1, e_2, ...)``, and ``split``
    takes a latent apart. A residual VQ sums: ``decoder=lambda *e: net(sum(e))``. A smaller codebook is filled up with
    copies of its last code, which stand for it as an unused code does for another. Codebooks are held once a grid
    where these are alike, and once a position else.

    **Codes never used in training** have arbitrary embeddings, at which the decoder was never
    trained, and a search exploits them. With ``used`` each of them gets the embedding of the
    nearest code that is used, and stands for that code: the uniform prior never draws it,
    ``encode`` never returns it, constraints see the other code in its place, and no search
    tries or reports it. So your own decoder and codebook decode ``result.latent`` to ``result.output``.

    **Codes that are allowed at some positions only**, or fixed there, are the same with a mask a position, ``(*S, K)``:
    the codebook is still held once. A position at which one code is left keeps it.

    Args:
        decoder: Embeddings ``(N, D, *S)`` (or ``(N, *S, D)``, see layout) to outputs ``(N, *O)``.
        codebook: ``(K, D)``; ``(*S, K, D)`` where positions have codebooks of their own; a list, or ``(Q, K, D)`` for
            Q shapes, for several grids.
        shape: S, the shape of the grid of codes; a list for several grids.
        layout: Where the decoder expects the D channels.
        project: Applied to each code before the decoder sees it, as where a quantiser works in a
            small space and projects out; distances and gradients are then those that the decoder sees.
        encode: Outputs to int64 codes ``(N, *S)``, or to embeddings in the decoder's layout, which
            go to the nearest code; for several grids, to a list of either.
        used: ``(K,)`` bool, or ``(*S, K)`` where positions differ; a list for several grids, with None where all
            codes are used. True where training used the code, or where it is allowed.
        output_transform: Applied to every output, for instance ``lambda x: (x + 1) / 2``.
        output_range: Where outputs must lie, for the check, and images for [fit_prior][latentsearch.fit_prior]; None
            does not look.
        prior: A prior over grids; uniform if not given.
        check: Whether to look the decoder over.

    Attributes:
        several: Whether there are several grids.
        codebook: ``(K, D)``, or broadcastable to ``(*S, K, D)``: the vectors of the codes that are used.
        decoder, output_transform, output_range, layout: As given.

    Raises:
        InvalidArgument: If the decoder is in train mode, expects another layout or width, is not deterministic,
            mixes rows, or leaves its range; if the encoder is in train mode; if ``used`` has another shape or
            dtype, or uses no code at all.

    Example:
        >>> import torch
        >>> import latentsearch as ls
        >>> net = torch.nn.ConvTranspose2d(16, 1, 4, stride=4).eval()
        >>> generator = ls.CodebookGenerator(net, torch.randn(32, 16), shape=(7, 7))
        >>> generator.decode(torch.zeros(2, 7, 7, dtype=torch.int64)).shape
        torch.Size([2, 1, 28, 28])
    """

    def __init__(
        self,
        decoder: Callable[..., Tensor],
        codebook: Tensor | Sequence[Tensor],
        shape: tuple[int, ...] | Sequence[tuple[int, ...]],
        *,
        layout: Layout = "channels_first",
        project: Callable[[Tensor], Tensor] | None = None,
        encode: Callable[[Tensor], Tensor | Sequence[Tensor]] | None = None,
        used: Tensor | Sequence[Tensor | None] | None = None,
        output_transform: Callable[[Tensor], Tensor] | None = None,
        output_range: tuple[float, float] | None = None,
        prior: Prior | None = None,
        check: bool = True,
    ) -> None:
        name = type(self).__name__
        require_made(f"{name}.decoder", decoder, "a module or function of embeddings")
        check_functions(name, encode=encode, project=project, output_transform=output_transform)
        require_flag(f"{name}.check", check)
        if layout not in ("channels_first", "channels_last"):
            raise InvalidArgument(
                "CodebookGenerator.layout", got=repr(layout), expected="'channels_first' or 'channels_last'"
            )
        codebooks, shapes = checked_grids(codebook, shape)
        self.several = len(codebooks) > 1 or not isinstance(codebook, Tensor)
        self.layout = layout
        self.decoder, self._encoder, self.output_transform = decoder, encode, output_transform
        self.output_range, self.device = output_range, codebooks[0].device
        with undisturbed(self.device):
            if project is not None:
                check_summed(codebooks, shapes, project)
            books = [ordinary(book if project is None else projected(book, project)).detach() for book in codebooks]
            self._join(books, shapes, used)
            self.prior: Prior = prior if prior is not None else self._uniform()
            if check:
                self._check()

    def _join(
        self, codebooks: list[Tensor], shapes: list[tuple[int, ...]], used: Tensor | Sequence[Tensor | None] | None
    ) -> None:
        """Make one codebook of all, and one space."""
        masks = checked_masks(used, codebooks, shapes, self.several)
        check_finite(codebooks, masks)
        vectors, self._alias, self._grids = joined(codebooks, masks, shapes)
        self.space = Discrete(self._latent_shape(vectors), vectors.shape[-2])
        self._native = vectors.dtype
        # The cast is at the decoder's door: sums of squares and small steps do not fit half precision.
        self.dtype = torch.promote_types(self._native, torch.float32)
        if self._alias is not None and self._alias.ndim > 1:
            self._alias = self._alias.view(*self.space.shape, -1)
        self._vectors = vectors
        self._open()

    def _open(self) -> None:
        """Look codes up in the vectors as given, each as the code that it stands for."""
        self._book = Codebook.of(self._vectors, self._alias).to(self.dtype)
        self.codebook = self._book.vectors

    def _latent_shape(self, book: Tensor) -> tuple[int, ...]:
        """Of one grid its own; of several that are alike ``(Q, positions)``; else all positions."""
        if not self.several:
            return self._grids[0].shape
        positions = [grid.positions for grid in self._grids]
        return (len(positions), positions[0]) if book.ndim == 4 else (sum(positions),)

    def _check(self) -> None:
        self._check_home()
        with Watch([*modules_behind(self.decoder), *modules_behind(self._encoder)]) as watch:
            self._try_decoder()
            encode = self.encode if self._encoder else None
            check_generator(self, watch, encode=encode, output_range=self.output_range)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.space})"

    # -- the generator ---------------------------------------------------------------------------

    def decode(self, z: Tensor) -> Tensor:
        """Hard ``(N, *S)`` or soft ``(N, *S, K)`` codes to outputs ``(N, *O)``."""
        soft = (*self.space.shape, self.space.codebook_size)
        if tuple(z.shape[1:]) != (soft if z.is_floating_point() else self.space.shape):
            self.space.check("CodebookGenerator.decode", z)
        try:
            e = self.embed(z)
        except IndexError:
            self.space.check("CodebookGenerator.decode", z)
            raise
        return self.decode_embedding(e)

    def embed(self, z: Tensor) -> Tensor:
        """Hard or soft codes to embeddings ``(N, *S, D)``."""
        return self._book.lookup(z)

    def decode_embedding(self, e: Tensor) -> Tensor:
        """Embeddings ``(N, *S, D)`` to outputs ``(N, *O)``."""
        grids = self._split_embedding(e) if self.several else [e]
        output = self.decoder(*(entering(self._laid_out(grid), self._native) for grid in grids))
        return leaving("CodebookGenerator", output, self.output_transform, self.dtype)

    @cached_property
    def patches(self) -> Patches:
        """What is decoded again when one code changes; found at the first use, for about twenty decodes."""
        if self.several:
            return Patches(self.space.shape, why="several grids are searched as one")
        return find_patches(self)

    @property
    def redecode_share(self) -> float:
        """What ``redecode`` costs, as a share of ``decode``; 1 where ``patches.why`` says what is in the way."""
        return self.patches.share

    def redecode(self, z: Tensor, position: Tensor, output: Tensor) -> Tensor:
        """Decode hard grids again that differ at one position from those of known outputs.

        Args:
            z: ``(N, *S)`` int64.
            position: ``(N,)`` int64, where in the flattened grid.
            output: ``(N, *O)``, what the grids decoded to before; it is written over.

        Returns:
            ``decode(z)`` up to rounding, ``(N, *O)``.
        """
        if self.patches.why:
            return self.decode(z)
        cells = self.patches.cells(position)
        e = self._book.lookup_at(z.flatten(1).gather(1, cells), cells, self.space.shape)
        return self.patches.paste(self.decode_embedding(e.unflatten(1, self.patches.crop)), position, output)

    def encode(self, output: Tensor) -> Tensor:
        """Outputs ``(N, *O)`` to hard codes ``(N, *S)``.

        Codes that are not used come out as those that they stand for.

        Raises:
            Unsupported: If the generator was made without ``encode``.
        """
        if self._encoder is None:
            raise Unsupported("CodebookGenerator.encode", got="no encoder", expected="encode= on wrapping")
        found = encoded("CodebookGenerator.encode", self._encoder, output, dtype_of(self._encoder, self._native))
        # Of grids that are alike one tensor has the codes of all.
        if isinstance(found, Tensor) and self.several and tuple(found.shape[1:]) == self.space.shape:
            found = [part.unflatten(1, grid.shape) for part, grid in zip(found.unbind(1), self._grids, strict=True)]
        parts = [found] if isinstance(found, Tensor) else list(found)
        if len(parts) != len(self._grids):
            raise InvalidArgument(
                "CodebookGenerator.encode", got=f"{len(parts)} grids", expected=f"{len(self._grids)}, one a codebook"
            )
        codes = [self._codes(part, grid) for part, grid in zip(parts, self._grids, strict=True)]
        z = torch.cat([code.flatten(1) for code in codes], 1).view(-1, *self.space.shape) if self.several else codes[0]
        if self._alias is not None:
            self.space.check("CodebookGenerator.encode", z)
        return self.canonical(z)

    def canonical(self, z: Tensor) -> Tensor:
        """Hard ``(N, *S)`` or soft ``(N, *S, K)`` codes, with the codes that unused ones stand for in their place."""
        return z if self._alias is None else canonical(self._alias, z)

    @property
    def unmasked(self) -> CodebookGenerator:
        """The same without ``used``: every code stands for itself."""
        if self._alias is None:
            return self
        found = copy.copy(self)
        found.__dict__.pop("patches", None)
        found._alias = None
        found._open()
        return found

    def split(self, z: Tensor) -> list[Tensor]:
        """A latent of several grids taken apart: one int64 ``(N, *S_i)`` a grid, codes below its own K and used."""
        parts = self.canonical(z).flatten(1).split([grid.positions for grid in self._grids], 1)
        return [part.view(-1, *grid.shape) for part, grid in zip(parts, self._grids, strict=True)]

    def _uniform(self) -> UniformCodes:
        if self._alias is None:
            return UniformCodes(self.space, self.dtype)
        own = torch.arange(self.space.codebook_size, device=self.device)
        return UniformCodes(self.space, self.dtype, self._alias == own)

    # -- between latents and the decoder -----------------------------------------------------------

    def _split_embedding(self, e: Tensor) -> list[Tensor]:
        parts = e.flatten(1, -2).split([grid.positions for grid in self._grids], 1)
        return [part[..., : grid.width].unflatten(1, grid.shape) for part, grid in zip(parts, self._grids, strict=True)]

    def _laid_out(self, e: Tensor) -> Tensor:
        return e.movedim(-1, 1) if self.layout == "channels_first" else e

    def _codes(self, found: Tensor, grid: Grid) -> Tensor:
        """Codes as they are; embeddings to their nearest codes."""
        if not found.is_floating_point():
            return found.long()
        e = (found.movedim(1, -1) if self.layout == "channels_first" else found).to(self.dtype)
        if tuple(e.shape[1:]) != (*grid.shape, grid.width):
            raise InvalidArgument(
                "CodebookGenerator.encode",
                got=describe(found),
                expected=f"int64 codes (N, {listed(grid.shape)}), or embeddings of width {grid.width} {self.layout}",
            )
        return self._book_of(grid).nearest(e)

    def _book_of(self, grid: Grid) -> Codebook:
        """The codebook of one grid, at its own size and width."""
        if not self.several:
            return self._book
        if len(self._grids) == 1:
            # In a list of one, the positions of the latent are in a row.
            alias, own = (
                each if each is None or each.ndim == 1 else each.view(*grid.shape, -1)
                for each in (self._book.alias, self._book.own)
            )
            return Codebook(self.codebook, alias, own)
        at = slice(grid.start, grid.start + grid.positions)
        alias = None if self._book.alias is None else self._book.alias.flatten(0, -2)[at].view(*grid.shape, -1)
        books = self.codebook.flatten(0, -3)
        own = books[grid.book] if self.codebook.ndim == 4 else books[at].view(*grid.shape, *books.shape[1:])
        return Codebook(own[..., : grid.size, : grid.width], alias)

    # -- the check on wrapping ---------------------------------------------------------------------

    def _check_home(self) -> None:
        home = home_of(self.decoder)
        if home is not None and home[1] != self._native:
            raise InvalidArgument(
                "CodebookGenerator.codebook",
                got=f"a codebook of {self._native} and a decoder of {home[1]}",
                expected="both of one dtype",
                hint=f"codebook.to({home[1]})",
            )
        if home is not None and home[0] != self.device:
            raise InvalidArgument(
                "CodebookGenerator.codebook",
                got=f"a codebook on {self.device} and a decoder on {home[0]}",
                expected="both on one device",
                hint=f"codebook.to({str(home[0])!r})",
            )

    def _try_decoder(self) -> None:
        z = torch.zeros(2, *self.space.shape, dtype=torch.int64, device=self.device)
        error = self._failure(z)
        if error is None:
            return
        if isinstance(error, LatentSearchError):
            raise error
        given = self.layout
        self.layout = "channels_last" if given == "channels_first" else "channels_first"
        hint = hint_on_meta(self.decoder) or self._width_or_shape()
        if self._failure(z) is None:
            hint = f"it takes layout={self.layout!r}"
        self.layout = given
        shapes = [tuple(self._laid_out(e).shape) for e in self._split_or_whole(z)]
        raise InvalidArgument(
            "CodebookGenerator.decoder",
            got=f"a decoder that fails on embeddings {shapes} ({given}) with {type(error).__name__}: {error}",
            expected="one that takes them",
            hint=hint,
        ) from error

    def _width_or_shape(self) -> str:
        """What the decoder may not like; of a grid of another size it would fail alike, so both are named."""
        if self.several:
            return (
                "it gets one embedding a grid: decoder(e_1, e_2, ...); that of a residual quantiser sums them, "
                "decoder=lambda *e: net(sum(e))"
            )
        return (
            f"check that shape={tuple(self.space.shape)} is the grid's, that the codebook's width is what the decoder "
            "takes, or give project="
        )

    def _split_or_whole(self, z: Tensor) -> list[Tensor]:
        return self._split_embedding(self.embed(z)) if self.several else [self.embed(z)]

    def _failure(self, z: Tensor) -> Exception | None:
        try:
            with torch.no_grad():
                self.decode(z)
        except Exception as error:
            return error
        return None
