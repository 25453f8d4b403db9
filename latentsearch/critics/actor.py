"""A network that moves latents to where a critic wants them, in one pass."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from latentsearch._latent_network import LatentNetwork, require_space
from latentsearch.errors import InvalidArgument, Unsupported
from latentsearch.spaces import Continuous, LatentSpace


class Actor(nn.Module):
    r"""G(z), or G(z, y): latents to latents, ``(N, *S)`` both, through gates.

    The network has two outputs a dimension, $\delta$ and the logit of a gate g, and $z' = (1 - g) z + g \delta$: it
    need only tell where z is to move.

    Source: Engel, Hoffman and Roberts, *Latent constraints* (2018), section 9.2.4, <https://arxiv.org/abs/1711.05772>;
    theirs has 4 layers of 2,048 units, or 3 of 256.

    Args:
        space: Of the latents, a continuous one.
        labels: Numbers that a label y is; 0 for none.
        width: Hidden units of a layer.
        depth: Hidden layers.

    Attributes:
        space: Of the latents.
        labels: Numbers that a label is.
        figures: What it came to on fresh draws, where a rule says how good they are; else empty.
        settings: What it was made with.

    Raises:
        Unsupported: If the space is one of codes.
        InvalidArgument: If a setting is out of range.

    Example:
        >>> import torch
        >>> import latentsearch as ls
        >>> from latentsearch.critics import Actor
        >>> actor = Actor(ls.Continuous((20,)), labels=10)
        >>> actor(torch.zeros(3, 20), torch.eye(10)[:3]).shape
        torch.Size([3, 20])
    """

    def __init__(self, space: LatentSpace, *, labels: int = 0, width: int = 256, depth: int = 3) -> None:
        super().__init__()
        require_space("Actor.space", space)
        if not isinstance(space, Continuous):
            raise Unsupported(
                "Actor.space",
                got=f"a space of codes, {space}",
                expected="a continuous one",
                hint="codes behind a prior have one: ls.GaussianCodes(generator, prior)",
            )
        self.space, self.labels = space, labels
        self.figures: dict[str, float] = {}
        self.settings = {"labels": labels, "width": width, "depth": depth}
        self.network = LatentNetwork(space, 2 * math.prod(space.shape), labels=labels, width=width, depth=depth)

    def one_hot(self, label: int | Tensor) -> Tensor:
        """The label of a class, ``(labels,)``, or of one a problem, ``(B, labels)``."""
        classes = torch.as_tensor(label)
        if classes.is_floating_point() or bool(((classes < 0) | (classes >= self.labels)).any()):
            raise InvalidArgument("label", got=repr(label), expected=f"whole numbers in [0, {self.labels})")
        return F.one_hot(classes.long(), self.labels).float()

    def forward(self, z: Tensor, labels: Tensor | None = None) -> Tensor:
        """Latents ``(N, *S)``, and labels ``(N, labels)`` if it has any, to latents."""
        target, gate = self.network(z, labels).to(z).chunk(2, 1)
        gate = gate.sigmoid()
        moved: Tensor = (1 - gate) * z.flatten(1) + gate * target
        return moved.view_as(z)
