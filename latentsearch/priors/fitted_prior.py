"""A prior with what is known of it since it was fitted: how good it is, and how far the decoder is off."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import cast

import torch
from torch import Tensor, nn

from latentsearch._checks import in_short
from latentsearch.errors import InvalidArgument
from latentsearch.noise import Noise
from latentsearch.priors.fingerprint import Fingerprint
from latentsearch.protocols import ConditionalPrior, Generator, Prior, require_prior
from latentsearch.spaces import LatentSpace


class FittedPrior:
    """A prior that was fitted to a generator's latents.

    Attributes:
        prior: The prior itself.
        residuals: ``(n, *O)``, of some held-out images what their encodings decode to, minus the images; ``(0,)`` where
            it was fitted to latents alone. ``noise="decoder"`` stands for their size.
        figures: What was measured on held-out latents: of codes bits a code, of continuous latents nats a dimension,
            under this prior and under the ones that cost nothing.
        fingerprint: Of the decoder to whose latents it was fitted. With another one it is refused.

    Raises:
        InvalidArgument: If the prior is none, or the residuals are no tensor.
    """

    def __init__(
        self,
        prior: Prior,
        residuals: Tensor,
        figures: Mapping[str, float],
        fingerprint: Fingerprint | None = None,
    ) -> None:
        require_prior("FittedPrior.prior", prior)
        if not isinstance(residuals, Tensor):
            hint = "torch.zeros(0) says that there are none"
            raise InvalidArgument(
                "FittedPrior.residuals", got=in_short(residuals), expected="a tensor (n, *O)", hint=hint
            )
        if not isinstance(figures, Mapping):
            raise InvalidArgument("FittedPrior.figures", got=in_short(figures), expected="numbers by name")
        self.prior, self.residuals, self.figures = prior, residuals, dict(figures)
        self.fingerprint = Fingerprint.unknown() if fingerprint is None else fingerprint

    def __repr__(self) -> str:
        figures = ", ".join(f"{name} {value:.4g}" for name, value in self.figures.items())
        return f"{type(self).__name__}({type(self.prior).__name__} over {self.space}: {figures})"

    @property
    def space(self) -> LatentSpace:
        """What it is a distribution over."""
        return self.prior.space

    @property
    def cost(self) -> float:
        """What a draw costs, or a pass of one that has conditionals, as a share of a decode."""
        return float(getattr(self.prior, "cost", 0.0))

    def sample(self, noise: Noise) -> Tensor:
        """One hard latent per row of ``noise``: ``(N, *S)``."""
        return self.prior.sample(noise)

    def log_prob(self, z: Tensor) -> Tensor:
        """``(N,)`` in nats."""
        return self.prior.log_prob(z)

    def to(self, device: torch.device | str) -> FittedPrior:
        """The same on another device; itself if it is there."""
        if self.residuals.device == torch.device(device):
            return self
        moved = copy.copy(self)
        move = copy.deepcopy(self.prior) if isinstance(self.prior, nn.Module) else self.prior
        moved.prior, moved.residuals = move.to(device), self.residuals.to(device)  # type: ignore[attr-defined]
        moved.fingerprint = self.fingerprint.to(device)
        return moved


class FittedCodes(FittedPrior):
    """One over codes that can propose."""

    @property
    def _conditional(self) -> ConditionalPrior:
        return cast(ConditionalPrior, self.prior)

    def conditionals(self, z: Tensor, known: Tensor) -> Tensor:
        """``(N, *S, K)``: log p(z_p = j | the known codes)."""
        return self._conditional.conditionals(z, known)

    def resample(self, z: Tensor, mask: Tensor, noise: Noise) -> Tensor:
        """``(N, *S)`` with the positions in ``mask`` drawn given the rest."""
        return self._conditional.resample(z, mask, noise)

    def passes(self, mask: Tensor) -> Tensor:
        """``(N,)`` int64: how many passes ``resample`` takes."""
        return self._conditional.passes(mask)


def fitted(
    prior: Prior, residuals: Tensor, figures: Mapping[str, float], fingerprint: Fingerprint | None = None
) -> FittedPrior:
    """A prior with what is known of it.

    Args:
        prior: The prior.
        residuals: ``(n, *O)``, of some images what their encodings decode to, minus the images; ``(0,)`` for none.
        figures: What was measured.
        fingerprint: Of the decoder; None where it is not known.
    """
    kind = FittedCodes if isinstance(prior, ConditionalPrior) else FittedPrior
    return kind(prior, residuals, figures, fingerprint)


def require_fitted_to(what: str, prior: Prior, generator: Generator) -> None:
    """Raise if a prior is known to have been fitted to the latents of another decoder.

    Args:
        what: The argument, for the message.
        prior: Any prior over latents of the generator's space.
        generator: The decoder; a few latents are decoded.
    """
    if isinstance(prior, FittedPrior) and not prior.fingerprint.is_of(generator):
        raise InvalidArgument(
            what,
            got="a prior of another decoder: latents that it was fitted to decode to something else here",
            expected="one that was fitted to this generator's latents",
            hint="ls.fit_prior(generator, images) fits one; prior.prior is this one, without what it was fitted to; "
            "ls.wrap(model, prior=None) leaves out the one that a model carries",
        )
