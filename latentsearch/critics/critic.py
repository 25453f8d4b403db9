"""A network that says how good a latent is."""

from __future__ import annotations

from torch import Tensor, nn
from typing_extensions import Self

from latentsearch._latent_network import LatentNetwork
from latentsearch.spaces import LatentSpace


class Critic(nn.Module):
    """D(z), or D(z, y): a logit a latent.

    Source: Engel, Hoffman and Roberts, *Latent constraints* (2018), section 9.2.5, <https://arxiv.org/abs/1711.05772>;
    theirs has 4 layers of 2,048 units, or 3 of 256.

    Args:
        space: Of the latents.
        labels: Numbers that a label y is; 0 for none.
        width: Hidden units of a layer.
        depth: Hidden layers.
    """

    def __init__(self, space: LatentSpace, *, labels: int = 0, width: int = 256, depth: int = 3) -> None:
        super().__init__()
        self.space, self.labels = space, labels
        self.settings = {"labels": labels, "width": width, "depth": depth}
        self.network = LatentNetwork(space, 1, labels=labels, width=width, depth=depth)

    def calibrated(self, latents: Tensor) -> Self:
        """The critic itself, which from now on looks at continuous latents made white as ``(T, *S)`` are."""
        self.network.calibrated(latents)
        return self

    def forward(self, z: Tensor, labels: Tensor | None = None) -> Tensor:
        """Latents, hard or soft, and labels ``(N, labels)`` if it has any, to logits ``(N,)``."""
        logits: Tensor = self.network(z, labels)[:, 0]
        return logits
