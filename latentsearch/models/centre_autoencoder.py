r"""Autoencoders without a divergence: plain, pulled to zero, and pulled to learnable centres.

Source: Shi, *Rethinking VAE: From Continuous to Discrete Representations Without Probabilistic Assumptions* (2025),
sections 2 to 4.
"""

from __future__ import annotations

from typing import Literal, get_args

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from latentsearch._checks import require_count, require_one_of, require_weight
from latentsearch.errors import InvalidArgument
from latentsearch.models._blocks import vector_stacks
from latentsearch.models._pixels import require_image_shape, require_pixels
from latentsearch.noise import Noise

Similarity = Literal["l2", "cosine", "dot"]
_MIXED, _REVIVED = 1, 2  # streams of noise


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
        require_image_shape(f"{name}.image_shape", image_shape)
        _, height, breadth = image_shape
        if height % 4 or breadth % 4:
            raise InvalidArgument(f"{name}.image_shape", got=str(image_shape), expected="sides divisible by 4")
        require_count(f"{name}.width", width)
        require_count(f"{name}.channels", channels, 2)
        require_count(f"{name}.residual_blocks", residual_blocks, 0)
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
        return self.encoder(images)  # type: ignore[no-any-return]

    def decode(self, z: Tensor) -> Tensor:
        """``(N, width)`` to pixels ``(N, C, H, W)`` in (0, 1)."""
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

    Attributes:
        centres: ``(K, width)``.
        use: ``(K,)``, the moving average of the share of encodings that each centre is the nearest to.

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

    centres: Tensor
    use: Tensor

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
        update: Literal["gradient", "ema"] = "gradient",
        decay: float = 0.99,
        revive_below: float = 0.0,
    ) -> None:
        super().__init__(image_shape, width=width, channels=channels, residual_blocks=residual_blocks)
        require_count("CentreAutoencoder.centres", centres)
        for name, weight in (("pull", pull), ("decoded_pull", decoded_pull), ("revive_below", revive_below)):
            require_weight(f"CentreAutoencoder.{name}", weight)
        for name, share in (("looked_at", looked_at), ("decay", decay)):
            if not 0 < share < 1:
                raise InvalidArgument(f"CentreAutoencoder.{name}", got=repr(share), expected="a share between 0 and 1")
        require_one_of("CentreAutoencoder.similarity", similarity, get_args(Similarity))
        require_one_of("CentreAutoencoder.update", update, ("gradient", "ema"))
        own: dict[str, object] = {
            "centres": centres,
            "pull": pull,
            "decoded_pull": decoded_pull,
            "looked_at": looked_at,
        }
        own |= {"similarity": similarity, "update": update, "decay": decay, "revive_below": revive_below}
        self.settings = {name: value for name, value in self.settings.items() if name != "zero_pull"} | own
        self.pull, self.decoded_pull, self.looked_at = pull, decoded_pull, looked_at
        self.similarity, self.update, self.decay, self.revive_below = similarity, update, decay, revive_below
        first = torch.randn(centres, width)
        if update == "gradient":
            self.centres = nn.Parameter(first)
        else:
            self.register_buffer("centres", first)
        self.register_buffer("use", torch.full((centres,), 1 / centres))

    def nearest(self, z: Tensor) -> Tensor:
        """The centre nearest to each latent: ``(N, width)`` to int64 ``(N,)``."""
        return self._likeness(z).argmax(1)

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
        if len(images) < 2:
            raise InvalidArgument("CentreAutoencoder.images", got="one image", expected="a batch of two at least")
        mixed = images[noise.fold(_MIXED).uniform(len(images))[0].argsort().to(images.device)]
        count = min(max(round(self.looked_at * len(images)), 1), len(images) - 1)
        looked, rebuilt = mixed[:count], mixed[count:]
        z = self.encode(looked)
        if self.training:
            self._learn(z.detach(), noise.fold(_REVIVED))
        closest = self._likeness(z.detach()).argmax(0)
        terms = {
            "reconstruction": squared_error(self.decode(self.encode(rebuilt)), rebuilt),
            "pull": self.pull * (z[closest] - self.centres).square().sum(1).mean(),
        }
        if self.decoded_pull:
            decoded = squared_error(self.decode(self.centres), looked[closest])
            terms["decoded_pull"] = self.decoded_pull * decoded
        return terms

    @torch.no_grad()
    def _learn(self, z: Tensor, noise: Noise) -> None:
        """Averages of a batch's encodings, and centres on what they are nearest to or, unused, on any of them."""
        if self.update == "ema":
            self.centres.lerp_(z[self._likeness(z).argmax(0)].to(self.centres), 1 - self.decay)
        share = torch.bincount(self.nearest(z), minlength=len(self.use)) / len(z)
        self.use.lerp_(share.to(self.use), 1 - self.decay)
        dead = self.use < self.revive_below / len(self.use)
        picks = z[noise.integers(len(z), len(self.use))[0].to(z.device)]
        self.centres.copy_(torch.where(dead[:, None], picks.to(self.centres), self.centres))
        self.use.masked_fill_(dead, 1 / len(self.use))

    def _likeness(self, z: Tensor) -> Tensor:
        """``(N, K)``, higher the nearer."""
        if self.similarity == "l2":
            return -torch.cdist(z, self.centres)
        if self.similarity == "cosine":
            return F.normalize(z, dim=1) @ F.normalize(self.centres, dim=1).T
        return z @ self.centres.T


def squared_error(outputs: Tensor, images: Tensor) -> Tensor:
    """Summed over pixels, a mean over images."""
    return (outputs - images).square().flatten(1).sum(1).mean()
