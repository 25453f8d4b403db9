"""A flow of affine couplings.

Sources: Dinh, Sohl-Dickstein and Bengio, *Density estimation using Real NVP* (2016),
<https://arxiv.org/abs/1605.08803>, equations 7 and 8; Kingma and Dhariwal, *Glow* (2018),
<https://arxiv.org/abs/1807.03039>, section 3.1, for the normalisation and its start from data.
"""

from __future__ import annotations

import math
from itertools import pairwise
from typing import cast

import torch
from torch import Tensor, nn
from typing_extensions import Self

from latentsearch._checks import require_count, require_noise
from latentsearch._rows import sum_rows
from latentsearch._whitening import Whitening
from latentsearch.errors import InvalidArgument
from latentsearch.noise import Noise
from latentsearch.priors._fixed_blocks import in_blocks
from latentsearch.priors._latents import require_vectors
from latentsearch.spaces import Continuous

_BOUND = 2.0  # the most that the logarithm of one coupling's scale can be


class RealNVP(nn.Module):
    r"""Blocks of normalisation, affine coupling and permutation carry $\varepsilon \sim N(0, I)$ to latents.

    Before it is trained it is the affine map that [calibrated][latentsearch.priors.RealNVP.calibrated]
    measures, or the identity up to an order of the elements. The logarithm of each coupling's scale is
    bounded by 2: the product of unbounded ones is what makes such flows diverge.

    Args:
        shape: S, the shape of one latent, of at least two elements.
        blocks: Couplings in a row.
        width: Hidden units of the two hidden layers of each coupling's network.

    Attributes:
        space: ``Continuous(S)``.
        settings: The arguments.

    Example:
        >>> import torch
        >>> import latentsearch as ls
        >>> from latentsearch.priors import RealNVP
        >>> encodings = ls.Noise.from_seed(0, 500).normal(4) * 3 + 1
        >>> flow = RealNVP((4,), blocks=4, width=16).calibrated(encodings)
        >>> history = ls.fit(flow, (encodings,), ls.Fit(steps=20, clip=1.0))
        >>> z, log_det = flow.transform(ls.Noise.from_seed(1, 3).normal(4))
        >>> z.shape, log_det.shape, bool((flow.transform(flow.inverse(z)[0])[0] - z).abs().max() < 1e-4)
        (torch.Size([3, 4]), torch.Size([3]), True)
    """

    def __init__(self, shape: tuple[int, ...], *, blocks: int = 16, width: int = 128) -> None:
        super().__init__()
        require_count("RealNVP.blocks", blocks)
        require_count("RealNVP.width", width)
        self.space = Continuous(shape)
        self.size = math.prod(shape)
        if self.size < 2:
            hint = "GaussianMixture is for latents of any size"
            raise InvalidArgument("RealNVP.shape", got=str(shape), expected="at least two elements", hint=hint)
        self.settings = {"shape": self.space.shape, "blocks": blocks, "width": width}
        self.whitening = Whitening(self.size)
        self.blocks = nn.ModuleList(_Block(self.size, width, number) for number in range(blocks))

    def calibrated(self, latents: Tensor) -> Self:
        """The flow itself, which is from now on started at latents ``(T, *S)``.

        Their whitening comes first, and each normalisation is set such that what it gives has mean 0 and
        variance 1. Nothing is drawn.
        """
        self.space.check("RealNVP.latents", latents)
        self.whitening.measure(latents.flatten(1))
        with torch.no_grad():
            x = self.whitening.white(latents.flatten(1).to(self.whitening.shift))
            for block in self._blocks:
                block.normalise.measure(x)
                x, _ = block.inverse(x)
        return self

    def transform(self, base: Tensor) -> tuple[Tensor, Tensor]:
        """Standard normal ``(N, *S)`` to latents ``(N, *S)``, and the map's log-determinant ``(N,)``."""
        x, log_det = base.flatten(1), self.whitening.log_volume()
        for block in reversed(self._blocks):
            x, change = block(x)
            log_det = log_det + change
        return self.whitening.coloured(x).view_as(base), log_det

    def inverse(self, z: Tensor) -> tuple[Tensor, Tensor]:
        """Latents ``(N, *S)`` to what they come of, and that map's log-determinant ``(N,)``."""
        x, log_det = self.whitening.white(z.flatten(1)), -self.whitening.log_volume()
        for block in self._blocks:
            x, change = block.inverse(x)
            log_det = log_det + change
        return x.view_as(z), log_det

    def sample(self, noise: Noise) -> Tensor:
        """``(N, *S)``."""
        require_noise("RealNVP.noise", noise)
        shift = self.whitening.shift
        base = noise.to(shift.device).normal(*self.space.shape, dtype=shift.dtype)
        with torch.no_grad():
            return in_blocks(lambda rows: self.transform(rows)[0], base).to(noise.keys.device)

    def log_prob(self, z: Tensor) -> Tensor:
        """``(N,)`` in nats."""
        require_vectors("RealNVP.log_prob", z, self.space.shape)
        base, log_det = self.inverse(z.to(self.whitening.shift.device))
        density = -0.5 * (sum_rows(base.square()) + self.size * math.log(2 * math.pi))
        return (density + log_det).to(z.device)

    @property
    def _blocks(self) -> list[_Block]:
        return cast("list[_Block]", list(self.blocks))

    def training_terms(self, latents: Tensor, noise: Noise) -> dict[str, Tensor]:
        """Nats a latent: the negative log-likelihood."""
        return {"nats": -self.log_prob(latents).mean()}


