r"""An autoencoder of grids of vectors whose codebook looks on: what becomes of centres where there are many positions.

Source: Shi, *Rethinking VAE: From Continuous to Discrete Representations Without Probabilistic Assumptions* (2025),
section 4.3.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from latentsearch._checks import require_count
from latentsearch.models._blocks import decoder_stack, encoder_stack
from latentsearch.models._centres import Centres, Similarity, Update
from latentsearch.models._pixels import require_pixels, require_stacks
from latentsearch.models.centre_autoencoder import squared_error
from latentsearch.noise import Noise


class VQAutoencoder(nn.Module):
    r"""The VQ-AE: its decoder learns from the encoder's vectors, and its codebook by pulling single ones of these.

    The loss is that of [CentreAutoencoder][latentsearch.models.CentreAutoencoder] where an image has many encodings,
    one a position: each code takes the one that is nearest to it among all positions of the images that are looked at.
    Nothing is quantised in training. Images are decoded from either: from the encoder's vectors, or from codes.

    As a generator it is one of codes, ``ls.wrap(model)``. To search its vectors themselves:
    ``ls.ContinuousGenerator(model.decode_embedding, (width, H / 4, W / 4))``.

    Source: Shi, *Rethinking VAE: From Continuous to Discrete Representations Without Probabilistic Assumptions* (2025),
    section 4.3.

    Args:
        image_shape: ``(C, H, W)``; H and W divisible by 4. A grid is ``(H / 4, W / 4)``.
        codebook_size: K.
        width: The width of a vector.
        channels: Channels of the networks.
        residual_blocks: Residual blocks on each side.
        pull: The weight of the squared distance between a code and the encoding that it takes.
        looked_at: The share of a batch that codes look at; the rest is reconstructed.
        similarity: By what an encoding is the nearest to a code: ``"l2"``, ``"cosine"`` or ``"dot"``.
        update: ``"gradient"`` or ``"ema"``.
        decay: Of the moving averages.
        revive_below: The share of the average use under which a code is put on a random encoding; 0 for none.

    Raises:
        InvalidArgument: If a setting is out of range.

    Example:
        >>> import torch
        >>> import latentsearch as ls
        >>> from latentsearch.models import VQAutoencoder
        >>> model = VQAutoencoder((1, 28, 28), codebook_size=16, width=8, channels=8).eval()
        >>> codes = model.encode(torch.rand(2, 1, 28, 28))
        >>> codes.shape, model.decode(codes).shape
        (torch.Size([2, 7, 7]), torch.Size([2, 1, 28, 28]))
        >>> ls.wrap(model).space
        Discrete(shape=(7, 7), codebook_size=16)
    """

    def __init__(
        self,
        image_shape: tuple[int, int, int],
        *,
        codebook_size: int = 100,
        width: int = 64,
        channels: int = 64,
        residual_blocks: int = 1,
        pull: float = 1.0,
        looked_at: float = 0.5,
        similarity: Similarity = "l2",
        update: Update = "gradient",
        decay: float = 0.99,
        revive_below: float = 0.0,
    ) -> None:
        super().__init__()
        require_stacks("VQAutoencoder", image_shape, width, channels, residual_blocks)
        require_count("VQAutoencoder.codebook_size", codebook_size)
        colours, height, breadth = image_shape
        self.image_shape, self.latent_shape = tuple(image_shape), (height // 4, breadth // 4)
        self.pulled = Centres(
            "VQAutoencoder",
            codebook_size,
            width,
            pull=pull,
            looked_at=looked_at,
            similarity=similarity,
            update=update,
            decay=decay,
            revive_below=revive_below,
        )
        self.settings: dict[str, object] = {
            "image_shape": tuple(image_shape),
            "codebook_size": codebook_size,
            "width": width,
            "channels": channels,
            "residual_blocks": residual_blocks,
        } | self.pulled.settings
        self.encoder = encoder_stack(colours, channels, width, residual_blocks)
        self.decoder = decoder_stack(width, channels, colours, residual_blocks)

    @property
    def codebook(self) -> Tensor:
        """``(K, width)``."""
        return self.pulled.vectors

    @property
    def use(self) -> Tensor:
        """``(K,)``: the moving average of the share of encodings that each code is the nearest to."""
        return self.pulled.use

    def encode_embedding(self, images: Tensor) -> Tensor:
        """Images ``(N, C, H, W)`` to the encoder's vectors ``(N, H / 4, W / 4, width)``."""
        return self.encoder(images).movedim(1, -1)  # type: ignore[no-any-return]

    def encode(self, images: Tensor) -> Tensor:
        """Images ``(N, C, H, W)`` to int64 codes ``(N, H / 4, W / 4)``, the ones nearest to the encoder's vectors."""
        return self.pulled.nearest(self.encode_embedding(images))

    def decode_embedding(self, embedding: Tensor) -> Tensor:
        """Vectors, channels first, ``(N, width, H / 4, W / 4)`` to images ``(N, C, H, W)`` in (0, 1)."""
        return torch.sigmoid(self.decoder(embedding))

    def decode(self, codes: Tensor) -> Tensor:
        """int64 codes ``(N, H / 4, W / 4)`` to images ``(N, C, H, W)`` in (0, 1)."""
        return self.decode_embedding(F.embedding(codes, self.codebook).movedim(-1, 1))

    def training_terms(self, images: Tensor, noise: Noise) -> dict[str, Tensor]:
        """The terms of the loss on one batch of at least two images, each a scalar.

        In training mode codes that move by averages, and those to be revived, do so here.

        Args:
            images: ``(N, C, H, W)`` in [0, 1].
            noise: One row of noise, for which images are looked at, and for reviving.

        Raises:
            InvalidArgument: If the images have another shape, or pixels outside [0, 1], or there is one alone.
        """
        require_pixels("VQAutoencoder.images", images, self.image_shape)
        looked, rebuilt = self.pulled.split(images, noise)
        pull, _ = self.pulled.pull(self.encode_embedding(looked).flatten(0, 2), noise)
        return {"reconstruction": squared_error(self.decode_embedding(self.encoder(rebuilt)), rebuilt), "pull": pull}
