"""The Gumbel-softmax distribution on the simplex, in logarithms."""

from __future__ import annotations

import math
from typing import Any, ClassVar

import torch
from torch import Tensor
from torch.distributions import Distribution, constraints

from latentsearch._checks import in_short, require_positive
from latentsearch.errors import InvalidArgument, describe
from latentsearch.noise import Noise


class _Simplex(constraints.Constraint):
    """Points that sum to 1 as nearly as their dtype can; torch's own refuses draws in half precision."""

    event_dim = 1

    def check(self, value: Tensor) -> Tensor:
        slack = max(1e-6, torch.finfo(value.dtype).eps * value.shape[-1])
        return (value >= 0).all(-1) & ((value.sum(-1, dtype=torch.float64) - 1).abs() < slack)


class GumbelSoftmaxDistribution(Distribution):
    r"""The distribution of $\mathrm{softmax}((\mathrm{logits} + \gamma)/\tau)$, with its density on the simplex.

    $$\log p(y) = \log\Gamma(K) + (K-1)\log\tau - K\,\mathrm{logsumexp}_j(l_j - \tau\log y_j)
    + \sum_j \bigl(l_j - (\tau + 1)\log y_j\bigr)$$

    with respect to the first K - 1 coordinates. Draws at low temperatures lie so near a corner that
    the other coordinates are 0 in floating point: there a draw is known by its logarithm, which
    ``rsample_log`` and ``log_prob_log`` take, and which are exact at any temperature.

    Source: Maddison, Mnih and Teh, *The concrete distribution* (2017), definition 1; Jang, Gu and Poole
    (2017), appendix B.

    Args:
        logits: ``(*B, K)``, unnormalised log-probabilities.
        temperature: $\tau > 0$, a number, or a scalar tensor, which gets its gradient.

    Example:
        >>> import torch
        >>> import latentsearch as ls
        >>> from latentsearch.relaxations import GumbelSoftmaxDistribution
        >>> gumbel = GumbelSoftmaxDistribution(torch.zeros(2, 3), temperature=0.1)
        >>> log_y = gumbel.rsample_log(ls.Noise.from_seed(0, 1))
        >>> log_y.shape, bool(gumbel.log_prob_log(log_y).isfinite().all())
        (torch.Size([1, 2, 3]), True)
    """

    arg_constraints: ClassVar[dict[str, Any]] = {"logits": constraints.real_vector}
    support = _Simplex()
    has_rsample = True

    def __init__(self, logits: Tensor, temperature: float | Tensor = 1.0, *, validate_args: bool | None = None) -> None:
        if not isinstance(logits, Tensor) or not logits.is_floating_point():
            expected = "floating logits (*B, K)"
            raise InvalidArgument("GumbelSoftmaxDistribution.logits", got=in_short(logits), expected=expected)
        number = temperature
        if isinstance(temperature, Tensor):
            if temperature.ndim:
                got, expected = describe(temperature), "a number, or a tensor without dimensions"
                raise InvalidArgument("GumbelSoftmaxDistribution.temperature", got=got, expected=expected)
            number = float(temperature.detach())
        require_positive("GumbelSoftmaxDistribution.temperature", number)
        self.logits, self.temperature = logits.log_softmax(-1), temperature
        super().__init__(logits.shape[:-1], logits.shape[-1:], validate_args=validate_args)

    def expand(self, batch_shape: Any, _instance: Any = None) -> GumbelSoftmaxDistribution:
        """The same distribution with a larger ``B``, as torch's distributions have it."""
        logits = self.logits.expand(*batch_shape, self.logits.shape[-1])
        return type(self)(logits, self.temperature, validate_args=self._validate_args)

    @property
    def mode_code(self) -> Tensor:
        """``(*B,)`` int64: the likeliest corner."""
        return self.logits.argmax(-1)

    def rsample_log(self, noise: Noise) -> Tensor:
        """``(N, *B, K)``: logarithms of one draw for each row of noise, differentiable in the logits."""
        moved = noise.perturbed(self.logits.expand(len(noise), *self.logits.shape))
        return (moved / self.temperature).log_softmax(-1)

    def rsample(self, sample_shape: Any = torch.Size(), noise: Noise | None = None) -> Tensor:  # noqa: B008 - as torch has it
        """``(*sample_shape, *B, K)`` draws; from fresh entropy without ``noise``, of which one row is taken."""
        count = math.prod(sample_shape)
        source = Noise.from_seed(None, device=self.logits.device) if noise is None else noise
        if len(source) != 1:
            expected = "one row, of which all draws are split"
            raise InvalidArgument("GumbelSoftmaxDistribution.noise", got=f"{len(source)} rows", expected=expected)
        source = source.split(count)
        return self.rsample_log(source).exp().view(*sample_shape, *self.logits.shape)

    def log_prob(self, value: Tensor) -> Tensor:
        """The log-density of points of the simplex ``(..., *B, K)``, as ``(..., *B)``."""
        if self._validate_args:
            self._validate_sample(value)
        return self.log_prob_log(value.clamp(min=torch.finfo(value.dtype).tiny).log())

    def log_prob_log(self, log_y: Tensor) -> Tensor:
        """The log-density, with respect to y, at logarithms of points of the simplex ``(..., *B, K)``."""
        count = log_y.shape[-1]
        score = self.logits - self.temperature * log_y
        tau = torch.as_tensor(self.temperature, dtype=log_y.dtype, device=log_y.device)
        scale = math.lgamma(count) + (count - 1) * tau.log()
        return scale - count * score.logsumexp(-1) + (score - log_y).sum(-1)
