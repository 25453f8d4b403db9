r"""A convolutional VQ-VAE whose codebook does not collapse.

Source: van den Oord, Vinyals and Kavukcuoglu, *Neural Discrete Representation Learning* (2017),
section 3 (equation 3 for the loss) and appendix A.1 (the moving-average codebook).
"""

from __future__ import annotations

from typing import Any, Literal, get_args

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from latentsearch._checks import (
    require_count,
    require_flag,
    require_one_of,
    require_positive,
    require_share,
    require_weight,
)
from latentsearch.models._blocks import decoder_stack, encoder_stack
from latentsearch.models._pixels import require_stacks
from latentsearch.noise import Noise
from latentsearch.protocols import Prior

Update = Literal["ema", "gradient"]
_DEAD = 1e-4  # of the average count: at the default decay that is not used in the last 900 steps


class Codebook(nn.Module):
    r"""K vectors of width D, and the nearest-neighbour lookup among them.

    ``update="ema"`` follows the moving averages of appendix A.1 of the VQ-VAE paper; a code whose
    share of the recent encodings falls below ``revive_below`` of the average share is moved to
    a random encoding of the current batch, and the first batch places all codes by k-means. So no
    code stays dead. ``update="gradient"`` is the published loss: codes start uniform on
    (-1/K, 1/K) and learn from the codebook term, with nothing to revive them.

    Args:
        size: K.
        width: D.
        update: ``"ema"`` or ``"gradient"``.
        decay: Decay of the moving averages.
        revive_below: Share of the average use under which a code is dead.

    Raises:
        InvalidArgument: If a setting is out of range.

    Example:
        >>> import torch
        >>> from latentsearch.models import Codebook
        >>> codebook = Codebook(size=16, width=4)
        >>> codebook.nearest(torch.zeros(2, 3, 3, 4)).shape
        torch.Size([2, 3, 3])
    """

    vectors: Tensor
    counts: Tensor
    sums: Tensor
    placed: Tensor

    def __init__(
        self,
        size: int,
        width: int,
        *,
        update: Update = "ema",
        decay: float = 0.99,
        revive_below: float = 0.1,
    ) -> None:
        super().__init__()
        require_count("Codebook.size", size)
        require_count("Codebook.width", width)
        require_one_of("Codebook.update", update, get_args(Update))
        require_share("Codebook.decay", decay, ends="[)")
        require_weight("Codebook.revive_below", revive_below)
        self.size, self.width = size, width
        self.update, self.decay, self.revive_below = update, decay, revive_below
        vectors = torch.empty(size, width).uniform_(-1 / size, 1 / size)
        if update == "gradient":
            self.vectors = nn.Parameter(vectors)
        else:
            self.register_buffer("vectors", vectors)
        # Used by the moving averages alone, and not part of what a decoder needs to be loaded.
        self.register_buffer("counts", torch.ones(size), persistent=update == "ema")
        self.register_buffer("sums", vectors.detach().clone(), persistent=update == "ema")
        self.register_buffer("placed", torch.tensor(update == "gradient"), persistent=update == "ema")

    def nearest(self, embedding: Tensor) -> Tensor:
        """The nearest code of each vector: ``(..., D)`` to int64 ``(...)``."""
        flat = embedding.reshape(-1, self.width)
        # argmin |e|^2 - 2 x.e: the term |x|^2 is the same for all codes.
        scores = torch.addmm(self.vectors.square().sum(1), flat, self.vectors.T, alpha=-2)
        return scores.argmin(1).view(embedding.shape[:-1])

    def forward(self, codes: Tensor) -> Tensor:
        """int64 ``(...)`` to vectors ``(..., D)``."""
        return F.embedding(codes, self.vectors)

    @torch.no_grad()
    def learn(self, embedding: Tensor, noise: Noise) -> None:
        """One moving-average update from a batch of encodings ``(N, *S, D)``; noise has one row."""
        if self.update == "gradient":
            return
        flat = embedding.reshape(-1, self.width)
        if not bool(self.placed):
            self._place(flat, noise.fold(0))
        counts, sums = self._assign(flat)
        self.counts.lerp_(counts, 1 - self.decay)
        self.sums.lerp_(sums, 1 - self.decay)
        self._revive(flat, noise.fold(1))
        self.vectors.copy_(self.sums / self.counts[:, None])

    def _load_from_state_dict(self, state_dict: dict[str, Tensor], prefix: str, *rest: Any) -> None:
        # A decoder's file may hold the vectors alone: their place is found, and the averages start anew.
        if self.update == "ema" and prefix + "vectors" in state_dict:
            vectors = state_dict[prefix + "vectors"]
            defaults = {"counts": self.counts, "sums": vectors, "placed": torch.tensor(True)}
            for name, value in defaults.items():
                state_dict.setdefault(prefix + name, value)
        super()._load_from_state_dict(state_dict, prefix, *rest)

    def _assign(self, flat: Tensor) -> tuple[Tensor, Tensor]:
        codes = self.nearest(flat)
        counts = torch.zeros_like(self.counts).index_add_(0, codes, torch.ones_like(flat[:, 0]))
        return counts, torch.zeros_like(self.sums).index_add_(0, codes, flat)

    def _place(self, flat: Tensor, noise: Noise, rounds: int = 10) -> None:
        """k-means on the first batch, from random encodings."""
        self._scatter(flat, torch.ones_like(self.counts, dtype=torch.bool), noise)
        for _ in range(rounds):
            counts, sums = self._assign(flat)
            self.vectors.copy_(torch.where(counts[:, None] > 0, sums / counts.clamp(min=1)[:, None], self.vectors))
        counts, sums = self._assign(flat)
        self.counts.copy_(counts)
        self.sums.copy_(sums)
        self.placed.fill_(True)

    def _revive(self, flat: Tensor, noise: Noise) -> None:
        average = self.counts.mean()
        dead = self.counts < self.revive_below * average
        self._scatter(flat, dead, noise)
        # A revived code starts with the average's weight, so that it is not at once dead again.
        self.counts.copy_(torch.where(dead, average, self.counts))
        self.sums.copy_(torch.where(dead[:, None], self.vectors * average, self.sums))

    def _scatter(self, flat: Tensor, which: Tensor, noise: Noise) -> None:
        """Put the codes in ``which`` on random encodings."""
        picks = noise.integers(flat.shape[0], self.size)[0]
        self.vectors.copy_(torch.where(which[:, None], flat[picks], self.vectors))


