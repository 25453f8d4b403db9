"""Priors whose draws are made of standard normals, one to one."""

from __future__ import annotations

from torch import Tensor

from latentsearch.errors import Unsupported
from latentsearch.priors import FittedPrior, StandardNormal
from latentsearch.protocols import NormalBase, Prior


def normal_base(what: str, prior: Prior) -> NormalBase:
    """The prior as a function of standard normals.

    Raises:
        Unsupported: If it is none.
    """
    if isinstance(prior, StandardNormal):
        return _Itself(prior)
    if isinstance(prior, NormalBase):
        return prior
    inner = isinstance(prior, FittedPrior) and isinstance(prior.prior, (StandardNormal, NormalBase))
    raise Unsupported(
        what,
        got=f"the prior {type(prior).__name__}",
        expected="a StandardNormal, or one with decode(base) and encode(latents), as a flow has",
        hint="prior.prior is one: ls.LogPrior(prior.prior)" if inner else "ImportanceResampling takes any prior",
    )


class _Itself:
    """A standard normal prior, whose draws are what they are made of."""

    def __init__(self, prior: StandardNormal) -> None:
        self.space, self.sample, self.log_prob = prior.space, prior.sample, prior.log_prob

    def decode(self, base: Tensor) -> Tensor:
        return base

    def encode(self, latents: Tensor) -> Tensor:
        return latents
