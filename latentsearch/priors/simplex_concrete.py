"""The Gumbel-softmax distribution in log-ratio coordinates, and the bijection from standard normals onto it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from latentsearch._checks import require_noise, require_positive
from latentsearch._normal import log_density, log_ndtri, within_edge
from latentsearch.errors import InvalidArgument, describe
from latentsearch.noise import Noise
from latentsearch.priors._latents import require_vectors
from latentsearch.priors.simplex import from_sticks, to_alr, to_sticks, with_last
from latentsearch.priors.simplex_gaussian import LogisticNormal
from latentsearch.spaces import Continuous


@dataclass(frozen=True, eq=False)
class Concrete:
    r"""Gumbel-softmax codes, one a position, in log-ratio coordinates.

    $y = \mathrm{softmax}((\log \alpha + g) / \tau)$ with Gumbel variables g, given as
    $u_k = \log (y_k / y_K)$. The density is exact at any temperature, as nothing leaves the logarithms:

    $$\log p(u) = \log \Gamma(K) + (K - 1) \log \tau + \sum_k a_k - K\, \mathrm{logsumexp}(a),
    \quad a = \log \alpha - \tau u, \quad u_K = 0.$$

    **From Gaussians, in closed form.** $\alpha\, y^{-\tau}$, normalised, is uniform on the simplex, which
    a stick broken by Beta variables is as well, and those are functions of one normal each. `transform` is this
    bijection, with which no flow need be trained, and `inverse` leads back.

    Source: Maddison, Mnih and Teh, *The concrete distribution*, 2017; Jang, Gu and Poole, 2017.

    Attributes:
        logits: ``(*S, K)`` floating, $\log \alpha$ up to a constant a position.
        temperature: $\tau$.

    Raises:
        InvalidArgument: If the logits are not finite, or the temperature is not positive.

    Example:
        >>> import torch
        >>> import latentsearch as ls
        >>> from latentsearch.priors import Concrete, from_alr
        >>> prior = Concrete(torch.tensor([[0.7, 0.2, 0.1]]).log(), temperature=0.1)
        >>> u = prior.sample(ls.Noise.from_seed(0, 1000))
        >>> share = (from_alr(u).argmax(-1) == 0).double().mean()
        >>> u.shape, bool((share - 0.7).abs() < 0.05)
        (torch.Size([1000, 1, 2]), True)
    """

    logits: Tensor
    temperature: float

    def __post_init__(self) -> None:
        require_positive("Concrete.temperature", self.temperature)
        logits = self.logits
        if not isinstance(logits, Tensor) or not logits.is_floating_point() or not bool(logits.isfinite().all()):
            got = describe(logits) if isinstance(logits, Tensor) else type(logits).__name__
            raise InvalidArgument("Concrete.logits", got=got, expected="finite floating logits (*S, K)")
        if logits.ndim < 1 or logits.shape[-1] < 2:
            raise InvalidArgument("Concrete.logits", got=describe(logits), expected="two codes or more a position")

    @property
    def space(self) -> Continuous:
        """Log-ratio coordinates, ``(*S, K - 1)``."""
        return Continuous((*self.logits.shape[:-1], self.logits.shape[-1] - 1))

    @property
    def settings(self) -> dict[str, Any]:
        """What besides `tensors` it was made with."""
        return {"temperature": self.temperature}

    def tensors(self) -> dict[str, Tensor]:
        """What it was made with, by name."""
        return {"logits": self.logits}

    def to(self, device: torch.device | str) -> Concrete:
        """The same prior on another device."""
        return Concrete(self.logits.to(device), self.temperature)

    def gaussian(self) -> LogisticNormal:
        r"""The Gaussian with its mean and covariance, $\frac{\pi^2}{6 \tau^2} (I + 11^T)$.

        It is within 0.09 nats a coordinate of the distribution (in KL divergence, from it) at any temperature and K:
        where a flow begins, if one is trained.
        """
        size = self.logits.shape[-1] - 1
        spread = math.pi / math.sqrt(6) / self.temperature
        like = {"dtype": self.logits.dtype, "device": self.logits.device}
        covariance = torch.eye(size, **like) + torch.ones(size, size, **like)  # type: ignore[call-overload]
        scale = spread * torch.linalg.cholesky(covariance)
        return LogisticNormal(to_alr(self.logits) / self.temperature, scale.expand(*self.logits.shape[:-1], -1, -1))

    def sample(self, noise: Noise) -> Tensor:
        """``(N, *S, K - 1)``."""
        require_noise("Concrete.noise", noise)
        return self.transform(noise.normal(*self.space.shape, dtype=self.logits.dtype))[0]

    def log_prob(self, z: Tensor) -> Tensor:
        """``(N,)`` in nats, with respect to the coordinates."""
        require_vectors("Concrete.log_prob", z, self.space.shape)
        a = self.logits.to(z.device).double() - self.temperature * with_last(z.double())
        size = self.logits.shape[-1]
        constant = math.lgamma(size) + (size - 1) * math.log(self.temperature)
        each = constant + a.sum(-1) - size * a.logsumexp(-1)
        return each.reshape(len(z), -1).sum(1).to(z.dtype)

    def transform(self, eps: Tensor) -> tuple[Tensor, Tensor]:
        """Standard normals ``(N, *S, K - 1)`` to coordinates, and the log-determinant ``(N,)``."""
        inside = within_edge(eps)
        # What is left of the stick, log(1 - s_k) with s_k ~ Beta(1, K - k).
        log_cdf: Tensor = torch.special.log_ndtr(inside)
        left = log_cdf / self._codes_after(eps.device)
        log_s = (-left.expm1()).log()
        log_v = from_sticks(log_s - left)
        u = (self._log_ratios(eps.device) - log_v) / self.temperature
        log_det = log_density(inside) - log_cdf - log_s - (self._codes_after(eps.device) * self.temperature).log()
        return u.to(eps.dtype), log_det.flatten(1).sum(1).to(eps.dtype)

    def inverse(self, z: Tensor) -> tuple[Tensor, Tensor]:
        """Coordinates to standard normals in float64, and the log-determinant ``(N,)`` of this direction."""
        odds = to_sticks(self._log_ratios(z.device) - self.temperature * z.double())
        left = -torch.logaddexp(odds, torch.zeros_like(odds))
        log_cdf = left * self._codes_after(z.device)
        eps = log_ndtri(log_cdf)
        log_s = -torch.logaddexp(-odds, torch.zeros_like(odds))
        log_det = log_cdf + log_s + (self._codes_after(z.device) * self.temperature).log() - log_density(eps)
        return eps, log_det.flatten(1).sum(1)

    def _log_ratios(self, device: torch.device) -> Tensor:
        return to_alr(self.logits).to(device).double()

    def _codes_after(self, device: torch.device) -> Tensor:
        """``(K - 1,)``: how many codes come after each."""
        return torch.arange(self.logits.shape[-1] - 1, 0, -1, dtype=torch.float64, device=device)