class VQVAE(nn.Module):
    r"""A convolutional VQ-VAE on images.

    The training loss is, with means over all elements of a batch,
    $\mathrm{MSE}(x, \hat x)/\sigma^2 + \beta\,\mathrm{mean}(z_e - \mathrm{sg}[e])^2$, and
    with ``update="gradient"`` also $\mathrm{mean}(\mathrm{sg}[z_e] - e)^2$ (VQ-VAE paper,
    equation 3; the first term is $-\log p(x|z)$ of a Gaussian of variance
    $\sigma^2/2$ up to a constant and a scale).

    Args:
        image_shape: ``(C, H, W)``; H and W divisible by 2 to the power of ``halvings``.
        codebook_size: K.
        width: D, the width of an embedding.
        channels: Channels of the networks.
        residual_blocks: Residual blocks on each side.
        halvings: h, how often the sides are halved: a grid is ``(H / 2^h, W / 2^h)``.
        commitment: $\beta$.
        variance: $\sigma^2$, the variance of the data.
        update: How the codebook learns; see [Codebook][latentsearch.models.Codebook].
        normalise: Whether encodings are batch-normalised before they are quantised, as Łańcucki et
            al., *Robust Training of Vector Quantized Bottleneck Models* (2020), advise: their scale
            is then right from the first step, whatever the first weights.

    Attributes:
        prior: What its codes look like, such as [fit_prior][latentsearch.fit_prior] makes; None until you set it.
            [wrap][latentsearch.wrap] makes it the generator's.

    Raises:
        InvalidArgument: If a setting is out of range.

    Example:
        >>> import torch
        >>> from latentsearch.models import VQVAE
        >>> model = VQVAE((1, 28, 28), codebook_size=32, channels=8).eval()
        >>> codes = model.encode(torch.rand(2, 1, 28, 28))
        >>> codes.shape, model.decode(codes).shape
        (torch.Size([2, 7, 7]), torch.Size([2, 1, 28, 28]))
    """

    prior: Prior | None

    def __init__(
        self,
        image_shape: tuple[int, int, int],
        *,
        codebook_size: int = 512,
        width: int = 64,
        channels: int = 128,
        residual_blocks: int = 2,
        halvings: int = 2,
        commitment: float = 0.25,
        variance: float = 1.0,
        update: Update = "ema",
        normalise: bool = True,
    ) -> None:
        super().__init__()
        require_stacks("VQVAE", image_shape, width, channels, residual_blocks, halvings)
        require_count("VQVAE.codebook_size", codebook_size)
        require_weight("VQVAE.commitment", commitment)
        require_positive("VQVAE.variance", variance)
        require_one_of("VQVAE.update", update, get_args(Update))
        require_flag("VQVAE.normalise", normalise)
        self.settings = {
            "image_shape": tuple(image_shape),
            "codebook_size": codebook_size,
            "width": width,
            "channels": channels,
            "residual_blocks": residual_blocks,
            "halvings": halvings,
            "commitment": commitment,
            "variance": variance,
            "update": update,
            "normalise": normalise,
        }
        self.prior = None
        self.latent_shape = (image_shape[1] // 2**halvings, image_shape[2] // 2**halvings)
        self.commitment, self.variance = commitment, variance
        self.encoder = encoder_stack(image_shape[0], channels, width, residual_blocks, halvings)
        if normalise:
            self.encoder.append(nn.BatchNorm2d(width, affine=False))
        self.codes = Codebook(codebook_size, width, update=update)
        self.decoder = decoder_stack(width, channels, image_shape[0], residual_blocks, halvings)

    @property
    def codebook(self) -> Tensor:
        """``(K, D)``."""
        return self.codes.vectors

    @property
    def used_codes(self) -> Tensor:
        """``(K,)`` bool: False for codes that training let die, by the moving averages of their counts.

        True for all where there are no averages: in a codebook that learns by gradient, and in a
        decoder loaded without them. Revived codes count as used, so with the default settings few are not.
        """
        return self.codes.counts > _DEAD * self.codes.counts.mean()

    def encode_embedding(self, images: Tensor) -> Tensor:
        """Images ``(N, C, H, W)`` to encodings ``(N, H/2^h, W/2^h, D)`` before quantisation."""
        return self.encoder(images).movedim(1, -1)  # type: ignore[no-any-return]

    def encode(self, images: Tensor) -> Tensor:
        """Images ``(N, C, H, W)`` to int64 codes ``(N, H/2^h, W/2^h)``."""
        return self.codes.nearest(self.encode_embedding(images))

    def decode_embedding(self, embedding: Tensor) -> Tensor:
        """Embeddings, channels first, ``(N, D, H/2^h, W/2^h)`` to images ``(N, C, H, W)``."""
        return self.decoder(embedding)  # type: ignore[no-any-return]

    def decode(self, codes: Tensor) -> Tensor:
        """int64 codes ``(N, H/2^h, W/2^h)`` to images ``(N, C, H, W)``."""
        return self.decode_embedding(self.codes(codes).movedim(-1, 1))

    def training_terms(self, images: Tensor, noise: Noise) -> dict[str, Tensor]:
        """The terms of the loss on one batch, each a scalar; their sum is what is minimised.

        In training mode a moving-average codebook also takes its update here.

        Args:
            images: ``(N, C, H, W)`` in [0, 1].
            noise: One row of noise, for reviving dead codes.
        """
        encoding = self.encode_embedding(images)
        if self.training:
            self.codes.learn(encoding, noise)
        codes = self.codes.nearest(encoding)
        vectors = self.codes(codes)
        straight_through = encoding + (vectors - encoding).detach()
        decoded = self.decode_embedding(straight_through.movedim(-1, 1))
        terms = {
            "reconstruction": F.mse_loss(decoded, images) / self.variance,
            "commitment": self.commitment * F.mse_loss(encoding, vectors.detach()),
        }
        if self.codes.update == "gradient":
            terms["codebook"] = F.mse_loss(vectors, encoding.detach())
        return terms
