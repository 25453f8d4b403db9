"""A rectified flow onto grids of codes: an ordinary differential equation from a standard normal to embeddings.

Source: Eijkelboom et al., *Variational Flow Matching for Graph Generation* (CatFlow, NeurIPS 2024),
<https://arxiv.org/abs/2406.04843>; with the likelihood of the noisy embedding worked out as here, Dieleman et al.,
*Continuous diffusion for categorical data* (2022), <https://arxiv.org/abs/2211.15089>.
"""

from __future__ import annotations

import math
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn

from latentsearch._checks import require_count, require_noise, require_positive
from latentsearch._rows import sum_rows
from latentsearch.errors import InvalidArgument
from latentsearch.noise import Noise
from latentsearch.priors._code_network import require_codebook, require_histogram, require_network
from latentsearch.priors._fixed_blocks import in_blocks
from latentsearch.priors._latents import require_vectors
from latentsearch.priors._tied import TiedCodes
from latentsearch.priors._trunks import Trunk, build, trunk_for
from latentsearch.spaces import Continuous, Discrete

_TIME, _BASE, _PROBES = 1, 2, 3  # streams of noise folded in
_EXACT = 64  # elements up to which the divergence is taken from the whole Jacobian
_FREQUENCIES = 8
_FIRST = 0.1  # the signal at which steps begin to grow in proportion to it


