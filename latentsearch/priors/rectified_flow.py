"""A rectified flow: an ordinary differential equation that carries a standard normal to data along straight lines.

Source: Liu, Gong and Liu, *Flow straight and fast: learning to generate and transfer data with rectified flow*
(2022), <https://arxiv.org/abs/2209.03003>; the density along an ODE is equation 2 of Grathwohl et al., *FFJORD*
(2018), <https://arxiv.org/abs/1810.01367>.
"""

from __future__ import annotations

import math
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from typing_extensions import Self

from latentsearch._checks import require_count, require_noise
from latentsearch._rows import sum_rows
from latentsearch._whitening import Whitening
from latentsearch.noise import Noise
from latentsearch.priors._fixed_blocks import in_blocks
from latentsearch.priors._latents import require_vectors
from latentsearch.spaces import Continuous

_TIME, _BASE, _PROBES = 1, 2, 3  # streams of noise folded in
_EXACT = 64  # elements up to which the divergence is taken from the whole Jacobian
_FREQUENCIES = 8


class RectifiedFlow(nn.Module):
    r"""A velocity $v(x, t)$, fitted to $z - \varepsilon$ at $x = (1 - t)\,\varepsilon + t\,z$, which draws follow.

    The map from $\varepsilon$ to $z$ is one to one, so a search can be run over $\varepsilon$, which is
    standard normal: [decode][latentsearch.priors.RectifiedFlow.decode] and
    [encode][latentsearch.priors.RectifiedFlow.encode]. Both are midpoint steps, and so are each other's
    inverse up to the error of the steps.

    The log-density is that of the ODE, whose divergence is exact up to 64 elements. Beyond, it is
    Hutchinson's estimate from one probe a step, which is the same for every row and call: unbiased for the
    log-density over probes, biased for the density, so no acceptance ratio should be made of it.

    Args:
        shape: S, the shape of one latent.
        width: Hidden units of a layer of the network.
        depth: Its residual blocks.
        steps: Midpoint steps from one end to the other, each of two evaluations of the network.

    Example:
        >>> import torch
        >>> import latentsearch as ls
        >>> from latentsearch.priors import RectifiedFlow
        >>> encodings = ls.Noise.from_seed(0, 500).normal(4) * 3 + 1
        >>> flow = RectifiedFlow((4,), width=32, depth=1).calibrated(encodings)
        >>> history = ls.fit(flow, (encodings,), ls.Fit(steps=20))
        >>> z = flow.sample(ls.Noise.from_seed(1, 3))
        >>> z.shape, bool((flow.decode(flow.encode(z)) - z).abs().max() < 0.01)
        (torch.Size([3, 4]), True)
    """

    def __init__(self, shape: tuple[int, ...], *, width: int = 256, depth: int = 4, steps: int = 16) -> None:
        super().__init__()
        for name, value in (("width", width), ("depth", depth), ("steps", steps)):
            require_count(f"RectifiedFlow.{name}", value)
        self.space = Continuous(shape)
        self.settings = {"shape": self.space.shape, "width": width, "depth": depth, "steps": steps}
        self.steps, self.size = steps, math.prod(shape)
        self.whitening = Whitening(self.size)
        self.velocity = _Velocity(self.size, width, depth)

    def calibrated(self, latents: Tensor) -> Self:
        """The flow itself, which from now on carries what the whitening of latents ``(T, *S)`` gives."""
        self.space.check("RectifiedFlow.latents", latents)
        self.whitening.measure(latents.flatten(1))
        return self

    def training_terms(self, latents: Tensor, noise: Noise) -> dict[str, Tensor]:
        """The mean squared error of the velocities, at one time a latent."""
        z = self.whitening.white(latents.flatten(1))
        # Times are stratified: one in each of as many equal parts as there are rows.
        offset = noise.fold(_TIME).uniform(1, dtype=z.dtype)[0]
        t = (torch.arange(len(z), dtype=z.dtype, device=z.device) / len(z) + offset) % 1
        base = noise.fold(_BASE).normal(*z.shape, dtype=z.dtype)[0]
        x = torch.lerp(base, z, t[:, None])
        return {"velocity": (self.velocity(x, t) - (z - base)).square().sum(1).mean()}

    def sample(self, noise: Noise) -> Tensor:
        """``(N, *S)``."""
        require_noise("RectifiedFlow.noise", noise)
        shift = self.whitening.shift
        base = noise.to(shift.device).normal(*self.space.shape, dtype=shift.dtype)
        with torch.no_grad():
            return in_blocks(self.decode, base).to(noise.keys.device)

    def decode(self, base: Tensor) -> Tensor:
        """Standard normal ``(N, *S)`` to latents; a gradient passes."""
        x = base.flatten(1)
        for step in range(self.steps):
            x = x + self._slope(x, step, 1) / self.steps
        return self.whitening.coloured(x).view_as(base)

    def encode(self, latents: Tensor) -> Tensor:
        """Latents ``(N, *S)`` to the standard normals that they come of, by the same steps backwards."""
        x = self.whitening.white(latents.flatten(1))
        for step in reversed(range(self.steps)):
            x = x - self._slope(x, step, -1) / self.steps
        return x.view_as(latents)

    def log_prob(self, z: Tensor) -> Tensor:
        """``(N,)`` in nats: that of the ODE, to the error of its steps."""
        require_vectors("RectifiedFlow.log_prob", z, self.space.shape)
        x = self.whitening.white(z.flatten(1).to(self.whitening.shift.device))
        change = torch.zeros(len(x), dtype=torch.float64, device=x.device)
        for step in reversed(range(self.steps)):
            middle = x - self._half(x, step, -1)
            velocity, divergence = self._divergence(middle, (step + 0.5) / self.steps, step)
            x, change = x - velocity / self.steps, change + divergence.double() / self.steps
        base = -0.5 * (sum_rows(x.double().square()) + self.size * math.log(2 * math.pi))
        return (base - change - self.whitening.log_volume()).to(z.device, x.dtype)

    def _slope(self, x: Tensor, step: int, direction: int) -> Tensor:
        """The velocity in the middle of a step, ``(N, d)``."""
        return self._at(x + direction * self._half(x, step, direction), (step + 0.5) / self.steps)

    def _half(self, x: Tensor, step: int, direction: int) -> Tensor:
        return 0.5 / self.steps * self._at(x, (step + (direction < 0)) / self.steps)

    def _at(self, x: Tensor, t: float) -> Tensor:
        return self.velocity(x, x.new_full((len(x),), t))  # type: ignore[no-any-return]

    def _divergence(self, x: Tensor, t: float, step: int) -> tuple[Tensor, Tensor]:
        """The velocity ``(N, d)`` and the trace of its Jacobian, or an estimate of it, ``(N,)``."""
        if self.size <= _EXACT:
            directions = torch.eye(self.size, dtype=x.dtype, device=x.device)
        else:
            bits = Noise.from_seed(step, device=x.device).fold(_PROBES).integers(2, self.size)
            directions = (2 * bits - 1).to(x.dtype)
        return self.velocity.along(x, x.new_full((len(x),), t), directions)


