"""A critic that tells attributes from latents."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from typing_extensions import Self

from latentsearch._checks import require_flag, require_weight
from latentsearch._latent_network import LatentNetwork
from latentsearch._rows import per_row
from latentsearch.noise import Noise
from latentsearch.spaces import Continuous, LatentSpace

_LEVEL, _NOISE, _OTHERS = 1, 2, 3  # streams of noise folded in
_LEVELS = (0.0, 0.5, 1.0)  # of the spread: how much noise rows get
_TEMPERATURES = (0.05, 20.0)


class AttributeCritic(nn.Module):
    r"""D(z): the logits of a class, or of several attributes, from a latent alone.

    It is trained on latents of labelled data with noise of 0, half and once the ``spread`` added, so that its gradients
    mean something beside the manifold of encodings, too; of codes, a share are exchanged for those of other data.
    ``heated`` then sets the temperature at which its probabilities fit held-out labels best.
    [fit_critic][latentsearch.fit_critic] does all of this.

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
        outputs: The number of classes, or of attributes.
        exclusive: Whether these are classes.
        temperature: What the network's logits are divided by, a tensor of no dimension.
        spread: The scale of the noise in training, ``(*S)``; of codes, the share exchanged. 0 until ``calibrated`` says
            more.
        figures: What it came to on held-out latents; empty until ``judged``.
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
        require_flag("AttributeCritic.exclusive", exclusive)
        self.space, self.outputs, self.exclusive = space, outputs, exclusive
        self.settings = {"outputs": outputs, "exclusive": exclusive, "width": width, "depth": depth}
        self.network = LatentNetwork(space, outputs, width=width, depth=depth)
        self.figures: dict[str, float] = {}
        self.register_buffer("temperature", torch.tensor(1.0))
        self.register_buffer("spread", torch.zeros(space.shape if isinstance(space, Continuous) else ()))

    def calibrated(self, latents: Tensor, *, spread: float | Tensor = 0.0) -> Self:
        """The critic itself, which looks at latents made white as ``(T, *S)`` are, and learns from noised ones.

        Args:
            latents: What it will be trained on.
            spread: The scale of the noise in training, a number or ``(*S)``: of a VAE some times the mean standard
                deviation of q(z|x). Of codes, the share exchanged.
        """
        if not isinstance(spread, Tensor):
            require_weight("AttributeCritic.spread", spread)
        self.network.calibrated(latents)
        self.spread.copy_(torch.as_tensor(spread).to(self.spread).expand_as(self.spread))
        return self

    def forward(self, z: Tensor) -> Tensor:
        """Latents, hard or soft, to logits ``(N, outputs)``."""
        logits: Tensor = self.network(z)
        return logits / self.temperature

    def training_terms(self, latents: Tensor, labels: Tensor, noise: Noise) -> dict[str, Tensor]:
        """Cross-entropy in nats a latent: of classes ``(N,)``, or summed over attributes ``(N, outputs)`` in [0, 1]."""
        seen = self.noised(latents, noise) if self.training else latents
        return {"cross_entropy": self.cross_entropy(self(seen), labels).mean()}

    def noised(self, latents: Tensor, noise: Noise) -> Tensor:
        """Latents ``(N, *S)`` with as much noise as in training, from one row of noise."""
        levels = torch.tensor(_LEVELS, dtype=self.spread.dtype, device=latents.device)
        level = per_row(levels[noise.fold(_LEVEL).integers(len(levels), len(latents))[0]], latents)
        if latents.is_floating_point():
            away = noise.fold(_NOISE).normal(*latents.shape, dtype=latents.dtype)[0]
            return latents + level * self.spread * away
        others = latents[noise.fold(_OTHERS).uniform(len(latents))[0].argsort()]
        return torch.where(noise.fold(_NOISE).uniform(*latents.shape)[0] < level * self.spread, others, latents)

    @torch.no_grad()
    def heated(self, latents: Tensor, labels: Tensor) -> Self:
        """The critic itself, at the temperature at which labels of held-out latents ``(T, *S)`` are likeliest."""
        from scipy.optimize import minimize_scalar  # it takes a while to load

        logits = self(latents) * self.temperature

        def nats(log_temperature: float) -> float:
            return float(self.cross_entropy(logits / math.exp(log_temperature), labels).double().mean())

        bounds = tuple(math.log(temperature) for temperature in _TEMPERATURES)
        self.temperature.fill_(math.exp(minimize_scalar(nats, bounds=bounds, method="bounded").x))
        return self

    @torch.no_grad()
    def judged(self, latents: Tensor, labels: Tensor) -> Self:
        """The critic itself, whose ``figures`` are now its ``accuracy`` on these latents ``(T, *S)``."""
        logits = self(latents)
        right = logits.argmax(1) == labels if self.exclusive else (logits > 0) == (labels > 0.5)
        self.figures = {"accuracy": float(right.double().mean())}
        return self

    def cross_entropy(self, logits: Tensor, labels: Tensor) -> Tensor:
        """``(N,)``, in nats: of classes ``(N,)`` or their shares ``(N, outputs)``, or summed over attributes."""
        if self.exclusive:
            return F.cross_entropy(logits, labels, reduction="none")
        return F.binary_cross_entropy_with_logits(logits, labels.to(logits), reduction="none").sum(1)
