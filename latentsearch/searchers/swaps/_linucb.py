"""A linear contextual bandit a row: what an arm gives is a linear function of what is known about it.

LinUCB [Li, Chu, Langford and Schapire, *A Contextual-Bandit Approach to Personalized News Article
Recommendation*, WWW 2010, algorithm 1, with the coefficients shared by all arms], with three changes: the ridge
pulls the coefficients to a prior mean in place of 0, old rewards fade, and the width of the interval is in units of
what rewards have been, so that it does not depend on their scale.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass
class LinearBandit:
    """Statistics of the arms pulled, F features an arm.

    Attributes:
        gram: ``(M, F, F)``: Σ x xᵀ.
        moment: ``(M, F)``: Σ x times the reward.
        square: ``(M,)``: Σ of squared rewards.
        weight: ``(M,)``: the number of pulls, old ones fading.
    """

    gram: Tensor
    moment: Tensor
    square: Tensor
    weight: Tensor

    @classmethod
    def unknown(cls, rows: int, features: int, like: Tensor) -> LinearBandit:
        """Before the first pull."""
        none = like.new_zeros(rows)
        return cls(like.new_zeros(rows, features, features), like.new_zeros(rows, features), none, none)

    def update(self, context: Tensor, reward: Tensor, pulled: Tensor, fade: float) -> LinearBandit:
        """After more pulls.

        Args:
            context: ``(M, A, F)``.
            reward: ``(M, A)``.
            pulled: ``(M, A)`` bool; other arms, and values that are not finite, are left out.
            fade: Between 0 and 1, how much what was learnt before counts from now on.
        """
        pulled = pulled & reward.isfinite() & context.isfinite().all(2)
        reward = torch.where(pulled, reward, 0)
        context = torch.where(pulled[..., None], context, 0)
        return LinearBandit(
            fade * self.gram + (context[..., None] * context[..., None, :]).sum(1),
            fade * self.moment + (context * reward[..., None]).sum(1),
            fade * self.square + reward.square().sum(1),
            fade * self.weight + pulled.sum(1),
        )

    def coefficients(self, prior: Tensor) -> tuple[Tensor, Tensor]:
        """``(M, F)``, by ridge regression towards a prior mean ``(F,)``; and their covariance, ``(M, F, F)``."""
        # inv_ex does not look at whether it worked, which would wait for the device; a gram plus 1 can be inverted.
        covariance = torch.linalg.inv_ex(self.gram + torch.eye(len(prior), dtype=prior.dtype, device=prior.device))[0]
        surprise = self.moment - (self.gram * prior).sum(2)
        return prior + (covariance * surprise[:, None]).sum(2), covariance

    def upper_bound(self, context: Tensor, prior: Tensor, exploration: float) -> Tensor:
        """``(M, A)``: the reward that arms of context ``(M, A, F)`` may well give (algorithm 1, line 9)."""
        mean, covariance = self.coefficients(prior)
        variance = ((context[..., None] * covariance[:, None]).sum(2) * context).sum(2).clamp(min=0)
        # Before the first pull a reward is taken to be 1, in the units of the prior.
        usual = ((1 + self.square) / (1 + self.weight)).sqrt()
        return (context * mean[:, None]).sum(2) + exploration * usual[:, None] * variance.sqrt()
