"""A critic that tells attributes from latents."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from typing_extensions import Self

from latentsearch._latent_network import LatentNetwork
from latentsearch._rows import per_row
from latentsearch.errors import InvalidArgument, describe
from latentsearch.noise import Noise
from latentsearch.spaces import Continuous, LatentSpace

_LEVEL, _NOISE = 1, 2  # streams of noise folded in
_LEVELS = torch.tensor([0.0, 0.5, 1.0])  # of the spread, that latents are noised by in training
_COLDEST, _HOTTEST = 0.05, 20.0


class AttributeCritic(nn.Module):
    r"""D(z): the logits of a class, or of several attributes, from a latent alone.

    It is trained on latents of labelled data with noise of 0, half and once the spread of q(z|x) added, so that its
    gradients mean something beside the manifold of encodings, too. ``heated`` then sets the temperature at which its
    probabilities fit held-out labels best.

    In a goal it is the classifier of a [Classified][latentsearch.Classified] or the critic of
    [HasAttributes][latentsearch.HasAttributes], with ``of="latent"``: the decoder is not run for it.

    Source: Engel, Hoffman and Roberts, *Latent constraints* (2018), section 5, <https://arxiv.org/abs/1711.05772>; for
    the temperature Guo et al., *On calibration of modern neural networks* (2017), <https://arxiv.org/abs/1706.04599>.

    Args:
        space: Of the latents.
        outputs: The number of classes, or of attributes.
        exclusive: Whether these are classes, of which a latent has one, and not attributes.
        width: Hidden units of a layer.
        depth: Hidden layers.

    Attributes:
        space: Of the latents.
        exclusive: Whether these are classes.
        temperature: What the network's logits are divided by, a tensor of no dimension.
        spread: ``(*S)``, the scale of the noise in training; 0 until ``calibrated`` says more.
        settings: What it was made with.

    Example:
        >>> import torch
        >>> import latentsearch as ls
        >>> from latentsearch.critics import AttributeCritic
        >>> z = ls.Noise.from_seed(0, 500).normal(4)
        >>> critic = AttributeCritic(ls.Continuous((4,)), 2, width=32).calibrated(z, spread=0.1)
        >>> history = ls.fit(critic, (z, (z[:, 0] > 0).long()), ls.Fit(steps=200, log_every=200))
        >>> critic(torch.tensor([[2.0, 0, 0, 0], [-2.0, 0, 0, 0]])).argmax(1)
        tensor([1, 0])
    """

    temperature: Tensor
    spread: Tensor

    def __init__(
        self, space: LatentSpace, outputs: int, *, exclusive: bool = True, width: int = 256, depth: int = 3
    ) -> None:
        super().__init__()
        self.space, self.exclusive = space, exclusive
        self.settings = {"outputs": outputs, "exclusive": exclusive, "width": width, "depth": depth}
        self.network = LatentNetwork(space, outputs, width=width, depth=depth)
        self.register_buffer("temperature", torch.tensor(1.0))
        shape = space.shape if isinstance(space, Continuous) else ()
        self.register_buffer("spread", torch.zeros(shape))

    def calibrated(self, latents: Tensor, *, spread: float | Tensor = 0.0) -> Self:
        """The critic itself, which looks at latents made white as ``(T, *S)`` are, and learns from noised ones.

        Args:
            latents: What it will be trained on.
            spread: The scale of the noise in training, a number or ``(*S)``: of a VAE the mean standard deviation of
                q(z|x). There is none on codes.
        """
        self.network.calibrated(latents)
        self.spread.copy_(torch.as_tensor(spread).to(self.spread).expand_as(self.spread))
        return self

    def forward(self, z: Tensor) -> Tensor:
        """Latents, hard or soft, to logits ``(N, outputs)``."""
        logits: Tensor = self.network(z)
        return logits / self.temperature

    def training_terms(self, latents: Tensor, labels: Tensor, noise: Noise) -> dict[str, Tensor]:
        """Cross-entropy in nats a latent: of the class, or the sum over attributes."""
        if self.training and latents.is_floating_point():
            level = _LEVELS.to(latents)[noise.fold(_LEVEL).integers(len(_LEVELS), len(latents))[0]]
            away = noise.fold(_NOISE).normal(*latents.shape, dtype=latents.dtype)[0]
            latents = latents + per_row(level, latents) * self.spread * away
        return {"cross_entropy": self._cross_entropy(self(latents), labels).mean()}

    @torch.no_grad()
    def heated(self, latents: Tensor, labels: Tensor) -> Self:
        """The critic itself, at the temperature at which labels of held-out latents ``(T, *S)`` are likeliest."""
        from scipy.optimize import minimize_scalar  # it takes a while to load

        logits = self(latents) * self.temperature

        def nats(log_temperature: float) -> float:
            scaled = logits / torch.tensor(log_temperature).exp()
            return float(self._cross_entropy(scaled, labels.to(logits.device)).double().mean())

        bounds = tuple(torch.tensor([_COLDEST, _HOTTEST]).log().tolist())
        found = minimize_scalar(nats, bounds=bounds, method="bounded")
        self.temperature.copy_(torch.tensor(float(found.x)).exp())
        return self

    def check_labels(self, labels: Tensor, rows: int) -> None:
        """Raise InvalidArgument unless labels are classes ``(T,)`` int64, or attributes ``(T, outputs)`` in [0, 1]."""
        outputs = int(self.settings["outputs"])
        if self.exclusive:
            good = tuple(labels.shape) == (rows,) and not labels.is_floating_point() and labels.dtype != torch.bool
            good = good and int(labels.min()) >= 0 and int(labels.max()) < outputs
            expected = f"classes ({rows},), whole numbers in [0, {outputs})"
        else:
            good = tuple(labels.shape) == (rows, outputs) and float(labels.min()) >= 0 and float(labels.max()) <= 1
            expected = f"attributes ({rows}, {outputs}), from 0 to 1"
        if not good:
            raise InvalidArgument("labels", got=describe(labels), expected=expected)

    def _cross_entropy(self, logits: Tensor, labels: Tensor) -> Tensor:
        if self.exclusive:
            return F.cross_entropy(logits, labels, reduction="none")
        wanted = labels.to(logits)
        return F.binary_cross_entropy_with_logits(logits, wanted, reduction="none").sum(1)
