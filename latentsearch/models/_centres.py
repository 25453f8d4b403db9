"""Vectors that encodings are pulled to, of which each takes the encoding that is nearest to it."""

from __future__ import annotations

from typing import Literal, get_args

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from latentsearch._checks import require_count, require_one_of, require_share, require_weight
from latentsearch.errors import InvalidArgument
from latentsearch.noise import Noise

Similarity = Literal["l2", "cosine", "dot"]
Update = Literal["gradient", "ema"]
_MIXED, _REVIVED = 1, 2  # streams of noise


class Centres(nn.Module):
    """K vectors, and how they and encodings come together.

    Args:
        caller: The model's name, for messages.
        count: K.
        width: Of a vector.
        pull: The weight of the squared distance between a vector and the encoding that it takes.
        looked_at: The share of a batch that is looked at; the rest is for the model's other terms.
        similarity: By what an encoding is the nearest.
        update: Whether vectors learn from that distance, or move by averages.
        decay: Of the averages.
        revive_below: The share of the average use under which a vector is put on a random encoding.

    Attributes:
        vectors: ``(K, width)``.
        use: ``(K,)``, the moving average of the share of encodings that each is the nearest to.
    """

    vectors: Tensor
    use: Tensor

    def __init__(
        self,
        caller: str,
        count: int,
        width: int,
        *,
        pull: float,
        looked_at: float,
        similarity: Similarity,
        update: Update,
        decay: float,
        revive_below: float,
    ) -> None:
        super().__init__()
        require_count(f"{caller}.centres", count)
        for name, weight in (("pull", pull), ("revive_below", revive_below)):
            require_weight(f"{caller}.{name}", weight)
        for name, share in (("looked_at", looked_at), ("decay", decay)):
            require_share(f"{caller}.{name}", share)
        require_one_of(f"{caller}.similarity", similarity, get_args(Similarity))
        require_one_of(f"{caller}.update", update, get_args(Update))
        self.settings: dict[str, object] = {
            "pull": pull,
            "looked_at": looked_at,
            "similarity": similarity,
            "update": update,
            "decay": decay,
            "revive_below": revive_below,
        }
        self.caller, self.weight, self.looked_at, self.similarity = caller, pull, looked_at, similarity
        self.update, self.decay, self.revive_below = update, decay, revive_below
        first = torch.randn(count, width)
        if update == "gradient":
            self.vectors = nn.Parameter(first)
        else:
            self.register_buffer("vectors", first)
        self.register_buffer("use", torch.full((count,), 1 / count))

    def nearest(self, z: Tensor) -> Tensor:
        """The vector nearest to each encoding: ``(..., width)`` to int64 ``(...)``."""
        return self._likeness(z.reshape(-1, z.shape[-1])).argmax(1).view(z.shape[:-1])

    def split(self, images: Tensor, noise: Noise) -> tuple[Tensor, Tensor]:
        """The images that are looked at, and the rest; at least one of each.

        Raises:
            InvalidArgument: If there is one image alone.
        """
        if len(images) < 2:
            raise InvalidArgument(f"{self.caller}.images", got="one image", expected="a batch of two at least")
        mixed = images[noise.fold(_MIXED).uniform(len(images))[0].argsort().to(images.device)]
        count = min(max(round(self.looked_at * len(images)), 1), len(images) - 1)
        return mixed[:count], mixed[count:]

    def pull(self, z: Tensor, noise: Noise) -> tuple[Tensor, Tensor]:
        """The weighted mean of squared distances, a scalar, and which of ``z (n, width)`` each vector took, ``(K,)``.

        In training mode vectors that move by averages, and those to be revived, do so first.
        """
        if self.training:
            self._learn(z.detach(), noise.fold(_REVIVED))
        taken = self._likeness(z.detach()).argmax(0)
        return self.weight * (z[taken] - self.vectors).square().sum(1).mean(), taken

    @torch.no_grad()
    def _learn(self, z: Tensor, noise: Noise) -> None:
        """Averages of a batch's encodings, and vectors on what they are nearest to or, unused, on any of them."""
        if self.update == "ema":
            self.vectors.lerp_(z[self._likeness(z).argmax(0)].to(self.vectors), 1 - self.decay)
        share = torch.bincount(self.nearest(z), minlength=len(self.use)) / len(z)
        self.use.lerp_(share.to(self.use), 1 - self.decay)
        dead = self.use < self.revive_below / len(self.use)
        picks = z[noise.integers(len(z), len(self.use))[0].to(z.device)]
        self.vectors.copy_(torch.where(dead[:, None], picks.to(self.vectors), self.vectors))
        self.use.masked_fill_(dead, 1 / len(self.use))

    def _likeness(self, z: Tensor) -> Tensor:
        """``(n, K)``, higher the nearer."""
        if self.similarity == "l2":
            # |z|^2 counts: each vector chooses among encodings, too.
            return 2 * z @ self.vectors.T - self.vectors.square().sum(1) - z.square().sum(1, keepdim=True)
        if self.similarity == "cosine":
            return F.normalize(z, dim=1) @ F.normalize(self.vectors, dim=1).T
        return z @ self.vectors.T
