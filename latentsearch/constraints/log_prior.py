"""The wish to be likely under a prior."""

from __future__ import annotations

from torch import Tensor

from latentsearch.algebra import Constraint, Score, nothing_satisfied
from latentsearch.errors import InvalidArgument, describe
from latentsearch.protocols import Prior


class LogPrior(Constraint):
    r"""The latent is likely: the loss is $-\log p(z)$, up to a constant.

    Args:
        prior: Any [Prior][latentsearch.Prior]; ``generator.prior`` is one.

    Raises:
        InvalidArgument: If ``prior`` is no Prior.

    Example:
        >>> import torch
        >>> import latentsearch as ls
        >>> from latentsearch.priors import StandardNormal
        >>> goal = ls.LogPrior(StandardNormal((2,)))
        >>> z = torch.tensor([[0.0, 0.0], [3.0, 4.0]])
        >>> goal(z, z).loss.diff()
        tensor([12.5000])
    """

    needs_output = False
    needs_latent = True

    def __init__(self, prior: Prior) -> None:
        if not isinstance(prior, Prior):
            raise InvalidArgument(
                "LogPrior.prior", got=type(prior).__name__, expected="an object with sample and log_prob"
            )
        self.prior = prior

    def __call__(self, output: Tensor, latent: Tensor) -> Score:
        loss = -self.prior.log_prob(latent)
        return Score(loss, nothing_satisfied(loss))

    def validate(self, output: Tensor, latent: Tensor) -> None:
        try:
            self.prior.log_prob(latent)
        except Exception as error:
            raise InvalidArgument(
                "LogPrior.prior",
                got=f"a prior that fails on {describe(latent)} with {type(error).__name__}: {error}",
                expected="a prior over the generator's latents",
            ) from error
