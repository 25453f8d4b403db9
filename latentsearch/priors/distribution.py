"""Any torch distribution as a prior; flows of zuko are torch distributions too."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.distributions import Categorical, Distribution, Independent

from latentsearch._checks import in_short, require_noise
from latentsearch._rng import seed_all, set_aside
from latentsearch.errors import InvalidArgument
from latentsearch.noise import Noise
from latentsearch.priors._latents import require_vectors
from latentsearch.priors._support import Supported, without_checks
from latentsearch.priors.histogram import HistogramPrior
from latentsearch.spaces import Continuous, LatentSpace

_WHAT = "DistributionPrior.distribution"


class DistributionPrior:
    """A ``torch.distributions`` distribution, one draw of which is one latent.

    Continuous ones of any kind serve, and ``Independent(Categorical(...), n)`` over grids of codes.
    Draws belong to their rows and leave torch's global random state alone: by inversion where the
    distribution has an ``icdf``, else one row at a time, each with a seed made of its key.

    Args:
        distribution: Its ``event_shape`` is S and its ``batch_shape`` is ``()``. It stays on its own
            device, and latents are brought there.

    Attributes:
        space: ``Continuous(S)``, or ``Discrete(S, K)`` for codes.

    Raises:
        InvalidArgument: If it is no distribution, has a batch of its own, or is discrete in another way.

    Example:
        >>> import torch
        >>> import latentsearch as ls
        >>> from latentsearch.priors import DistributionPrior
        >>> from torch.distributions import Independent, Laplace
        >>> prior = DistributionPrior(Independent(Laplace(torch.zeros(20), torch.ones(20)), 1))
        >>> prior.space, prior.sample(ls.Noise.from_seed(0, 3)).shape
        (Continuous(shape=(20,)), torch.Size([3, 20]))
    """

    space: LatentSpace

    def __init__(self, distribution: Distribution) -> None:
        _check_shapes(distribution)
        self.distribution = distribution
        self._codes = _histogram(distribution)
        # Beyond the support the density is 0, which a search may well ask for: no reason to raise.
        self._density = Supported(distribution)
        self._inverse = _inverse(without_checks(distribution))
        with set_aside(), torch.no_grad():
            draw = distribution.sample()
        self._home, self._dtype = draw.device, draw.dtype
        self.space = self._codes.space if self._codes else Continuous(tuple(distribution.event_shape))

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.distribution})"

    def sample(self, noise: Noise) -> Tensor:
        """One hard latent a row of noise: ``(N, *S)``."""
        require_noise("DistributionPrior.noise", noise)
        if self._codes is not None:
            return self._codes.sample(noise)
        with torch.no_grad():
            if self._inverse is None:
                return self._drawn(noise).to(noise.keys.device)
            drawn: Tensor = self._inverse.icdf(noise.uniform(*self.space.shape, dtype=self._dtype).to(self._home))
            return drawn.to(noise.keys.device)

    def log_prob(self, z: Tensor) -> Tensor:
        """``(N,)`` in nats, minus infinity beyond the support; of soft grids, the expectation over their codes."""
        if self._codes is not None:
            return self._codes.log_prob(z)
        require_vectors("DistributionPrior.log_prob", z, self.space.shape)
        value = self._density.log_prob(z.to(self._home, torch.promote_types(z.dtype, self._dtype))).to(z.device)
        rows = z.reshape(len(z), -1) if z.numel() else z.new_zeros(len(z), 1)
        # Flat densities such as Uniform's cut the graph, which a search that follows gradients would take for a fault.
        value = value + 0 * rows.nan_to_num(0, 0, 0).sum(1) if z.requires_grad and not value.requires_grad else value
        return value.masked_fill(rows.isnan().any(1), torch.nan)

    def _drawn(self, noise: Noise) -> Tensor:
        """``(N, *S)``, row by row: a batch would share one stream, and its rows depend on each other's number."""
        rows = []
        with set_aside():
            for key in noise.keys.tolist():
                seed_all(key)
                rows.append(self.distribution.sample())
        empty = torch.empty(0, *self.space.shape, dtype=self._dtype, device=self._home)
        return torch.stack(rows) if rows else empty


def _check_shapes(distribution: Any) -> None:
    if not isinstance(distribution, Distribution):
        raise InvalidArgument(
            _WHAT,
            got=in_short(distribution),
            expected="a torch distribution",
            hint="a class with space, sample(noise) and log_prob(z) is a prior as it is",
        )
    batch, event = tuple(distribution.batch_shape), tuple(distribution.event_shape)
    if batch:
        raise InvalidArgument(
            _WHAT,
            got=f"batch_shape {batch} and event_shape {event}",
            expected="batch_shape (), so that one draw is one latent with one log_prob",
            hint=f"torch.distributions.Independent(distribution, {len(batch)}) makes one of them all",
        )


def _histogram(distribution: Distribution) -> HistogramPrior | None:
    """The codes of a categorical distribution a position; None for continuous distributions."""
    if isinstance(distribution, Independent) and isinstance(distribution.base_dist, Categorical):
        return HistogramPrior(distribution.base_dist.logits)
    if isinstance(distribution, Categorical):
        hint = "Independent(Categorical(logits=logits[None]), 1) is a grid of one code"
        raise InvalidArgument(_WHAT, got="a Categorical of event_shape ()", expected="one over grids (*S)", hint=hint)
    if _is_discrete(distribution):
        raise InvalidArgument(
            _WHAT,
            got=f"a discrete {type(distribution).__name__}",
            expected="a continuous distribution, or Independent(Categorical(logits=...), n) over grids of codes",
        )
    return None


def _is_discrete(distribution: Distribution) -> bool:
    try:
        support = distribution.support
    except NotImplementedError:
        return False
    return bool(getattr(support, "is_discrete", False))


def _inverse(distribution: Distribution) -> Distribution | None:
    """What has the ``icdf`` of each number by itself; None where there is none."""
    elementwise = distribution.base_dist if isinstance(distribution, Independent) else distribution
    if elementwise.event_shape:
        return None
    try:
        elementwise.icdf(torch.tensor(0.5))
    except (NotImplementedError, RuntimeError):
        return None
    return elementwise