class _Block(nn.Module):
    """From the base to latents: an order of the elements, a coupling, a scale and a shift of each element."""

    order: Tensor

    def __init__(self, size: int, width: int, number: int) -> None:
        super().__init__()
        self.kept = size // 2
        order = Noise.from_seed(number).fold(size).uniform(size, dtype=torch.float64)[0].argsort()
        self.register_buffer("order", order)
        self.normalise = _Normalise(size)
        sizes = (self.kept, width, width, 2 * (size - self.kept))
        layers = [layer for before, after in pairwise(sizes) for layer in (nn.Linear(before, after), nn.SiLU())]
        self.network = nn.Sequential(*layers[:-1])
        last = layers[-2]
        for parameter in last.parameters():
            nn.init.zeros_(parameter)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        kept, moved = x[:, self.order.argsort()].tensor_split([self.kept], dim=1)
        log_scale, shift = self._coupling(kept)
        x = torch.cat([kept, moved * log_scale.exp() + shift], 1)
        return self.normalise(x), log_scale.sum(1) + self.normalise.log_scale.sum()

    def inverse(self, x: Tensor) -> tuple[Tensor, Tensor]:
        kept, moved = self.normalise.inverse(x).tensor_split([self.kept], dim=1)
        log_scale, shift = self._coupling(kept)
        x = torch.cat([kept, (moved - shift) * (-log_scale).exp()], 1)[:, self.order]
        return x, -log_scale.sum(1) - self.normalise.log_scale.sum()

    def _coupling(self, kept: Tensor) -> tuple[Tensor, Tensor]:
        free, shift = self.network(kept).chunk(2, dim=1)
        return _BOUND * (free / _BOUND).tanh(), shift


class _Normalise(nn.Module):
    """A scale and a shift of each element, which can be set from data."""

    def __init__(self, size: int) -> None:
        super().__init__()
        self.log_scale = nn.Parameter(torch.zeros(size))
        self.shift = nn.Parameter(torch.zeros(size))

    def measure(self, x: Tensor) -> None:
        self.shift.copy_(x.mean(0))
        self.log_scale.copy_(x.std(0, correction=0).clamp_min(1e-6).log())

    def forward(self, x: Tensor) -> Tensor:
        return x * self.log_scale.exp() + self.shift

    def inverse(self, x: Tensor) -> Tensor:
        return (x - self.shift) * (-self.log_scale).exp()
