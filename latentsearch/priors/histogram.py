"""One categorical distribution a position: the simplest prior that is learnt."""

from __future__ import annotations

import copy
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from latentsearch._checks import in_short, require_count, require_noise, require_weight
from latentsearch.errors import InvalidArgument, describe
from latentsearch.noise import Noise
from latentsearch.priors._known import where_known
from latentsearch.priors._latents import require_grids
from latentsearch.spaces import Discrete


@dataclass(frozen=True, eq=False)
class HistogramPrior:
    """Codes are independent, and each position has frequencies of its own.

    What a position says of another is nothing, so this is a
    [ConditionalPrior][latentsearch.ConditionalPrior] that costs nothing: the baseline for learnt ones.

    Attributes:
        logits: ``(*S, K)`` floating, log-frequencies up to a constant a position; minus infinity
            for codes that never occur.

    Raises:
        InvalidArgument: If the logits are no such tensor, or a position has no code that occurs.

    Example:
        >>> import torch
        >>> from latentsearch.priors import HistogramPrior
        >>> prior = HistogramPrior.from_codes(torch.tensor([[0, 2], [0, 1]]), codebook_size=3, smoothing=0.0)
        >>> prior.log_prob(torch.tensor([[0, 2], [0, 1], [1, 1]])).exp()
        tensor([0.5000, 0.5000, 0.0000])
    """

    logits: Tensor
    cost: ClassVar[float] = 0.0

    def __post_init__(self) -> None:
        logits = self.logits
        if not isinstance(logits, Tensor) or not logits.is_floating_point() or logits.ndim < 2:
            got = describe(logits) if isinstance(logits, Tensor) else type(logits).__name__
            hint = "for one code a latent write logits[None]"
            raise InvalidArgument("HistogramPrior.logits", got=got, expected="floating logits (*S, K)", hint=hint)
        if bool(logits.isnan().any() | (logits == torch.inf).any() | (logits == -torch.inf).all(-1).any()):
            raise InvalidArgument(
                "HistogramPrior.logits",
                got="NaN, plus infinity, or a position at which no code ever occurs",
                expected="at least one finite logit a position",
            )
        precise = logits.detach().to(torch.promote_types(logits.dtype, torch.float32))
        object.__setattr__(self, "logits", precise.log_softmax(-1))

    @classmethod
    def from_codes(cls, codes: Tensor, codebook_size: int, *, smoothing: float = 0.5) -> HistogramPrior:
        """Count codes.

        Args:
            codes: ``(N, *S)`` int64, of training images, say.
            codebook_size: K.
            smoothing: Added to every count, so that no code is impossible.

        Raises:
            InvalidArgument: If these are no codes of such a codebook, or there are none.
        """
        require_count("HistogramPrior.codebook_size", codebook_size)
        require_weight("HistogramPrior.smoothing", smoothing)
        if not isinstance(codes, Tensor) or codes.ndim < 2 or not len(codes):
            expected = "at least one row of codes, int64 (N, *S)"
            raise InvalidArgument("HistogramPrior.codes", got=in_short(codes), expected=expected)
        space = Discrete(tuple(codes.shape[1:]), codebook_size)
        space.check("HistogramPrior.codes", codes)
        flat = codes.flatten(1).T
        counts = torch.zeros(len(flat), codebook_size, dtype=torch.float32, device=codes.device)
        counts.scatter_add_(1, flat, torch.ones_like(flat, dtype=counts.dtype))
        return cls((counts + smoothing).log().view(*space.shape, codebook_size))

    @property
    def space(self) -> Discrete:
        """The grids."""
        return Discrete(tuple(self.logits.shape[:-1]), self.logits.shape[-1])

    def to(self, device: torch.device | str) -> HistogramPrior:
        """The same prior on another device."""
        moved = copy.copy(self)
        object.__setattr__(moved, "logits", self.logits.to(device))
        return moved

    def sample(self, noise: Noise) -> Tensor:
        """``(N, *S)`` int64."""
        require_noise("HistogramPrior.noise", noise)
        logits = self.logits.to(noise.keys.device)
        return noise.categorical(logits.expand(len(noise), *logits.shape))

    def log_prob(self, z: Tensor) -> Tensor:
        """``(N,)`` in nats; of a soft grid, its expectation."""
        require_grids("HistogramPrior.log_prob", z, self.space)
        logits = self.logits.to(z.device).flatten(0, -2)
        if not self.space.is_soft(z):
            return self._of_codes(logits.expand(len(z), *logits.shape), z)
        soft = z.flatten(1, -2)
        # A code of no weight counts for nothing, however unlikely.
        return (
            (soft * torch.where(soft == 0, logits.clamp(min=torch.finfo(logits.dtype).min), logits)).flatten(1).sum(1)
        )

    def _of_codes(self, logits: Tensor, z: Tensor) -> Tensor:
        try:
            return logits.gather(-1, z.flatten(1)[..., None]).flatten(1).sum(1)
        except RuntimeError:
            # Where gather looks at the codes it says so itself, in the words of another library.
            self.space.check("HistogramPrior.log_prob", z)
            raise

    def conditionals(self, z: Tensor, known: Tensor) -> Tensor:
        """``(N, *S, K)``, whatever the others are."""
        return where_known(z, known, self.logits)

    def causal_logits(self, z: Tensor) -> Tensor:
        """``(N, *S, K)``, whatever comes before."""
        logits = self.logits.to(z.device)
        return logits.expand(len(z), *logits.shape)

    def passes(self, mask: Tensor) -> Tensor:
        """``(N,)`` zeros: there is no network."""
        return torch.zeros(len(mask), dtype=torch.int64, device=mask.device)

    def resample(self, z: Tensor, mask: Tensor, noise: Noise) -> Tensor:
        """``(N, *S)``, with new codes where ``mask`` says."""
        return torch.where(mask, self.sample(noise), z)
