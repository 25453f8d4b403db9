"""Gumbel-softmax codes at several positions: independent, or each given those before."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from latentsearch.noise import Noise
from latentsearch.priors import from_alr

STRENGTH = 1.0


@dataclass(frozen=True)
class Target:
    """P positions of K relaxed codes, in log-ratio coordinates ``(N, P * (K - 1))``.

    Attributes:
        logits: ``(P, K)``.
        weight: ``(P, P, K, K)``: what the relaxed code at position j < i adds to the logits of position i;
            all zero for independent positions.
        temperature: Of the relaxation.
    """

    logits: Tensor
    weight: Tensor
    temperature: float

    @staticmethod
    def make(positions: int, codes: int, temperature: float, *, correlated: bool) -> Target:
        noise = Noise.from_seed(0)
        logits = noise.normal(positions, codes)[0]
        weight = noise.fold(1).normal(positions, positions, codes, codes)[0] * STRENGTH
        before = torch.ones(positions, positions).tril(-1)[:, :, None, None]
        return Target(logits, weight * before * float(correlated), temperature)

    @property
    def positions(self) -> int:
        return self.logits.shape[0]

    @property
    def codes(self) -> int:
        return self.logits.shape[1]

    @property
    def size(self) -> int:
        """D, coordinates of all positions together."""
        return self.positions * (self.codes - 1)

    def sample(self, noise: Noise) -> Tensor:
        """``(N, D)``, one position after the other."""
        gumbel = noise.gumbel(self.positions, self.codes)
        u = torch.zeros(len(noise), self.positions, self.codes - 1)
        for position in range(self.positions):
            perturbed = (self._given(from_alr(u).exp())[:, position] + gumbel[:, position]) / self.temperature
            u[:, position] = perturbed[:, :-1] - perturbed[:, -1:]
        return u.flatten(1)

    def log_prob(self, u: Tensor) -> Tensor:
        """``(...)`` from ``(..., D)``, exact."""
        u = u.unflatten(-1, (self.positions, self.codes - 1))
        return self.log_prob_log(torch.cat([u, torch.zeros_like(u[..., :1])], -1))

    def log_prob_log(self, log_y: Tensor) -> Tensor:
        """The same from logarithms ``(..., P, K)`` of relaxed codes, which may lack a constant a position."""
        a = self._given(log_y.softmax(-1)) - self.temperature * log_y
        return (self._constant + a.sum(-1) - self.codes * a.logsumexp(-1)).sum(-1)

    def log_prob_published(self, z: Tensor) -> Tensor:
        """The formula of the paper's appendix A.5 at ``(..., P, K)`` numbers, whether or not they lie on the simplex.

        It is homogeneous: ``log p(c z) = log p(z) - K log c``. Along each ray from 0 that is the density dr / r, which
        has no finite integral, and below 0 it is NaN.
        """
        return self.log_prob_log(z.log()) - z.log().sum((-2, -1))

    @property
    def _constant(self) -> float:
        return math.lgamma(self.codes) + (self.codes - 1) * math.log(self.temperature)

    def whitening(self) -> tuple[Tensor, Tensor]:
        """The affine map onto a Gaussian with the target's mean and covariance: in closed form where positions are
        independent, else of 20,000 samples."""
        if not bool(self.weight.any()):
            one = math.pi / math.sqrt(6) / self.temperature
            one = one * torch.linalg.cholesky(torch.eye(self.codes - 1) + torch.ones(self.codes - 1, self.codes - 1))
            mean = (self.logits[:, :-1] - self.logits[:, -1:]) / self.temperature
            return torch.block_diag(*[one] * self.positions), mean.flatten()
        u = self.sample(Noise.from_seed(123, 20_000)).double()
        return torch.linalg.cholesky(u.T.cov()).float(), u.mean(0).float()

    def _given(self, y: Tensor) -> Tensor:
        """``(..., P, K)``: the logits of each position given the relaxed codes before it."""
        return self.logits + torch.einsum("...pk,qpjk->...qj", y, self.weight)
