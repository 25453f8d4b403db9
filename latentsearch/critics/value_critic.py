"""A critic that has learnt what a rule gives what latents decode to."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from latentsearch.critics.critic import Critic
from latentsearch.errors import InvalidArgument
from latentsearch.noise import Noise


class ValueCritic(Critic):
    r"""The logit of $\mathbb{E}_{x \sim p(x \mid z)}\, c(x)$, for a reward c(x) in [0, 1] of decoded outputs.

    The rule and the decoder need no gradient: the critic has one in their place. It learns by cross-entropy from
    latents and the rewards of what they decode to, which may lie anywhere between 0 and 1.

    Source: Engel, Hoffman and Roberts, *Latent constraints* (2018), section 6, <https://arxiv.org/abs/1711.05772>.

    Args:
        space: Of the latents.
        labels: Numbers that a label is; 0 for none.
        width: Hidden units of a layer.
        depth: Hidden layers.

    Example:
        >>> import torch
        >>> import latentsearch as ls
        >>> from latentsearch.critics import ValueCritic
        >>> z = ls.Noise.from_seed(0, 500).normal(4)
        >>> critic = ValueCritic(ls.Continuous((4,)), width=32)
        >>> history = ls.fit(critic, (z, (z[:, 0] > 0).float()), ls.Fit(steps=200, log_every=200))
        >>> critic(torch.tensor([[2.0, 0, 0, 0], [-2.0, 0, 0, 0]])).sigmoid().round()
        tensor([1., 0.], grad_fn=<RoundBackward0>)
    """

    def training_terms(self, latents: Tensor, rewards: Tensor, noise: Noise) -> dict[str, Tensor]:
        """Cross-entropy in nats, of latents ``(N, *S)`` and their rewards ``(N,)``."""
        if not bool(((rewards >= 0) & (rewards <= 1)).all()):
            got = f"rewards from {float(rewards.min()):.3g} to {float(rewards.max()):.3g}"
            raise InvalidArgument("ValueCritic.rewards", got=got, expected="numbers from 0 to 1")
        return {"cross_entropy": F.binary_cross_entropy_with_logits(self(latents), rewards.to(torch.float32))}
