"""The latent is as likely under a prior as data are: neither less, nor more."""

from __future__ import annotations

import copy
import math
from numbers import Real

import torch
from torch import Tensor
from typing_extensions import Self

from latentsearch._checks import require_share
from latentsearch.constraints.log_prior import LogPrior
from latentsearch.errors import InvalidArgument, describe
from latentsearch.goal import Constraint, Score
from latentsearch.protocols import Prior, require_prior


class Typical(Constraint):
    r"""The latent is as likely as data are: $-\log p(z)$ lies in a band, and the loss is the squared distance to it.

    In many dimensions draws of a distribution have nearly the same probability, its typical set, and its mode lies far
    from it: the likeliest grid of codes is blank. [LogPrior][latentsearch.LogPrior] pulls to the mode, which is right
    beside a likelihood for a sampler; a search that wants one plausible answer takes this. It is satisfied inside the
    band, where the loss is 0.

    Args:
        prior: Any [Prior][latentsearch.Prior] over the generator's latents.
        band: The least and the largest $-\log p$, in nats a latent; [of][latentsearch.Typical.of] measures it.

    Raises:
        InvalidArgument: If ``prior`` is no Prior, or the band is no pair in order.

    Example:
        >>> import torch
        >>> import latentsearch as ls
        >>> from latentsearch.priors import StandardNormal
        >>> term = ls.Typical(StandardNormal((4,)), band=(4.0, 8.0))
        >>> z = torch.tensor([[0.0] * 4, [1.0] * 4, [3.0] * 4])
        >>> term(z, z).satisfied, [round(loss, 1) for loss in term(z, z).loss.tolist()]
        (tensor([False,  True, False]), [0.1, 0.0, 187.0])
    """

    reads = "latent"

    def __init__(self, prior: Prior, band: tuple[float, float]) -> None:
        require_prior("Typical.prior", prior)
        # No prior of a posterior, so searches are not told of one; but it moves and is looked over as one.
        self._likely = LogPrior(prior)
        ends = band if isinstance(band, (tuple, list)) and len(band) == 2 else (math.nan, math.nan)
        if not all(isinstance(end, Real) for end in ends) or not ends[0] <= ends[1]:
            expected = "two numbers in order, the least and the largest -log p in nats"
            raise InvalidArgument("Typical.band", got=repr(band), expected=expected)
        self.band = (float(ends[0]), float(ends[1]))

    @classmethod
    @torch.no_grad()
    def of(cls, prior: Prior, latents: Tensor, share: float = 0.9) -> Self:
        """The band that a share of some latents lies in, the middle one of them.

        Args:
            prior: The prior.
            latents: ``(N, *S)``, of data that it was not fitted to; a hundred at least, for ends that are not chance.
            share: From 0 to 1.

        Raises:
            InvalidArgument: If the latents are not the prior's, or the share is none.
        """
        prior.space.check("Typical.of.latents", latents)
        require_share("Typical.of.share", share)
        if not len(latents):
            raise InvalidArgument("Typical.of.latents", got=describe(latents), expected="some latents")
        nats = torch.cat([-prior.log_prob(part) for part in latents.split(500)]).double()
        low, high = nats.quantile(torch.tensor([0.5 - share / 2, 0.5 + share / 2], dtype=nats.dtype).to(nats)).tolist()
        return cls(prior, (low, high))

    @property
    def satisfied_at(self) -> float | None:
        return 0.0

    def __call__(self, output: Tensor, latent: Tensor) -> Score:
        nats = self._likely(output, latent).loss
        low, high = self.band
        outside = (nats - high).clamp(min=0) + (low - nats).clamp(min=0)
        return Score(outside.square(), outside == 0)

    def to(self, device: torch.device | str, dtype: torch.dtype | None = None) -> Self:
        """The constraint with its prior on ``device``, if that can move."""
        moved = copy.copy(self)
        moved._likely = self._likely.to(device, dtype)
        return moved

    def validate(self, output: Tensor, latent: Tensor) -> None:
        space, shape = self._likely.prior.space, tuple(latent.shape[1:])
        if shape[: len(space.shape)] != space.shape:
            expected, hint = f"one over the generator's latents, of shape {shape}", "generator.prior is one"
            raise InvalidArgument("Typical.prior", got=f"a prior over {space!r}", expected=expected, hint=hint)
        self._likely.validate(output, latent)
