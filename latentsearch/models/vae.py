"""A convolutional variational autoencoder.

Source: Kingma and Welling, *Auto-Encoding Variational Bayes* (2013), equation 10.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from latentsearch.models._blocks import vector_stacks
from latentsearch.models._pixels import require_rows, require_stacks
from latentsearch.noise import Noise


class VAE(nn.Module):
    r"""A VAE on images in [0, 1], with a Gaussian code and Bernoulli pixels.

    The training loss is $-\log p(x|z) + \mathrm{KL}(q(z|x)\,\|\,N(0, I))$ in nats an image,
    a mean over the batch, with one reparametrised sample (equation 10 of the paper).

    Args:
        image_shape: ``(C, H, W)``; H and W divisible by 4.
        width: The size of z.
        channels: Channels of the networks.
        residual_blocks: Residual blocks on each side.

    Raises:
        InvalidArgument: If a setting is out of range.

    Example:
        >>> import torch
        >>> from latentsearch.models import VAE
        >>> model = VAE((1, 28, 28), width=8, channels=8).eval()
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
    ) -> None:
        super().__init__()
        require_stacks("VAE", image_shape, width, channels, residual_blocks)
        self.settings = {
            "image_shape": tuple(image_shape),
            "width": width,
            "channels": channels,
            "residual_blocks": residual_blocks,
        }
        self.image_shape, self.latent_shape = tuple(image_shape), (width,)
        self.encoder, self.decoder = vector_stacks(image_shape, channels, 2 * width, width, residual_blocks)

    def posterior(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and standard deviation of q(z|x), each ``(N, width)``."""
        require_rows("VAE.images", images, self.image_shape)
        mean, log_variance = self.encoder(images).chunk(2, dim=1)
        return mean, (0.5 * log_variance).exp()

    def encode(self, images: Tensor) -> Tensor:
        """The mean of q(z|x): ``(N, C, H, W)`` to ``(N, width)``."""
        return self.posterior(images)[0]

    def decode(self, z: Tensor) -> Tensor:
        """``(N, width)`` to pixel probabilities ``(N, C, H, W)`` in (0, 1)."""
        require_rows("VAE.latents", z, self.latent_shape)
        return torch.sigmoid(self.decoder(z))

    def training_terms(self, images: Tensor, noise: Noise) -> dict[str, Tensor]:
        """The two terms of the negative bound, scalars in nats an image."""
        # Not by `posterior`: the divergence needs the log-variance, which the encoder gives to full precision.
        mean, log_variance = self.encoder(images).chunk(2, dim=1)
        draw = noise.normal(*mean.shape, dtype=mean.dtype)[0]
        logits = self.decoder(mean + (0.5 * log_variance).exp() * draw)
        rows = images.shape[0]
        return {
            "reconstruction": F.binary_cross_entropy_with_logits(logits, images, reduction="sum") / rows,
            "kl": 0.5 * (mean.square() + log_variance.exp() - 1 - log_variance).sum() / rows,
        }