class _Velocity(nn.Module):
    """A residual network on ``(N, d)`` and times ``(N,)``, which gives 0 before it is trained."""

    def __init__(self, size: int, width: int, depth: int) -> None:
        super().__init__()
        self.enter = nn.Linear(size, width)
        self.time = nn.Linear(2 * _FREQUENCIES, width)
        self.blocks = nn.ModuleList(nn.Linear(width, width) for _ in range(depth))
        self.leave = nn.Linear(width, size)
        nn.init.zeros_(self.leave.weight)
        nn.init.zeros_(self.leave.bias)

    def forward(self, x: Tensor, t: Tensor) -> Tensor:
        hidden = self._entered(x, t)
        for block in self.blocks:
            hidden = hidden + block(F.silu(hidden))
        return self.leave(F.silu(hidden))  # type: ignore[no-any-return]

    def along(self, x: Tensor, t: Tensor, directions: Tensor) -> tuple[Tensor, Tensor]:
        """The velocity, and the sum of its slopes along each of directions ``(E, d)``, ``(N,)``."""
        hidden = self._entered(x, t)
        tangents = directions @ self.enter.weight.T  # (E, width), later (N, E, width)
        for block in self.blocks:
            tangents = tangents + (_slope(hidden)[:, None] * tangents) @ cast(Tensor, block.weight).T
            hidden = hidden + block(F.silu(hidden))
        sums = (_slope(hidden)[:, None] * tangents * (directions @ self.leave.weight)).sum((1, 2))
        return self.leave(F.silu(hidden)), sums

    def _entered(self, x: Tensor, t: Tensor) -> Tensor:
        angles = t[:, None] * (math.pi / 2) * torch.arange(1, _FREQUENCIES + 1, dtype=x.dtype, device=x.device)
        return self.enter(x) + self.time(torch.cat([angles.sin(), angles.cos()], 1))  # type: ignore[no-any-return]


def _slope(x: Tensor) -> Tensor:
    """The derivative of SiLU."""
    share = x.sigmoid()
    return share * (1 + x * (1 - share))
