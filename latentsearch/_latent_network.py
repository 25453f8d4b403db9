"""A network that looks at latents: the body of critics and of actors."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from typing_extensions import Self

from latentsearch._checks import in_short, require_count
from latentsearch._whitening import Whitening
from latentsearch.errors import InvalidArgument, describe
from latentsearch.spaces import Continuous, Discrete, LatentSpace

_EMBEDDING = 16  # numbers that a code is embedded as


class LatentNetwork(nn.Module):
    """Linear layers over latents, ``(N, *S)`` to ``(N, outputs)``; with labels beside them, if there are any.

    Continuous latents are made white first, as ``calibrated`` has measured. Codes, hard or soft, are embedded, 16
    numbers each. Labels go through a linear layer of their own, whose outputs stand beside the latents.

    Source: Engel, Hoffman and Roberts, *Latent constraints* (2018), sections 9.2.4 and 9.2.5,
    <https://arxiv.org/abs/1711.05772>; theirs are 4 layers of 2,048 units, or 3 of 256.

    Args:
        space: Of the latents.
        outputs: Numbers that come out.
        labels: Numbers that a label is; 0 for no labels.
        width: Hidden units of a layer.
        depth: Hidden layers.
        activation: After each of them.

    Raises:
        InvalidArgument: If a setting is out of range.

    Example:
        >>> import torch
        >>> import latentsearch as ls
        >>> from latentsearch.models import LatentNetwork
        >>> network = LatentNetwork(ls.Continuous((20,)), 1, labels=10)
        >>> network(torch.zeros(3, 20), torch.eye(10)[:3]).shape
        torch.Size([3, 1])
    """

    def __init__(
        self,
        space: LatentSpace,
        outputs: int,
        *,
        labels: int = 0,
        width: int = 256,
        depth: int = 3,
        activation: type[nn.Module] = nn.ReLU,
    ) -> None:
        super().__init__()
        for name, value in (("outputs", outputs), ("width", width), ("depth", depth)):
            require_count(f"LatentNetwork.{name}", value)
        require_count("LatentNetwork.labels", labels, 0)
        require_space("LatentNetwork.space", space)
        if not callable(activation) or isinstance(activation, nn.Module):
            got, expected = in_short(activation), "a class of modules, such as nn.ReLU"
            raise InvalidArgument("LatentNetwork.activation", got=got, expected=expected)
        self.space, self.labels = space, labels
        self.features, size = _features(space)
        self.beside = nn.Linear(labels, width) if labels else None
        size += width if labels else 0
        layers: list[nn.Module] = []
        for _ in range(depth):
            layers += [nn.Linear(size, width), activation()]
            size = width
        self.layers = nn.Sequential(*layers)
        self.last = nn.Linear(size, outputs)

    def calibrated(self, latents: Tensor) -> Self:
        """The network itself, which from now on looks at continuous latents made white as ``(T, *S)`` are."""
        self.space.check("LatentNetwork.latents", latents)
        self.features.calibrate(latents)
        return self

    def forward(self, z: Tensor, labels: Tensor | None = None) -> Tensor:
        """Latents, hard or soft, and labels ``(N, labels)`` if it has any, to ``(N, outputs)``."""
        seen = self.features(z)
        if self.beside is not None:
            if not isinstance(labels, Tensor) or tuple(labels.shape) not in ((len(z), self.labels), (self.labels,)):
                got = "none" if labels is None else describe(labels) if isinstance(labels, Tensor) else repr(labels)
                expected = f"({self.labels},), or one a row, ({len(z)}, {self.labels})"
                hint = "actor.one_hot(7) is that of a class"
                raise InvalidArgument("labels", got=got, expected=expected, hint=hint)
            labels = labels.expand(len(z), -1)
            seen = torch.cat([seen, self.beside(labels.to(seen.dtype))], 1)
        return self.last(self.layers(seen))  # type: ignore[no-any-return]


def require_space(name: str, space: object) -> None:
    """Raise unless it is a space of latents."""
    if not isinstance(space, (Continuous, Discrete)):
        shown = in_short(space) if isinstance(space, type) else repr(space)
        hint = "" if isinstance(space, type) or not hasattr(space, "space") else "give its .space"
        expected = "a space, such as ls.Continuous((20,)) or ls.Discrete((7, 7), 512)"
        raise InvalidArgument(name, got=shown, expected=expected, hint=hint)


class _OfCodes(nn.Module):
    """Grids of codes, hard or soft, as the embeddings of all their codes: ``(N, P * 16)``."""

    def __init__(self, space: Discrete) -> None:
        super().__init__()
        self.space = space
        self.table = nn.Parameter(torch.empty(space.codebook_size, _EMBEDDING))
        nn.init.normal_(self.table)

    def calibrate(self, latents: Tensor) -> None:
        """Nothing to do: embeddings are of the same scale whatever the codes."""

    def forward(self, z: Tensor) -> Tensor:
        z = z.to(self.table.device)
        embedded = z.to(self.table.dtype) @ self.table if self.space.is_soft(z) else self.table[z]
        return embedded.flatten(1)


class _OfVectors(nn.Module):
    """Continuous latents as white vectors: ``(N, d)``."""

    def __init__(self, size: int) -> None:
        super().__init__()
        self.whitening = Whitening(size)

    def calibrate(self, latents: Tensor) -> None:
        self.whitening.measure(latents.flatten(1))

    def forward(self, z: Tensor) -> Tensor:
        return self.whitening.white(z.flatten(1).to(self.whitening.shift))


def _features(space: LatentSpace) -> tuple[_OfCodes | _OfVectors, int]:
    """What the network looks at, and how many numbers that is."""
    match space:
        case Discrete():
            return _OfCodes(space), space.positions * _EMBEDDING
        case Continuous():
            size = math.prod(space.shape)
            return _OfVectors(size), size
