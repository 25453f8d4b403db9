"""Gaussians laid onto the simplex: the logistic-normal distribution, and a broken stick."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, fields, replace
from typing import Any

import torch
from torch import Tensor
from typing_extensions import Self

from latentsearch._checks import require_noise
from latentsearch._normal import log_density
from latentsearch.errors import InvalidArgument, describe
from latentsearch.noise import Noise
from latentsearch.priors._latents import require_vectors
from latentsearch.priors.simplex import from_sticks, to_sticks
from latentsearch.spaces import Continuous


@dataclass(frozen=True, eq=False)
class _OfNormals(ABC):
    """A law of log-ratio coordinates that is a bijection of standard normals, made of tensors alone."""

    mean: Tensor

    @property
    def space(self) -> Continuous:
        """Log-ratio coordinates."""
        return Continuous(tuple(self.mean.shape))

    @property
    def settings(self) -> dict[str, Any]:
        """What besides `tensors` it was made with."""
        return {}

    def tensors(self) -> dict[str, Tensor]:
        """What it was made with, by name."""
        return {field.name: getattr(self, field.name) for field in fields(self)}

    def to(self, device: torch.device | str) -> Self:
        """The same prior on another device."""
        return replace(self, **{name: tensor.to(device) for name, tensor in self.tensors().items()})

    def sample(self, noise: Noise) -> Tensor:
        """``(N, *S, K - 1)``."""
        require_noise(f"{type(self).__name__}.noise", noise)
        return self.transform(noise.normal(*self.space.shape, dtype=self.mean.dtype))[0]

    def log_prob(self, z: Tensor) -> Tensor:
        """``(N,)`` in nats, with respect to the coordinates."""
        require_vectors(f"{type(self).__name__}.log_prob", z, self.mean.shape)
        eps, log_det = self.inverse(z)
        return (log_density(eps).flatten(1).sum(1) + log_det).to(z.dtype)

    @abstractmethod
    def transform(self, eps: Tensor) -> tuple[Tensor, Tensor]:
        """Standard normals ``(N, *S, K - 1)`` to coordinates, and the log-determinant ``(N,)``."""

    @abstractmethod
    def inverse(self, z: Tensor) -> tuple[Tensor, Tensor]:
        """Coordinates to standard normals in float64, and the log-determinant ``(N,)`` of this direction."""


@dataclass(frozen=True, eq=False)
class LogisticNormal(_OfNormals):
    """Relaxed codes whose log-ratios are Gaussian, with correlations within a position.

    Latents are log-ratio coordinates: [from_alr][latentsearch.priors.from_alr] gives logarithms of relaxed codes.
    Source: Aitchison and Shen, *Logistic-normal distributions*, 1980.

    Attributes:
        mean: ``(*S, K - 1)`` floating.
        scale_tril: ``(*S, K - 1, K - 1)``, lower triangular with a positive diagonal: the covariance is its
            product with its transpose.

    Raises:
        InvalidArgument: If the two do not fit, or the diagonal is not positive.

    Example:
        >>> import torch
        >>> import latentsearch as ls
        >>> from latentsearch.priors import LogisticNormal, from_alr
        >>> prior = LogisticNormal(torch.zeros(49, 9), torch.eye(9).expand(49, 9, 9))
        >>> from_alr(prior.sample(ls.Noise.from_seed(0, 2))).shape
        torch.Size([2, 49, 10])
    """

    scale_tril: Tensor

    def __post_init__(self) -> None:
        mean = _floating("LogisticNormal.mean", self.mean)
        scale = _floating("LogisticNormal.scale_tril", self.scale_tril)
        shape = (*mean.shape, mean.shape[-1])
        lower = scale.shape == shape and torch.equal(scale, scale.tril())
        if not lower or not bool((scale.diagonal(dim1=-2, dim2=-1) > 0).all()):
            expected = f"lower triangular {shape} with a positive diagonal"
            hint = "torch.linalg.cholesky(covariance)"
            raise InvalidArgument("LogisticNormal.scale_tril", got=describe(scale), expected=expected, hint=hint)

    def transform(self, eps: Tensor) -> tuple[Tensor, Tensor]:
        """Standard normals ``(N, *S, K - 1)`` to coordinates, and the log-determinant ``(N,)``."""
        scale = self.scale_tril.to(eps)
        u = (scale @ eps[..., None])[..., 0] + self.mean.to(eps)
        return u, self._log_scale.to(eps).expand(len(eps))

    def inverse(self, z: Tensor) -> tuple[Tensor, Tensor]:
        """Coordinates to standard normals in float64, and the log-determinant ``(N,)`` of this direction."""
        away = z.double() - self.mean.to(z.device).double()
        scale = self.scale_tril.to(z.device).double()
        eps: Tensor = torch.linalg.solve_triangular(scale, away[..., None], upper=False)[..., 0]
        return eps, -self._log_scale.to(z.device).expand(len(z))

    @property
    def _log_scale(self) -> Tensor:
        return self.scale_tril.diagonal(dim1=-2, dim2=-1).double().log().sum()


@dataclass(frozen=True, eq=False)
class StickBreakingNormal(_OfNormals):
    r"""Relaxed codes broken off a stick, code after code, by Gaussian log-odds.

    $y_k = s_k \prod_{j < k} (1 - s_j)$ with $\mathrm{logit}\, s_k \sim N(m_k, \sigma_k^2)$. In log-ratio coordinates
    the way from the log-odds is unit triangular, so the density is that of the log-odds. The order of the codes
    matters: frequent ones first. Source: Linderman, Johnson and Adams, *Dependent multinomial models made easy*, 2015.

    Attributes:
        mean: ``(*S, K - 1)`` floating, of the log-odds.
        scale: ``(*S, K - 1)``, their standard deviations.

    Raises:
        InvalidArgument: If the two do not fit, or a scale is not positive.

    Example:
        >>> import torch
        >>> import latentsearch as ls
        >>> from latentsearch.priors import StickBreakingNormal
        >>> prior = StickBreakingNormal(torch.zeros(49, 9), torch.ones(49, 9))
        >>> prior.log_prob(prior.sample(ls.Noise.from_seed(0, 2))).shape
        torch.Size([2])
    """

    scale: Tensor

    def __post_init__(self) -> None:
        mean, scale = _floating("StickBreakingNormal.mean", self.mean), self.scale
        if not isinstance(scale, Tensor) or scale.shape != mean.shape or not bool((scale > 0).all()):
            got = describe(scale) if isinstance(scale, Tensor) else type(scale).__name__
            expected = f"positive numbers of shape {tuple(mean.shape)}"
            raise InvalidArgument("StickBreakingNormal.scale", got=got, expected=expected)

    def transform(self, eps: Tensor) -> tuple[Tensor, Tensor]:
        """Standard normals ``(N, *S, K - 1)`` to coordinates, and the log-determinant ``(N,)``."""
        u = from_sticks(eps * self.scale.to(eps) + self.mean.to(eps))
        return u, self.scale.to(eps).log().sum().expand(len(eps))

    def inverse(self, z: Tensor) -> tuple[Tensor, Tensor]:
        """Coordinates to standard normals in float64, and the log-determinant ``(N,)`` of this direction."""
        mean, scale = self.mean.to(z.device).double(), self.scale.to(z.device).double()
        eps = (to_sticks(z.double()) - mean) / scale
        return eps, -scale.log().sum().expand(len(z))


def _floating(what: str, given: object) -> Tensor:
    if not isinstance(given, Tensor) or not given.is_floating_point() or given.ndim < 1:
        got = describe(given) if isinstance(given, Tensor) else type(given).__name__
        raise InvalidArgument(what, got=got, expected="a floating tensor, coordinates of a position last")
    return given
