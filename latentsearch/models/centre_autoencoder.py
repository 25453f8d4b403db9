r"""Autoencoders without a divergence: plain, pulled to zero, and pulled to learnable centres.

Source: Shi, *Rethinking VAE: From Continuous to Discrete Representations Without Probabilistic Assumptions* (2025),
sections 2 to 4.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from latentsearch._checks import require_weight
from latentsearch.models._blocks import vector_stacks
from latentsearch.models._centres import Centres, Similarity, Update
from latentsearch.models._pixels import require_pixels, require_rows, require_stacks
from latentsearch.noise import Noise


class Autoencoder(nn.Module):
    r"""A convolutional autoencoder with latents that are vectors, and nothing that says where these lie.

    The training loss is the squared error of an image, summed over pixels, a mean over the batch; with ``zero_pull``
    also that weight times $\|E(x)\|^2$, which collapses.

    Source: Shi, *Rethinking VAE: From Continuous to Discrete Representations Without Probabilistic Assumptions* (2025),
    section 2; Figure 3.6 for the pull to zero.

    Args:
        image_shape: ``(C, H, W)``; H and W divisible by 4.
        width: The size of z.
        channels: Channels of the networks.
        residual_blocks: Residual blocks on each side.
        zero_pull: The weight of the pull of all encodings to zero.

    Raises:
        InvalidArgument: If a setting is out of range.

    Example:
        >>> import torch
        >>> from latentsearch.models import Autoencoder
        >>> model = Autoencoder((1, 28, 28), width=8, channels=8).eval()
        >>> z = model.encode(torch.rand(2, 1, 28, 28))
        >>> z.shape, model.decode(z).shape
        (torch.Size([2, 8]), torch.Size([2, 1, 28, 28]))
    """

    def __init__(
        self,
        image_shape: tuple[int, int, int],
        *,
        width: int = 20,
        channels: int = 64,
        residual_blocks: int = 1,
        zero_pull: float = 0.0,
    ) -> None:
        super().__init__()
        name = type(self).__name__
        require_stacks(name, image_shape, width, channels, residual_blocks)
        require_weight(f"{name}.zero_pull", zero_pull)
        self.settings: dict[str, object] = {
            "image_shape": tuple(image_shape),
            "width": width,
            "channels": channels,
            "residual_blocks": residual_blocks,
            "zero_pull": zero_pull,
        }
        self.image_shape, self.latent_shape, self.zero_pull = tuple(image_shape), (width,), zero_pull
        self.encoder, self.decoder = vector_stacks(image_shape, channels, width, width, residual_blocks)

    def encode(self, images: Tensor) -> Tensor:
        """``(N, C, H, W)`` to ``(N, width)``."""
        require_rows(f"{type(self).__name__}.images", images, self.image_shape)
        return self.encoder(images)  # type: ignore[no-any-return]

    def decode(self, z: Tensor) -> Tensor:
        """``(N, width)`` to pixels ``(N, C, H, W)`` in (0, 1)."""
        require_rows(f"{type(self).__name__}.latents", z, self.latent_shape)
        return torch.sigmoid(self.decoder(z))

    def training_terms(self, images: Tensor, noise: Noise) -> dict[str, Tensor]:
        """The squared error of an image, and the pull to zero if there is one; nothing is drawn.

        Raises:
            InvalidArgument: If the images have another shape, or pixels outside [0, 1].
        """
        require_pixels(f"{type(self).__name__}.images", images, self.image_shape)
        z = self.encode(images)
        terms = {"reconstruction": squared_error(self.decode(z), images)}
        if self.zero_pull:
            terms["zero_pull"] = self.zero_pull * z.square().sum(1).mean()
        return terms


class CentreAutoencoder(Autoencoder):
    r"""An autoencoder whose encodings are pulled to learnable centres, in the place of a divergence.

    Of a batch a part is reconstructed. Each centre $v_k$ looks at the others, takes the image $x^*$ whose encoding is
    nearest to it, and the loss is

    $$\|x - D(E(x))\|^2 + \lambda_1 \|E(x^*) - v_k\|^2 + \lambda_2 \|x^* - D(v_k)\|^2,$$

    each a mean, the latter two over centres (section 3.1). One centre comes to stand for all data, many for clusters.

    With ``update="ema"`` a centre moves by a share of the way to $E(x^*)$ and the loss moves the encoder alone. (The
    paper's formula moves it to the quantised latent, which is the centre itself, and would do nothing.)
    With ``revive_below`` a centre that is the nearest of fewer encodings than this share of the average is put on a
    random encoding.

    Where latents lie it says itself: ``priors.GaussianMixture.around(model.centres, model.encode(images))``.

    Source: Shi, *Rethinking VAE: From Continuous to Discrete Representations Without Probabilistic Assumptions* (2025),
    sections 3 and 4.

    Args:
        image_shape: ``(C, H, W)``; H and W divisible by 4.
        centres: K.
        width: The size of z.
        channels: Channels of the networks.
        residual_blocks: Residual blocks on each side.
        pull: $\lambda_1$.
        decoded_pull: $\lambda_2$, the paper's optional term.
        looked_at: The share of a batch that centres look at; the rest is reconstructed.
        similarity: By what an encoding is the nearest to a centre: ``"l2"``, ``"cosine"`` or ``"dot"``.
        update: ``"gradient"`` or ``"ema"``.
        decay: Of the moving averages.
        revive_below: The share of the average use under which a centre is moved; 0 for none.

    Raises:
        InvalidArgument: If a setting is out of range.

    Example:
        >>> import torch
        >>> import latentsearch as ls
        >>> from latentsearch.models import CentreAutoencoder
        >>> model = CentreAutoencoder((1, 28, 28), centres=20, width=8, channels=8)
        >>> sorted(model.training_terms(torch.rand(8, 1, 28, 28), ls.Noise.from_seed(0)))
        ['pull', 'reconstruction']
        >>> model.nearest(model.encode(torch.rand(3, 1, 28, 28))).shape
        torch.Size([3])
    """

    def __init__(
        self,
        image_shape: tuple[int, int, int],
        *,
        centres: int = 1,
        width: int = 20,
        channels: int = 64,
        residual_blocks: int = 1,
        pull: float = 1.0,
        decoded_pull: float = 0.0,
        looked_at: float = 0.5,
        similarity: Similarity = "l2",
        update: Update = "gradient",
        decay: float = 0.99,
        revive_below: float = 0.0,
    ) -> None:
        super().__init__(image_shape, width=width, channels=channels, residual_blocks=residual_blocks)
        require_weight("CentreAutoencoder.decoded_pull", decoded_pull)
        self.decoded_pull = decoded_pull
        self.pulled = Centres(
            "CentreAutoencoder",
            centres,
            width,
            pull=pull,
            looked_at=looked_at,
            similarity=similarity,
            update=update,
            decay=decay,
            revive_below=revive_below,
        )
        del self.settings["zero_pull"]
        self.settings |= {"centres": centres, "decoded_pull": decoded_pull} | self.pulled.settings

    @property
    def centres(self) -> Tensor:
        """``(K, width)``."""
        return self.pulled.vectors

    @property
    def use(self) -> Tensor:
        """``(K,)``: the moving average of the share of encodings that each centre is the nearest to."""
        return self.pulled.use

    def nearest(self, z: Tensor) -> Tensor:
        """The centre nearest to each latent: ``(N, width)`` to int64 ``(N,)``."""
        return self.pulled.nearest(z)

    def training_terms(self, images: Tensor, noise: Noise) -> dict[str, Tensor]:
        """The terms of the loss on one batch of at least two images, each a scalar.

        In training mode centres that move by averages, and those to be revived, do so here.

        Args:
            images: ``(N, C, H, W)`` in [0, 1].
            noise: One row of noise, for which images are looked at, and for reviving.

        Raises:
            InvalidArgument: If the images have another shape, or pixels outside [0, 1], or there is one alone.
        """
        require_pixels("CentreAutoencoder.images", images, self.image_shape)
        looked, rebuilt = self.pulled.split(images, noise)
        pull, taken = self.pulled.pull(self.encode(looked), noise)
        terms = {"reconstruction": squared_error(self.decode(self.encode(rebuilt)), rebuilt), "pull": pull}
        if self.decoded_pull:
            terms["decoded_pull"] = self.decoded_pull * squared_error(self.decode(self.centres), looked[taken])
        return terms


def squared_error(outputs: Tensor, images: Tensor) -> Tensor:
    """Summed over pixels, a mean over images."""
    return (outputs - images).square().flatten(1).sum(1).mean()
