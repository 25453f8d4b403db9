r"""A variational autoencoder of linear layers with Gaussian pixels, and the plain autoencoder of the same layers.

Source: Engel, Hoffman and Roberts, *Latent Constraints: Learning to Generate Conditionally from Unconditional
Generative Models* (2017), [arXiv:1711.05772](https://arxiv.org/abs/1711.05772), sections 2 and 9.2.1, Figure 15.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from latentsearch._checks import require_count, require_positive
from latentsearch.models._pixels import require_image_shape, require_pixels, require_rows
from latentsearch.noise import Noise


class DenseVAE(nn.Module):
    r"""A feed-forward VAE on images in [0, 1], with a Gaussian latent and Gaussian pixels.

    Pixels are $N(g(z), \sigma_x^2 I)$, where $\sigma_x$ is ``noise``: the smaller it is, the sharper are
    reconstructions, the narrower is q(z|x), and the less do draws of N(0, I) look like data. The training loss is the
    negative bound in nats an image,

    $$\frac{\|x - g(z)\|^2}{2\sigma_x^2} + \frac{P}{2}\log(2\pi\sigma_x^2) + \mathrm{KL}(q(z|x)\,\|\,N(0, I)),
    \qquad z \sim q(z|x),$$

    a mean over the batch, with one reparametrised sample. The constant of the P pixels is part of it, so the bounds of
    different $\sigma_x$ are compared as they are. At the $\sigma_x^2$ of the best bound, the mean squared error a pixel
    is $\sigma_x^2$ itself.

    The encoder is ``layers`` linear layers, each followed by a ReLU, and a linear layer whose one half is the mean of
    q(z|x) and the softplus of the other its standard deviation. The decoder mirrors it and ends in a sigmoid.

    Args:
        image_shape: ``(C, H, W)``.
        width: The size of z.
        hidden: Outputs of each layer before the last.
        layers: Layers before the last, on each side.
        noise: The standard deviation of a pixel.

    Raises:
        InvalidArgument: If a setting is out of range.

    Example:
        >>> import torch
        >>> import latentsearch as ls
        >>> from latentsearch.models import DenseVAE
        >>> from latentsearch.training import initialised
        >>> with initialised(0):
        ...     model = DenseVAE((1, 28, 28), width=16, hidden=32, noise=0.1).eval()
        >>> images = torch.rand(2, 1, 28, 28)
        >>> mean, std = model.posterior(images)
        >>> mean.shape, bool((std > 0).all()), model.decode(mean).shape
        (torch.Size([2, 16]), True, torch.Size([2, 1, 28, 28]))
        >>> ls.wrap(model).space
        Continuous(shape=(16,))
    """

    def __init__(
        self,
        image_shape: tuple[int, int, int],
        *,
        width: int = 1024,
        hidden: int = 1024,
        layers: int = 3,
        noise: float = 0.1,
    ) -> None:
        super().__init__()
        _check_sizes("DenseVAE", image_shape, width, hidden, layers)
        require_positive("DenseVAE.noise", noise)
        self.settings = {
            "image_shape": tuple(image_shape),
            "width": width,
            "hidden": hidden,
            "layers": layers,
            "noise": noise,
        }
        self.image_shape, self.latent_shape, self.noise = tuple(image_shape), (width,), noise
        self.encoder = _encoder(self.image_shape, hidden, layers, 2 * width)
        self.decoder = _decoder(self.image_shape, hidden, layers, width)

    def posterior(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and standard deviation of q(z|x), each ``(N, width)``."""
        require_rows("DenseVAE.images", images, self.image_shape)
        mean, scale = _wide(self.encoder(images)).chunk(2, dim=1)
        return mean, F.softplus(scale)

    def encode(self, images: Tensor) -> Tensor:
        """The mean of q(z|x): ``(N, C, H, W)`` to ``(N, width)``."""
        return self.posterior(images)[0]

    def decode(self, z: Tensor) -> Tensor:
        """``(N, width)`` to the mean of each pixel, ``(N, C, H, W)`` in (0, 1)."""
        require_rows("DenseVAE.latents", z, self.latent_shape)
        return torch.sigmoid(_wide(self.decoder(z)))

    def log_likelihood(self, images: Tensor, z: Tensor) -> Tensor:
        """Of images ``(N, C, H, W)`` given z ``(N, width)``: ``(N,)`` in nats, the constant included."""
        squares = (images - self.decode(z)).square().flatten(1)
        constant = squares.shape[1] * (0.5 * math.log(2 * math.pi) + math.log(self.noise))
        return -0.5 * squares.sum(1) / self.noise**2 - constant

    def training_terms(self, images: Tensor, noise: Noise) -> dict[str, Tensor]:
        """The two terms of the negative bound, scalars in nats an image; ``noise`` is one row.

        Raises:
            InvalidArgument: If the images have another shape, or pixels outside [0, 1].
        """
        require_pixels("DenseVAE.images", images, self.image_shape)
        mean, std = self.posterior(images)
        z = mean + std * noise.normal(*mean.shape, dtype=mean.dtype)[0]
        kl = 0.5 * (mean.square() + std.square() - 1) - std.log()
        return {"reconstruction": -self.log_likelihood(images, z).mean(), "kl": kl.sum(1).mean()}


