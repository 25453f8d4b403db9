"""The latent is likely under a prior."""

from __future__ import annotations

import copy
from typing import ClassVar

import torch
from torch import Tensor, nn
from typing_extensions import Self

from latentsearch.constraints._leave_one_out import PASSES, leave_one_out
from latentsearch.errors import InvalidArgument, Unsupported, describe
from latentsearch.goal import Constraint, Score
from latentsearch.objective import cost_of_pass
from latentsearch.priors import UniformCodes
from latentsearch.protocols import ConditionalPrior, Prior, require_prior


class LogPrior(Constraint):
    r"""The latent is likely: the loss is $-\log p(z)$, up to a constant.

    Searches that swap codes rank them by the conditionals of a [ConditionalPrior][latentsearch.ConditionalPrior] with a
    cost, for two passes a ranking; by the gradient of other priors.

    Args:
        prior: Any [Prior][latentsearch.Prior] over the generator's latents; ``generator.prior`` is one.

    Raises:
        InvalidArgument: If ``prior`` is no Prior; when a search begins, if it is one over other latents.

    Example:
        >>> import torch
        >>> import latentsearch as ls
        >>> from latentsearch.priors import StandardNormal
        >>> goal = ls.LogPrior(StandardNormal((2,)))
        >>> z = torch.tensor([[0.0, 0.0], [3.0, 4.0]])
        >>> goal(z, z).loss.diff()
        tensor([12.5000])
    """

    reads = "latent"
    priors: ClassVar[tuple[str, ...]] = ("prior",)

    def __init__(self, prior: Prior) -> None:
        require_prior("LogPrior.prior", prior)
        self.prior = prior

    def __call__(self, output: Tensor, latent: Tensor) -> Score:
        loss = -self.prior.log_prob(latent)
        return Score(loss)

    @property
    def swap_cost(self) -> float:
        # Codes of a prior that costs nothing are independent: its gradient is its conditionals.
        return PASSES * cost_of_pass(self.prior) if isinstance(self.prior, ConditionalPrior) else 0.0

    def swap_losses(self, latent: Tensor) -> Tensor:
        if not isinstance(self.prior, ConditionalPrior):
            got = type(self.prior).__name__
            raise Unsupported("LogPrior.swap_losses", got=got, expected="a ConditionalPrior")
        return -leave_one_out(self.prior, latent)

    def loss_interval(self, low: Tensor, high: Tensor, allowed: Tensor) -> tuple[Tensor, Tensor]:
        if not isinstance(self.prior, UniformCodes):
            raise Unsupported("LogPrior.loss_interval", got=type(self.prior).__name__, expected="UniformCodes")
        # All grids are as likely as the first.
        grid = torch.zeros(len(allowed), *self.prior.space.shape, dtype=torch.int64, device=allowed.device)
        loss = -self.prior.log_prob(grid)
        return loss, loss

    def to(self, device: torch.device | str, dtype: torch.dtype | None = None) -> Self:
        """The constraint with its prior on ``device``, if that can move; a module of the user's stays where it is."""
        moved = copy.copy(self)
        moved.prior = _moved(self.prior, torch.device(device))
        return moved

    def validate(self, output: Tensor, latent: Tensor) -> None:
        try:
            self.prior.log_prob(latent)
        except Exception as error:
            raise InvalidArgument(
                "LogPrior.prior",
                got=f"a prior that fails on {describe(latent)} with {type(error).__name__}: {error}",
                expected="a prior over the generator's latents",
            ) from error


def _moved(prior: Prior, device: torch.device) -> Prior:
    """The prior on a device; itself if it is there or holds nothing that moves."""
    if isinstance(prior, nn.Module):
        held = (*prior.parameters(), *prior.buffers())
        # Module.to moves in place.
        return prior if all(t.device == device for t in held) else copy.deepcopy(prior).to(device)
    move = getattr(prior, "to", None)
    found: Prior = move(device) if callable(move) else prior
    return found
