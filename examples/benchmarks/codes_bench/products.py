"""A mixture of products over grids of bits: a prior that is fitted in seconds and conditions exactly."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

import latentsearch as ls
from latentsearch.noise import Noise

_KIND, _BITS = 1, 2  # streams of noise
_LEAST = 1e-4  # of a bit's chance: a template is never certain


@dataclass(frozen=True, eq=False)
class ProductMixture:
    """Templates, each with a chance of its own for every bit: p(z) is the sum of w_c times the product of its chances.

    What is known of a grid says which templates it may be of, and these what the other bits are: a
    ConditionalPrior without approximation, and one that knows whole digits but no strokes.

    Attributes:
        chances: ``(C, *S)``, of a 1.
        weights: ``(C,)``, which sum to 1.
    """

    chances: Tensor
    weights: Tensor
    cost: ClassVar[float] = 1.0

    @classmethod
    def fit(cls, grids: Tensor, components: int, rounds: int = 12, seed: int = 0) -> ProductMixture:
        """By expectation and maximisation from random grids, each chance with half a grid's worth of the mean.

        Args:
            grids: ``(N, *S)`` of zeros and ones.
            components: C.
            rounds: Of the fit.
            seed: For the first templates.
        """
        x = grids.flatten(1).bfloat16()  # exact, and the products of matrices take a quarter of the time
        mean = x.float().mean(0)
        first = Noise.from_seed(seed).uniform(len(x))[0].argsort()[:components]
        found = cls._made(0.5 * x[first].float() + 0.5 * mean, torch.full((components,), 1 / components), grids)
        for _ in range(rounds):
            share = found._joint(x).softmax(1)
            count = share.sum(0)
            chances = ((share.bfloat16().T @ x).float() + 0.5 * mean) / (count[:, None] + 0.5)
            found = cls._made(chances, (count + 1e-3) / (count + 1e-3).sum(), grids)
        return found

    @classmethod
    def _made(cls, chances: Tensor, weights: Tensor, grids: Tensor) -> ProductMixture:
        return cls(chances.clamp(_LEAST, 1 - _LEAST).view(-1, *grids.shape[1:]), weights)

    @property
    def space(self) -> ls.Discrete:
        """The grids."""
        return ls.Discrete(tuple(self.chances.shape[1:]), 2)

    def conditionals(self, z: Tensor, known: Tensor) -> Tensor:
        """``(N, *S, 2)``, exact."""
        share = self._joint(z.flatten(1).float(), known.flatten(1).float()).softmax(1)
        chance = (share @ self.chances.flatten(1)).clamp(_LEAST, 1 - _LEAST).view(z.shape)
        own = torch.where(z[..., None] == torch.arange(2), 0.0, -torch.inf)
        return torch.where(known[..., None], own, torch.stack([(-chance).log1p(), chance.log()], -1))

    def log_prob(self, z: Tensor) -> Tensor:
        """``(N,)`` in nats; of a soft grid, of its mean."""
        mean = z[..., 1] if z.is_floating_point() else z.float()
        return self._joint(mean.flatten(1)).logsumexp(1)

    def sample(self, noise: Noise) -> Tensor:
        """``(N, *S)``."""
        nothing = torch.zeros(len(noise), *self.space.shape, dtype=torch.int64)
        return self.resample(nothing, torch.ones_like(nothing, dtype=torch.bool), noise)

    def resample(self, z: Tensor, mask: Tensor, noise: Noise) -> Tensor:
        """``(N, *S)`` with the bits in ``mask`` drawn given the rest."""
        joint = self._joint(z.flatten(1).float(), (~mask).flatten(1).float())
        chances = self.chances[noise.fold(_KIND).categorical(joint)]
        return torch.where(mask, (noise.fold(_BITS).uniform(*z.shape[1:]) < chances).long(), z)

    def passes(self, mask: Tensor) -> Tensor:
        """``(N,)`` int64: one where anything is drawn."""
        return mask.flatten(1).any(1).long()

    def _joint(self, x: Tensor, known: Tensor | float = 1.0) -> Tensor:
        """``(N, C)``: log of each template's weight, and of the known bits ``(N, P)`` under it."""
        one, none = self.chances.flatten(1).log(), (-self.chances.flatten(1)).log1p()
        if isinstance(known, float):
            return (x @ (one - none).to(x.dtype).T).float() + none.sum(1) + self.weights.log()
        return (x * known) @ (one - none).T + known @ none.T + self.weights.log()