class DenseAutoencoder(nn.Module):
    """The plain autoencoder with the layers of [DenseVAE][latentsearch.models.DenseVAE]: no distribution of latents.

    It is what a DenseVAE becomes as its ``noise`` goes to 0 (Figure 15): the training loss is the mean squared error of
    a pixel, and nothing says where in the latent space the data lie.

    Args:
        image_shape: ``(C, H, W)``.
        width: The size of z.
        hidden: Outputs of each layer before the last.
        layers: Layers before the last, on each side.

    Raises:
        InvalidArgument: If a setting is out of range.

    Example:
        >>> import torch
        >>> from latentsearch.models import DenseAutoencoder
        >>> model = DenseAutoencoder((1, 28, 28), width=16, hidden=32).eval()
        >>> z = model.encode(torch.rand(2, 1, 28, 28))
        >>> z.shape, model.decode(z).shape
        (torch.Size([2, 16]), torch.Size([2, 1, 28, 28]))
    """

    def __init__(
        self, image_shape: tuple[int, int, int], *, width: int = 1024, hidden: int = 1024, layers: int = 3
    ) -> None:
        super().__init__()
        _check_sizes("DenseAutoencoder", image_shape, width, hidden, layers)
        self.settings = {"image_shape": tuple(image_shape), "width": width, "hidden": hidden, "layers": layers}
        self.image_shape, self.latent_shape = tuple(image_shape), (width,)
        self.encoder = _encoder(self.image_shape, hidden, layers, width)
        self.decoder = _decoder(self.image_shape, hidden, layers, width)

    def encode(self, images: Tensor) -> Tensor:
        """``(N, C, H, W)`` to ``(N, width)``."""
        require_rows("DenseAutoencoder.images", images, self.image_shape)
        return _wide(self.encoder(images))

    def decode(self, z: Tensor) -> Tensor:
        """``(N, width)`` to pixels ``(N, C, H, W)`` in (0, 1)."""
        require_rows("DenseAutoencoder.latents", z, self.latent_shape)
        return torch.sigmoid(_wide(self.decoder(z)))

    def training_terms(self, images: Tensor, noise: Noise) -> dict[str, Tensor]:
        """The mean squared error of a pixel; nothing is drawn.

        Raises:
            InvalidArgument: If the images have another shape, or pixels outside [0, 1].
        """
        require_pixels("DenseAutoencoder.images", images, self.image_shape)
        return {"reconstruction": F.mse_loss(self.decode(self.encode(images)), images)}


def _check_sizes(name: str, image_shape: tuple[int, int, int], width: int, hidden: int, layers: int) -> None:
    require_image_shape(f"{name}.image_shape", image_shape)
    require_count(f"{name}.width", width)
    require_count(f"{name}.hidden", hidden)
    require_count(f"{name}.layers", layers)


def _encoder(image_shape: tuple[int, ...], hidden: int, layers: int, outputs: int) -> nn.Sequential:
    return nn.Sequential(nn.Flatten(), *_stack(math.prod(image_shape), hidden, layers, outputs))


def _decoder(image_shape: tuple[int, ...], hidden: int, layers: int, width: int) -> nn.Sequential:
    pixels = math.prod(image_shape)
    return nn.Sequential(*_stack(width, hidden, layers, pixels), nn.Unflatten(1, image_shape))


def _stack(inputs: int, hidden: int, layers: int, outputs: int) -> Iterator[nn.Module]:
    for layer in range(layers):
        yield _linear(hidden if layer else inputs, hidden, "relu")
        yield nn.ReLU()
    yield _linear(hidden, outputs, "linear")


def _linear(inputs: int, outputs: int, followed_by: Literal["relu", "linear"]) -> nn.Linear:
    layer = nn.Linear(inputs, outputs)
    # torch's own first weights shrink what passes eight layers to almost nothing: the decoder sees no latent at first.
    nn.init.kaiming_normal_(layer.weight, nonlinearity=followed_by)
    nn.init.zeros_(layer.bias)
    return layer


def _wide(outputs: Tensor) -> Tensor:
    # bfloat16, in which autocast computes the layers, tells pixels near 1 apart by 0.004 only, and sigma_x may be 0.01.
    return outputs.to(torch.promote_types(outputs.dtype, torch.float32))
