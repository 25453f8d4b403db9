"""The gated PixelCNN over grids of codes: the exact probability of a grid in one pass."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from latentsearch._checks import require_count, require_noise
from latentsearch.errors import InvalidArgument
from latentsearch.noise import Noise
from latentsearch.priors._code_network import CodeNetwork, require_network
from latentsearch.priors._gated import GatedLayer
from latentsearch.priors._latents import require_grids
from latentsearch.priors._raster import draw
from latentsearch.spaces import Discrete


class PixelCNN(CodeNetwork):
    r"""A gated PixelCNN: $p(c) = \prod_i p(c_i \mid c_{<i})$ in raster order.

    ``log_prob`` takes one pass, of hard codes and of soft ones, whose vectors are averages. Draws come one code
    after another; the features of finished rows are kept, so that a code costs what its own row takes and not a
    pass: draws are those of the plain method, faster.

    Source: [van den Oord et al., *Conditional Image Generation with PixelCNN Decoders*,
    2016](https://arxiv.org/abs/1606.05328).

    Args:
        space: The grids, ``(H, W)`` or ``(L,)``.
        codebook: ``(K, D)``, the generator's; what is learnt of a code then serves those near it.
        histogram: ``(*S, K)`` log-frequencies: where the network starts, and what is mixed into it.
        channels: Width of both stacks.
        blocks: Layers; the first has a 5 × 5 kernel, the others 3 × 3.
        classes: Classes of a conditional model, 0 for none. ``given`` fixes one; without, the classes are equally
            likely, and ``log_prob`` sums over them.
        dropout: Before the head.
        mix: Share of the histogram in every conditional.
        cost: Of a draw, as a share of a decode; what a search is charged.
        temperature: By which every conditional's logits are divided; below 1, draws are likelier.

    Raises:
        InvalidArgument: If a setting is out of range, or a tensor is not of the space.

    Example:
        >>> import latentsearch as ls
        >>> from latentsearch.priors import PixelCNN
        >>> prior = PixelCNN(ls.Discrete((4, 4), codebook_size=8), channels=16, blocks=2).eval()
        >>> z = prior.sample(ls.Noise.from_seed(0, 3))
        >>> z.shape, prior.log_prob(z).shape
        (torch.Size([3, 4, 4]), torch.Size([3]))
    """

    def __init__(
        self,
        space: Discrete,
        *,
        codebook: Tensor | None = None,
        histogram: Tensor | None = None,
        channels: int = 64,
        blocks: int = 6,
        classes: int = 0,
        dropout: float = 0.1,
        mix: float = 1e-3,
        cost: float = 1.0,
        temperature: float = 1.0,
    ) -> None:
        require_network("PixelCNN", channels, blocks, dropout)
        super().__init__(space, channels, codebook, histogram, mix, cost, temperature)
        require_count("PixelCNN.classes", classes, 0)
        if len(space.shape) > 2:
            raise InvalidArgument("PixelCNN.space", got=repr(space), expected="grids of one or two axes")
        self.classes = classes
        self.settings |= {"channels": channels, "blocks": blocks, "classes": classes, "dropout": dropout}
        self.stack = nn.ModuleList(
            GatedLayer(channels, 3 if number else 5, number == 0, self.sides, classes) for number in range(blocks)
        )
        self.dropout = nn.Dropout(dropout)

    # -- training ----------------------------------------------------------------------------------

    def training_terms(self, z: Tensor, *rest: Any) -> dict[str, Tensor]:
        """``-log p`` of hard grids ``(N, *S)``, in nats a code; where there are classes, labels ``(N,)`` come next."""
        label = rest[0] if self.classes else None
        each = self.causal_logits(z, label).flatten(1, -2).gather(-1, z.flatten(1)[..., None])
        return {"nats_per_code": -each.mean()}

    # -- the prior ---------------------------------------------------------------------------------

    def causal_logits(self, z: Tensor, label: Tensor | None = None) -> Tensor:
        """``(N, *S, K)``: log p(z_p = j | the codes before p in raster order), of hard or soft grids; one pass.

        Args:
            z: ``(N, *S)`` or ``(N, *S, K)``.
            label: ``(N,)`` int64 where there are classes.
        """
        features = self.codes.embed(z)
        x = features.view(len(z), *self.sides, -1).movedim(-1, 1)
        down, right, out = x, x, torch.zeros_like(x)
        for layer in self.layers:
            down, right, skip = layer(down, right, label)
            out = out + skip
        return self.mixed(self._head(out.movedim(1, -1)).view(*features.shape[:-1], -1))

    def log_prob(self, z: Tensor) -> Tensor:
        """``(N,)`` in nats; of a soft grid, the expectation over its codes given soft ones before."""
        require_grids("PixelCNN.log_prob", z, self.space)
        if not self.classes:
            return self.log_prob_of_class(z, None)
        each = [self.log_prob_of_class(z, torch.full((len(z),), y, device=z.device)) for y in range(self.classes)]
        return torch.stack(each).logsumexp(0) - math.log(self.classes)

    def sample(self, noise: Noise) -> Tensor:
        """``(N, *S)``."""
        require_noise("PixelCNN.noise", noise)
        return draw(self, noise, noise.fold(-1).integers(self.classes) if self.classes else None)

    def given(self, label: Tensor | int) -> LabelledPixelCNN:
        """The prior over grids of one class, or of one class a row.

        Args:
            label: A class, or ``(N,)`` int64 for exactly N rows.

        Raises:
            InvalidArgument: If there is no such class.
        """
        label = torch.as_tensor(label)
        if not self.classes or label.is_floating_point() or bool(((label < 0) | (label >= self.classes)).any()):
            got, expected = (
                str(label.tolist()),
                f"classes from 0 to {self.classes - 1}" if self.classes else "a model with classes",
            )
            raise InvalidArgument(
                "PixelCNN.given", got=got, expected=expected, hint="PixelCNN(space, classes=10) has ten"
            )
        return LabelledPixelCNN(self, label)

    def log_prob_of_class(self, z: Tensor, label: Tensor | None) -> Tensor:
        """``(N,)`` in nats, of grids of classes ``(N,)``; None where there are no classes."""
        logs = self.causal_logits(z, label).flatten(1, -2)
        return self.expected(logs, z.flatten(1, len(self.space.shape))).sum(1).to(logs.dtype)

    def logits_at(self, features: Tensor, position: int) -> Tensor:
        """``(N, K)`` log-probabilities at one position of the flattened grid, of summed skip connections ``(N, C)``."""
        return self.mixed(self._head(features), self.frequencies.flatten(0, -2)[position])

    def _head(self, features: Tensor) -> Tensor:
        return self.codes.logits(self.dropout(F.silu(features)))

    @property
    def layers(self) -> list[GatedLayer]:
        """The layers, the first one first."""
        return list(self.stack)  # type: ignore[arg-type]

    @property
    def sides(self) -> tuple[int, int]:
        """``(H, W)``; a line of codes is one row."""
        height, width = (1, *self.space.shape)[-2:]
        return height, width


@dataclass(frozen=True, eq=False)
class LabelledPixelCNN:
    """A class-conditional [PixelCNN][latentsearch.priors.PixelCNN] of given classes: what its ``given`` returns.

    Attributes:
        network: The model.
        label: ``()``, or ``(N,)`` for exactly N rows.
    """

    network: PixelCNN
    label: Tensor

    @property
    def space(self) -> Discrete:
        """The grids."""
        return self.network.space

    @property
    def cost(self) -> float:
        """Of a draw, as a share of a decode."""
        return self.network.cost

    def sample(self, noise: Noise) -> Tensor:
        """``(N, *S)``."""
        require_noise("PixelCNN.noise", noise)
        return draw(self.network, noise, self._labels(len(noise), noise.keys.device))

    def log_prob(self, z: Tensor) -> Tensor:
        """``(N,)`` in nats."""
        require_grids("PixelCNN.log_prob", z, self.space)
        return self.network.log_prob_of_class(z, self._labels(len(z), z.device))

    def causal_logits(self, z: Tensor) -> Tensor:
        """``(N, *S, K)``: log p(z_p = j | the codes before p in raster order)."""
        return self.network.causal_logits(z, self._labels(len(z), z.device))

    def _labels(self, rows: int, device: torch.device) -> Tensor:
        return self.label.to(device).expand(rows)
