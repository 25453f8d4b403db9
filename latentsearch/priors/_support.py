"""Densities of torch distributions that are 0 beyond the support, where torch raises or gives anything at all."""

from __future__ import annotations

import copy
from typing import Any

import torch
from torch import Tensor
from torch.distributions import Distribution, Independent, MixtureSameFamily, TransformedDistribution, constraints

from latentsearch._rng import set_aside


class Supported:
    """The log-density of a distribution: minus infinity, and of gradient 0, where it has no support.

    Distributions made of others have no check of their own beside that of their parts, whose supports they
    may not know of: the parts are replaced by what this makes of them.

    Args:
        distribution: It stays as it is; a copy is what is asked.

    Attributes:
        event_shape: That of the distribution; others that are made of this one look at it.
    """

    def __init__(self, distribution: Distribution) -> None:
        self.event_shape = distribution.event_shape
        self._density, self._transforms, self._support = without_checks(distribution), [], None
        if isinstance(distribution, Independent):
            self._replace("base_dist", distribution.base_dist)
        elif isinstance(distribution, MixtureSameFamily):
            self._replace("_component_distribution", distribution.component_distribution)
        else:
            self._support = _known_support(distribution)
        # Subclasses such as Gumbel have a density of their own, which is right where the transforms overflow.
        inverts = type(distribution).log_prob is TransformedDistribution.log_prob
        if isinstance(distribution, TransformedDistribution) and inverts:
            self._transforms = distribution.transforms
            self._replace("base_dist", distribution.base_dist)
        with set_aside(), torch.no_grad():
            self._draw = distribution.sample()

    def log_prob(self, z: Tensor) -> Tensor:
        """One value for each event, of which none is NaN."""
        inside = self._contains(z)
        value = self._within(z, inside)
        beside = value.isnan()
        # Where no support is known, NaN is all there is to go by.
        return self._within(z, inside & ~beside) if bool(beside.any()) else value

    def _replace(self, name: str, part: Distribution) -> None:
        setattr(self._density, name, Supported(part))

    def _within(self, z: Tensor, inside: Tensor) -> Tensor:
        """Only what is inside is ever asked for, lest NaN come back through the gradient."""
        whole = inside.view(*inside.shape, *(1,) * len(self.event_shape))
        value: Tensor = self._density.log_prob(torch.where(whole, z, self._draw.to(z)))
        return torch.where(inside, value, -torch.inf)

    def _contains(self, z: Tensor) -> Tensor:
        lead = z.ndim - len(self.event_shape)
        inside = _all(z.isfinite(), lead)
        if self._support is not None:
            inside = inside & _all(_holds(self._support, z), lead)
        for transform in reversed(self._transforms):
            # The support is the range of the last transform, but only what comes of the base can be drawn.
            inside = inside & _all(_holds(transform.codomain, z), lead)
            z = transform.inv(z)
            inside = inside & _all(z.isfinite(), lead)
        return inside


def without_checks(distribution: Distribution) -> Distribution:
    """The same distribution, and those it is made of, that take any argument of the right shape."""
    free = copy.copy(distribution)
    free._validate_args = False
    for name, part in vars(free).items():
        if isinstance(part, Distribution):
            setattr(free, name, without_checks(part))
    return free


def _known_support(distribution: Distribution) -> Any | None:
    """What a distribution says of its support; None where it says nothing that can be checked."""
    try:
        support = distribution.support
        return None if support is None or constraints.is_dependent(support) else support
    except NotImplementedError:
        return None


def _holds(constraint: Any, z: Tensor) -> Tensor:
    """Whether a constraint holds, of numbers or of events."""
    if isinstance(constraint, constraints.independent):
        return _holds(constraint.base_constraint, z)
    if constraint is constraints.simplex:
        # torch allows for 1e-6 whatever the number of parts, which draws of many do not keep to.
        off = (z.sum(-1) - 1).abs()
        return (z >= 0).all(-1) & (off <= 1e-6 + z.shape[-1] * torch.finfo(z.dtype).eps)
    holds: Tensor = constraint.check(z)
    return holds


def _all(holds: Tensor, lead: int) -> Tensor:
    """The first ``lead`` dimensions, with all that is beyond taken together."""
    return holds.flatten(lead).all(-1) if holds.ndim > lead else holds
