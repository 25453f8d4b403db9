"""Absorbing discrete diffusion over grids of codes: a network that knows any codes from any others."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from latentsearch._checks import is_whole, require_noise
from latentsearch.errors import InvalidArgument
from latentsearch.noise import Noise
from latentsearch.priors._code_network import CodeNetwork, require_network
from latentsearch.priors._known import where_known
from latentsearch.priors._latents import require_grids
from latentsearch.priors._trunks import Trunk, build, trunk_for
from latentsearch.spaces import Discrete

_ROWS = 1 << 15  # positions of grids that go through the network at once


class MaskedDiffusion(CodeNetwork):
    r"""A masked, any-order model: absorbing discrete diffusion without a time, since it needs none.

    One pass tells, of every position, which codes go with those that are known, whichever these are. So it fills in
    any part of a grid: a [ConditionalPrior][latentsearch.ConditionalPrior], which posterior searches propose from.
    It is trained on random parts of grids: m of P positions are hidden, m uniform on 1 to P, and the loss
    $\frac{1}{m} \sum_{p \text{ hidden}} -\log p(c_p \mid \text{the others})$ is, P times, an upper bound of
    $-\log p(c)$ that is unbiased in the choice of the order [Ou et al., *Your Absorbing Discrete Diffusion Secretly
    Models the Conditional Distributions of Clean Data*, 2024](https://arxiv.org/abs/2406.03736); [Hoogeboom et al.,
    *Autoregressive Diffusion Models*, 2022](https://arxiv.org/abs/2110.02037).

    Its own law draws position after position, in an order that spreads over the grid, and ``log_prob`` is that of
    this order, exactly; it takes a pass a position. With fewer ``steps`` several positions are drawn at once, as if
    they were independent given those before: that is a law of its own, a little off, and ``log_prob`` is its own.
    Different orders of a network do not agree exactly, so ``conditionals`` and ``log_prob`` do not either: how far
    they are apart is how far the network is from what it learnt.

    Args:
        space: The grids.
        codebook: ``(K, D)``, the generator's; what is learnt of a code then serves those near it.
        histogram: ``(*S, K)`` log-frequencies, as [HistogramPrior][latentsearch.priors.HistogramPrior] has them:
            where the network starts, and what is mixed into it. Uniform if not given.
        channels: Width of the network.
        blocks: Its depth.
        trunk: ``"convolutional"`` or ``"transformer"``; by the size of the grid if not given.
        dropout: In each block.
        mix: Share of the histogram in every conditional: it bounds what an odd code costs.
        steps: Passes of a draw; one a position if not given.
        cost: Of one pass for one row, as a share of a decode; what a search is charged.
        temperature: By which every conditional's logits are divided; below 1, draws are likelier.

    Raises:
        InvalidArgument: If a setting is out of range, or a tensor is not of the space.

    Example:
        >>> import torch
        >>> import latentsearch as ls
        >>> from latentsearch.priors import MaskedDiffusion
        >>> prior = MaskedDiffusion(ls.Discrete((4, 4), codebook_size=8), channels=16, blocks=2).eval()
        >>> half = torch.arange(4) < 2
        >>> known = torch.zeros(1, 4, 4, dtype=torch.int64)
        >>> prior.resample(known, ~half.expand(1, 4, 4), ls.Noise.from_seed(0)).shape
        torch.Size([1, 4, 4])
    """

    order: Tensor

    def __init__(
        self,
        space: Discrete,
        *,
        codebook: Tensor | None = None,
        histogram: Tensor | None = None,
        channels: int = 64,
        blocks: int = 6,
        trunk: Trunk | None = None,
        dropout: float = 0.1,
        mix: float = 1e-3,
        steps: int | None = None,
        cost: float = 1.0,
        temperature: float = 1.0,
    ) -> None:
        require_network("MaskedDiffusion", channels, blocks, dropout)
        super().__init__(space, channels, codebook, histogram, mix, cost, temperature)
        kind = trunk_for(space.shape) if trunk is None else trunk
        if kind not in ("convolutional", "transformer"):
            raise InvalidArgument("MaskedDiffusion.trunk", got=repr(trunk), expected="'convolutional' or 'transformer'")
        if steps is not None and not (is_whole(steps) and 1 <= steps <= space.positions):
            expected = f"a whole number from 1 to the {space.positions} positions"
            raise InvalidArgument("MaskedDiffusion.steps", got=repr(steps), expected=expected)
        self.steps = steps
        self.settings |= {"channels": channels, "blocks": blocks, "trunk": kind, "dropout": dropout, "steps": steps}
        self.trunk = build(kind, space.shape, channels, blocks, dropout)
        self.register_buffer("order", spread_order(space.shape), persistent=False)

    # -- training ----------------------------------------------------------------------------------

    def training_terms(self, z: Tensor, noise: Noise) -> dict[str, Tensor]:
        """The bound of ``-log p``, in nats a code, with one random part of each grid hidden.

        Args:
            z: ``(N, *S)`` hard grids.
            noise: One row.
        """
        rows, positions = len(z), self.space.positions
        # Low-discrepancy: the numbers of hidden codes are spread evenly over a batch.
        start = noise.uniform(1)[0]
        spread = (torch.arange(rows, dtype=torch.float32, device=z.device) / rows + start) % 1
        hidden = 1 + (positions * spread).long().clamp(max=positions - 1)
        rank = noise.fold(1).split(rows).uniform(positions).argsort(1).argsort(1)
        known = (rank >= hidden[:, None]).view_as(z)
        each = self.log_conditionals(z, known).gather(-1, z[..., None])[..., 0]
        loss = -(each * ~known).flatten(1).sum(1) / hidden
        return {"nats_per_code": loss.mean()}

    def log_conditionals(self, z: Tensor, known: Tensor) -> Tensor:
        """``(N, *S, K)``: log p(z_p = j | the known codes) where p is not known; elsewhere nothing to go by."""
        return self.mixed(self.codes.logits(self.trunk(self.codes.embed(z, known))))

    # -- the prior ---------------------------------------------------------------------------------

    def conditionals(self, z: Tensor, known: Tensor) -> Tensor:
        """``(N, *S, K)``; one pass. Known positions have their own code for certain."""
        found = torch.cat([self.log_conditionals(*part) for part in zip(*self._split(z, known), strict=True)])
        return where_known(z, known, found)

    def passes(self, mask: Tensor) -> Tensor:
        """``(N,)`` int64: how many passes ``resample`` takes for masks ``(N, *S)``."""
        hidden = mask.flatten(1).sum(1)
        return hidden if self.steps is None else hidden.clamp(max=self.steps)

    @torch.no_grad()
    def resample(self, z: Tensor, mask: Tensor, noise: Noise) -> Tensor:
        """``(N, *S)`` with the masked positions drawn given the rest, those that come first in the order first."""
        z, known = z.clone().flatten(1), ~mask.flatten(1)
        group = self._groups(mask)
        for step in range(int(group.max()) + 1 if len(z) else 0):
            rows = (group == step).any(1).nonzero()[:, 0]
            now = group[rows] == step
            logits = self.conditionals(z[rows].view(-1, *self.space.shape), known[rows].view(-1, *self.space.shape))
            drawn = noise[rows].fold(step).categorical(logits.flatten(1, -2))
            z[rows] = torch.where(now, drawn, z[rows])
            known[rows] = known[rows] | now
        return z.view(-1, *self.space.shape)

    def sample(self, noise: Noise) -> Tensor:
        """``(N, *S)``."""
        require_noise("MaskedDiffusion.noise", noise)
        z = torch.zeros(len(noise), *self.space.shape, dtype=torch.int64, device=noise.keys.device)
        return self.resample(z, torch.ones_like(z, dtype=torch.bool), noise)

    def log_prob(self, z: Tensor) -> Tensor:
        """``(N,)`` in nats; of a soft grid, the expectation over its codes given soft ones before."""
        require_grids("MaskedDiffusion.log_prob", z, self.space)
        group = self._groups(torch.ones(1, *self.space.shape, dtype=torch.bool, device=z.device))[0]
        rows, steps = len(z), int(group.max()) + 1
        if not rows:
            return self.frequencies.new_zeros(0)
        flat, embedded = z.flatten(1, len(self.space.shape)), self.codes.embed(z)
        # No step waits for another where all codes are given: steps of all rows go through the network together.
        pairs = torch.arange(steps * rows, device=z.device)
        parts = [
            self._log_prob_of_steps(flat, embedded, group, pair % rows, pair // rows) for pair in self._split(pairs)[0]
        ]
        return torch.cat(parts).view(steps, rows).sum(0).to(self.frequencies.dtype)

    def _log_prob_of_steps(self, flat: Tensor, embedded: Tensor, group: Tensor, row: Tensor, step: Tensor) -> Tensor:
        """``(M,)`` float64: what the codes of one step each add to the log-probability of a row.

        Args:
            flat: ``(N, P)`` hard or ``(N, P, K)`` soft codes.
            embedded: ``(N, *S, width)``, their vectors.
            group: ``(P,)``: in which step each position is drawn.
            row: ``(M,)``.
            step: ``(M,)``.
        """
        features = self.trunk(self.codes.hidden(embedded[row], (group < step[:, None]).view(-1, *self.space.shape)))
        # Codes are many, and few positions are asked for.
        pair, at = (group == step[:, None]).nonzero(as_tuple=True)
        logits = self.codes.logits(features.flatten(1, -2)[pair, at])
        each = self.expected(self.mixed(logits, self.frequencies.flatten(0, -2)[at]), flat[row[pair], at])
        return each.new_zeros(len(row), len(group)).index_put((pair, at), each).sum(1)

    def _groups(self, mask: Tensor) -> Tensor:
        """``(N, P)`` int64: in which step each masked position is drawn; -1 for the others."""
        hidden = mask.flatten(1)
        later = torch.where(hidden, self.order.to(mask.device), self.space.positions)
        rank = later.argsort(dim=1, stable=True).argsort(1)
        if self.steps is not None:
            count = hidden.sum(1, keepdim=True).clamp(min=1)
            rank = rank * self.passes(mask)[:, None] // count
        return torch.where(hidden, rank, -1)

    def _split(self, *tensors: Tensor) -> list[tuple[Tensor, ...]]:
        """Each tensor in parts of rows that go through the network at once."""
        rows = max(_ROWS // self.space.positions, 1)
        return [tensor.split(rows) for tensor in tensors]


def spread_order(shape: tuple[int, ...]) -> Tensor:
    """``(P,)`` int64: the rank of each position in an order in which neighbours come far apart.

    The bits of the coordinates, the lowest first and those of the axes in turn: every first part of the order covers
    the grid evenly.
    """
    axes = torch.meshgrid(*(torch.arange(side) for side in shape), indexing="ij")
    key = torch.zeros(math.prod(shape), dtype=torch.int64)
    for bit in range(max(max(shape) - 1, 1).bit_length()):
        for axis in axes:
            key = 2 * key + ((axis.flatten() >> bit) & 1)
    return key.argsort(stable=True).argsort()
