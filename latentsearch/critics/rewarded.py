"""An actor that moves latents to where a rule rewards what they decode to, and the critic that has learnt the rule."""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from latentsearch._rows import per_row
from latentsearch.critics._adversarial import as_data
from latentsearch.critics._pair import Pair
from latentsearch.critics.actor import Actor
from latentsearch.critics.value_critic import ValueCritic
from latentsearch.errors import InvalidArgument
from latentsearch.noise import Noise
from latentsearch.protocols import Prior

_PRIOR = 1  # the stream of noise that draws of the prior take

Terms = dict[str, Tensor]


class RewardedActor(Pair):
    r"""An actor and the value critic that it follows; they work together.

    The critic learns the rewards of latents by cross-entropy. The actor learns to be rewarded by the critic, softplus
    of minus its logit, at little distance from where it started: $\lambda \log(1 + (z' - z)^2) / \bar\sigma^2$, a mean
    over dimensions. Beyond the paper, latents are to be no less likely than the draws that they are made of,
    $\max(0, \log p(z) - \log p(z'))$: no critic of rewards says where data end, and an actor that nothing holds leaves
    them. [fit_actor_by_rule][latentsearch.fit_actor_by_rule] trains both, and scores what the actor makes.

    Source: Engel, Hoffman and Roberts, *Latent constraints* (2018), section 6, <https://arxiv.org/abs/1711.05772>.

    Args:
        actor: G, without labels.
        critic: D, over the same latents.
        prior: p(z), of which the actor's inputs are draws.
        spread: $\bar\sigma$, ``(*S)``, or a number: the mean standard deviation of q(z|x).
        distance: $\lambda$.

    Raises:
        InvalidArgument: If actor, critic and prior are over other latents, or there are labels.

    Example:
        >>> import latentsearch as ls
        >>> from latentsearch.critics import Actor, RewardedActor, ValueCritic
        >>> from latentsearch.priors import StandardNormal
        >>> space = ls.Continuous((2,))
        >>> pair = RewardedActor(Actor(space, width=8), ValueCritic(space, width=8), StandardNormal((2,)), spread=1.0)
        >>> z = ls.Noise.from_seed(0, 4).normal(2)
        >>> sorted(pair.training_terms(z, (z[:, 0] > 0).float(), ls.Noise.from_seed(1)))
        ['actor', 'critic']
    """

    critic: ValueCritic

    def __init__(
        self, actor: Actor, critic: ValueCritic, prior: Prior, *, spread: Tensor | float, distance: float = 0.1
    ) -> None:
        super().__init__(actor, critic, prior, spread, distance, "log")
        if actor.labels or critic.labels:
            got = f"an actor with {actor.labels} and a critic with {critic.labels}"
            raise InvalidArgument("RewardedActor", got=got, expected="none with labels")

    def training_terms(self, latents: Tensor, rewards: Tensor, noise: Noise) -> dict[str, Callable[[], Terms]]:
        """The terms of ``"critic"`` and ``"actor"``, on latents ``(N, *S)`` and their rewards ``(N,)``."""
        return {
            "critic": lambda: self.critic.training_terms(latents, rewards, noise),
            "actor": lambda: self._terms_of_actor(len(latents), latents, noise),
        }

    def _terms_of_actor(self, rows: int, like: Tensor, noise: Noise) -> Terms:
        z = self.prior.sample(noise.fold(_PRIOR).split(rows)).to(like)
        made = self.actor(z)
        return {
            "critic": as_data(self.critic(made), "cross-entropy"),
            "distance": self.away(z, made),
            "unlikely": self._less_likely(z, made),
        }

    def _less_likely(self, z: Tensor, made: Tensor) -> Tensor:
        """The mean of max(0, log p(z) - log p(z')); where p(z') is 0, and has no slope, nothing is paid."""
        with torch.no_grad():
            possible = per_row(self.prior.log_prob(made).isfinite(), made)
        moved = torch.where(possible, made, z)
        return F.relu(self.prior.log_prob(z) - self.prior.log_prob(moved)).mean()