class CategoricalFlow(nn.Module):
    r"""A rectified flow whose velocity is a classifier's: what the codes are, given their noisy embeddings.

    The path of a rectified flow, $x_t = (1 - t)\,\varepsilon + t\,e$ with e the embeddings of a grid, is
    looked at as $y_s = x_t / (1 - t) = \varepsilon + s\,e$, with the signal $s = t / (1 - t)$. The velocity is then
    the mean of the embeddings given $y_s$, $dy/ds = \sum_k p(c = k \mid y_s)\, e_k$, and what is learnt is a
    distribution of codes, by cross-entropy. The part of it that is known is not learnt: the likelihood of a
    position's own $y_s$ is a Gaussian, which is added to the network's logits, so that the network says what the
    other positions tell, and before training the flow is exact for codes that are independent of each other.

    It ends at $s = 1 / \text{spread}$, at embeddings with some noise left: $z = y_s / s$ lies about the embeddings of
    codes, with the standard deviation ``spread``. The nearest codes are the draw.

    The map is one to one, and both ways are midpoint steps, of which none is the exact inverse of another:
    [decode][latentsearch.priors.CategoricalFlow.decode] and [encode][latentsearch.priors.CategoricalFlow.encode] are
    each other's inverse up to the error of the steps. [GaussianEmbeddings][latentsearch.GaussianEmbeddings] makes
    a decoder of codes one of standard normals with it.

    ``log_prob`` is the density of z: that of the ODE, whose divergence is exact up to 64 elements. Beyond,
    it is Hutchinson's estimate from one probe a step, the same for every row and call: unbiased for the log-density
    over probes, biased for the density.

    Args:
        grids: The space of codes.
        codebook: ``(K, D)``, the generator's.
        histogram: ``(*S, K)`` log-frequencies, as [HistogramPrior][latentsearch.priors.HistogramPrior] has them:
            where the network starts. Uniform if not given.
        channels: Width of the network.
        blocks: Its depth.
        trunk: ``"convolutional"`` or ``"transformer"``; by the size of the grid if not given.
        dropout: In each block.
        spread: The noise that is left at the end, as a share of the codebook's standard deviation; a third of
            half the distance between codes that are to be told apart.
        steps: Midpoint steps from one end to the other, each of two passes of the network.

    Attributes:
        space: ``Continuous((*S, D))``, the embeddings.
        grids: As given.

    Example:
        >>> import torch
        >>> import latentsearch as ls
        >>> from latentsearch.priors import CategoricalFlow
        >>> grids, noise = ls.Discrete((4, 4), codebook_size=8), ls.Noise.from_seed(0)
        >>> codes, codebook = noise.integers(8, 100, 4, 4)[0], noise.normal(8, 3)[0]
        >>> flow = CategoricalFlow(grids, codebook, channels=16, blocks=1)
        >>> history = ls.fit(flow, (codes,), ls.Fit(steps=10))
        >>> z = flow.sample(ls.Noise.from_seed(1, 3))
        >>> z.shape, flow.encode(z).shape
        (torch.Size([3, 4, 4, 3]), torch.Size([3, 4, 4, 3]))
    """

    table: Tensor  # (K, D), of mean 0 and variance 1
    centre: Tensor  # (D,)
    scale: Tensor  # ()
    frequencies: Tensor  # (*S, K)

    def __init__(
        self,
        grids: Discrete,
        codebook: Tensor,
        *,
        histogram: Tensor | None = None,
        channels: int = 64,
        blocks: int = 6,
        trunk: Trunk | None = None,
        dropout: float = 0.1,
        spread: float = 0.02,
        steps: int = 16,
    ) -> None:
        super().__init__()
        require_network("CategoricalFlow", channels, blocks, dropout)
        require_count("CategoricalFlow.steps", steps)
        require_positive("CategoricalFlow.spread", spread)
        if not isinstance(grids, Discrete):
            raise InvalidArgument("CategoricalFlow.grids", got=repr(grids), expected="a Discrete space")
        require_codebook("CategoricalFlow.codebook", codebook, grids)
        if histogram is not None:
            require_histogram("CategoricalFlow.histogram", histogram, grids)
        kind = trunk_for(grids.shape) if trunk is None else trunk
        if kind not in ("convolutional", "transformer"):
            raise InvalidArgument("CategoricalFlow.trunk", got=repr(trunk), expected="'convolutional' or 'transformer'")
        width = codebook.shape[1]
        self.grids, self.space, self.steps = grids, Continuous((*grids.shape, width)), steps
        self.settings: dict[str, Any] = {
            "shape": list(grids.shape),
            "codebook_size": grids.codebook_size,
            "codebook_width": width,
            "channels": channels,
            "blocks": blocks,
            "trunk": kind,
            "dropout": dropout,
            "spread": spread,
            "steps": steps,
        }
        self.most = 1 / spread
        self._register(codebook.detach().float(), histogram)
        self.codes = TiedCodes(grids.codebook_size, channels, codebook)
        self.trunk = build(kind, grids.shape, channels, blocks, dropout)
        self.enter, self.time = nn.Linear(width, channels), nn.Linear(2 * _FREQUENCIES, channels)
        # Not heard at first, so that a trunk that was trained elsewhere can be taken over.
        for entrance in (self.enter, self.time):
            nn.init.zeros_(entrance.weight)
            nn.init.zeros_(entrance.bias)

    def _register(self, codebook: Tensor, histogram: Tensor | None) -> None:
        centre, scale = codebook.mean(0), codebook.std().clamp(min=1e-12)
        self.register_buffer("table", (codebook - centre) / scale)
        self.register_buffer("centre", centre)
        self.register_buffer("scale", scale)
        uniform = torch.zeros(*self.grids.shape, self.grids.codebook_size) if histogram is None else histogram
        self.register_buffer("frequencies", uniform.detach().float().log_softmax(-1))

    @property
    def spread(self) -> float:
        """The standard deviation of what the flow gives about the embeddings of codes, in units of the codebook."""
        return float(self.scale) / self.most

    # -- training ----------------------------------------------------------------------------------

    def training_terms(self, codes: Tensor, noise: Noise) -> dict[str, Tensor]:
        """Nats a code: the cross-entropy of hard grids ``(N, *S)`` given their noisy embeddings, one signal a grid."""
        rows = len(codes)
        # Low-discrepancy: the signals are spread evenly over a batch.
        share = (torch.arange(rows, device=codes.device) / rows + noise.fold(_TIME).uniform(1)[0]) % 1
        signal = self._signal(share.to(self.table.dtype))
        base = noise.fold(_BASE).split(rows).normal(*self.space.shape, dtype=self.table.dtype)
        y = base + _over(signal, base) * self.table[codes]
        own = self.log_posterior(y, signal).gather(-1, codes[..., None])
        return {"nats_per_code": -own.mean()}

    def log_posterior(self, y: Tensor, signal: Tensor) -> Tensor:
        """``(N, *S, K)``: log p(code | noisy embeddings).

        Args:
            y: ``(N, *S, D)``, the noise plus the signal times the embeddings.
            signal: ``(N,)``.
        """
        alone = self.frequencies + self._log_likelihood(y, signal)
        soft = alone.softmax(-1)
        # Of what is not known yet, the vector that stands for nothing known, as in a masked model.
        sure = soft.square().sum(-1, keepdim=True)
        embedded = sure * self.codes.embed(soft) + (1 - sure) * self.codes.masked
        s = _over(signal, y)
        entered = self.enter(y / (1 + s.square()).sqrt()) + self._timed(signal, y)
        return (alone + self.codes.logits(self.trunk(embedded + entered))).log_softmax(-1)

    def _log_likelihood(self, y: Tensor, signal: Tensor) -> Tensor:
        """Of each code, ``(N, *S, K)``, from a position's own noisy embedding, up to a constant."""
        s = _over(signal, y)
        # Differences of large squares: half precision would lose them.
        with torch.autocast(y.device.type, enabled=False):
            return s * (y @ self.table.T) - 0.5 * s.square() * self.table.square().sum(-1)

    def _timed(self, signal: Tensor, y: Tensor) -> Tensor:
        """What the network is told of the signal, broadcast to ``(N, *S, channels)``."""
        share = torch.log1p(signal / _FIRST) / math.log1p(self.most / _FIRST)
        angles = share[:, None] * (math.pi / 2) * torch.arange(1, _FREQUENCIES + 1, dtype=y.dtype, device=y.device)
        return _over(self.time(torch.cat([angles.sin(), angles.cos()], 1)), y)

    def _signal(self, share: Tensor) -> Tensor:
        """From shares of the way to signals: evenly at first, then in proportion."""
        return _FIRST * torch.expm1(share * math.log1p(self.most / _FIRST))

    # -- the flow ----------------------------------------------------------------------------------

    def sample(self, noise: Noise) -> Tensor:
        """``(N, *S, D)``: embeddings with the noise that is left."""
        require_noise("CategoricalFlow.noise", noise)
        base = noise.to(self.table.device).normal(*self.space.shape, dtype=self.table.dtype)
        with torch.no_grad():
            return in_blocks(self.decode, base).to(noise.keys.device)

    def decode(self, base: Tensor) -> Tensor:
        """Standard normal ``(N, *S, D)`` to embeddings; a gradient passes."""
        y, ladder = base, self._ladder()
        for start, end in pairwise(ladder):
            y = y + self._change(y, start, end)
        return self.centre + y * (self.scale / self.most)

    def encode(self, latents: Tensor) -> Tensor:
        """Embeddings ``(N, *S, D)`` to the standard normals that they come of, by the same steps backwards."""
        y, ladder = (latents - self.centre) * (self.most / self.scale), self._ladder()[::-1]
        for start, end in pairwise(ladder):
            y = y + self._change(y, start, end)
        return y

    def log_prob(self, z: Tensor) -> Tensor:
        """``(N,)`` in nats: that of the ODE, to the error of its steps."""
        require_vectors("CategoricalFlow.log_prob", z, self.space.shape)
        home = z.to(self.table.device)
        y, ladder = (home - self.centre) * (self.most / self.scale), self._ladder()[::-1]
        change = torch.zeros(len(y), dtype=torch.float64, device=y.device)
        for number, (start, end) in enumerate(pairwise(ladder)):
            middle = y + (end - start) / 2 * self._mean(y, start)
            velocity, divergence = self._divergence(middle, (start + end) / 2, number)
            y, change = y + (end - start) * velocity, change + (end - start) * divergence.double()
        size = math.prod(self.space.shape)
        base = -0.5 * (sum_rows(y.double().square()) + size * math.log(2 * math.pi))
        return (base + change - size * (self.scale.double() / self.most).log()).to(z.device, z.dtype)

    def _ladder(self) -> list[float]:
        """The signals at which steps begin and end."""
        share = torch.arange(self.steps + 1, dtype=torch.float64) / self.steps
        return self._signal(share).tolist()

    def _change(self, y: Tensor, start: float, end: float) -> Tensor:
        """What a midpoint step adds, ``(N, *S, D)``."""
        middle = y + (end - start) / 2 * self._mean(y, start)
        return (end - start) * self._mean(middle, (start + end) / 2)

    def _mean(self, y: Tensor, signal: float) -> Tensor:
        """The mean of the embeddings given noisy ones, ``(N, *S, D)``."""
        return self.log_posterior(y, y.new_full((len(y),), signal)).exp() @ self.table

    def _divergence(self, y: Tensor, signal: float, step: int) -> tuple[Tensor, Tensor]:
        """The mean ``(N, *S, D)`` and the trace of its Jacobian, or an estimate of it, ``(N,)``."""
        size, keep = math.prod(self.space.shape), torch.is_grad_enabled()
        if size <= _EXACT:
            directions = torch.eye(size, dtype=y.dtype, device=y.device)
        else:
            bits = Noise.from_seed(step, device=y.device).fold(_PROBES).integers(2, size)
            directions = (2 * bits - 1).to(y.dtype)
        with torch.enable_grad():
            at = y if y.requires_grad else y.detach().requires_grad_()
            mean, trace = self._mean(at, signal), torch.zeros(len(y), dtype=y.dtype, device=y.device)
            for direction in directions.view(-1, *y.shape[1:]):
                (slope,) = torch.autograd.grad((mean * direction).sum(), at, create_graph=keep, retain_graph=True)
                trace = trace + (slope * direction).flatten(1).sum(1)
        return (mean, trace) if keep else (mean.detach(), trace.detach())


def _over(rows: Tensor, like: Tensor) -> Tensor:
    """``(N,)`` or ``(N, C)``, with as many axes of size 1 between rows and the last one as ``like`` has."""
    last = rows.shape[1:] if rows.ndim > 1 else (1,)
    return rows.view(len(rows), *(1,) * (like.ndim - 2), *last)
