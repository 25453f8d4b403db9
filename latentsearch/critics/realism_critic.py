"""A critic that tells latents of data from what a search by it makes of draws of the prior."""

from __future__ import annotations

from typing import get_args

import torch
from torch import Tensor

from latentsearch._checks import require_count, require_one_of, require_positive, require_weight
from latentsearch.critics._adversarial import Divergence, as_data, as_made, gradient_penalty
from latentsearch.critics.critic import Critic
from latentsearch.errors import InvalidArgument
from latentsearch.noise import Noise
from latentsearch.protocols import Prior, require_prior
from latentsearch.spaces import Continuous

_PRIOR, _STEPS, _PENALTY = 1, 2, 3  # streams of noise folded in
_PRIOR_SHARE = 0.1  # of draws of the prior beside what was made of them


class RealismCritic(Critic):
    r"""D(z): a logit that is high where q(z), the encodings of data, has mass, for a search to follow.

    It learns to tell latents of data from draws of the prior and from what gradient steps on D itself make of these:
    $G_{\mathrm{opt}}$, the paper's inner loop. A critic that has only seen draws of the prior is easily fooled by a
    search; one that has seen what a search makes of them is not. A row takes some number of these steps, up to
    ``inner_steps``.

    In a goal it is the critic of [HasAttributes][latentsearch.HasAttributes]: the loss is softplus(-logit), and the
    decoder is not run for it. The likelihood ratio, which is a prior, is
    [NoiseContrastivePrior][latentsearch.priors.NoiseContrastivePrior].

    Source: Engel, Hoffman and Roberts, *Latent constraints* (2018), section 3, equation 2, and section 9.2,
    <https://arxiv.org/abs/1711.05772>: 100 steps of Adam at a rate of 0.1.

    Args:
        prior: p(z), over continuous latents.
        width: Hidden units of a layer.
        depth: Hidden layers.
        inner_steps: The most steps of the inner loop.
        inner_rate: Their learning rate.
        penalty: The weight of the penalty on the critic's gradient.
        divergence: ``"cross-entropy"`` or ``"wasserstein"``.

    Raises:
        InvalidArgument: If a setting is out of range, or the prior is none over continuous latents.

    Example:
        >>> import latentsearch as ls
        >>> from latentsearch.critics import RealismCritic
        >>> from latentsearch.priors import StandardNormal
        >>> z = 0.2 * ls.Noise.from_seed(0, 500).normal(2) + 1
        >>> critic = RealismCritic(StandardNormal((2,)), width=16, inner_steps=5).calibrated(z)
        >>> history = ls.fit(critic, (z,), ls.Fit(steps=20, log_every=20))
        >>> critic(z[:3]).shape
        torch.Size([3])
    """

    def __init__(
        self,
        prior: Prior,
        *,
        width: int = 256,
        depth: int = 3,
        inner_steps: int = 100,
        inner_rate: float = 0.1,
        penalty: float = 10.0,
        divergence: Divergence = "cross-entropy",
    ) -> None:
        require_prior("RealismCritic.prior", prior)
        if not isinstance(prior.space, Continuous):
            hint = "ls.priors.NoiseContrastivePrior is the critic over codes"
            got = f"a prior over {prior.space}"
            raise InvalidArgument("RealismCritic.prior", got=got, expected="one over continuous latents", hint=hint)
        require_count("RealismCritic.inner_steps", inner_steps)
        require_positive("RealismCritic.inner_rate", inner_rate)
        require_weight("RealismCritic.penalty", penalty)
        require_one_of("RealismCritic.divergence", divergence, get_args(Divergence))
        super().__init__(prior.space, width=width, depth=depth)
        self._priors = (prior,)  # not a part of the module: training leaves it as it is
        self.inner_steps, self.inner_rate = inner_steps, inner_rate
        self.penalty, self.divergence = penalty, divergence

    @property
    def prior(self) -> Prior:
        """p(z)."""
        return self._priors[0]

    def training_terms(self, latents: Tensor, noise: Noise) -> dict[str, Tensor]:
        """The terms of equation 2, and the penalty, on latents of data ``(N, *S)``."""
        z = self.prior.sample(noise.fold(_PRIOR).split(len(latents))).to(latents)
        made = self.searched(z, noise)
        few = max(int(_PRIOR_SHARE * len(z)), 1)
        steep = gradient_penalty(self, latents, made, noise.fold(_PENALTY))
        return {
            "data": as_data(self(latents), self.divergence),
            "made": as_made(self(made), self.divergence),
            "prior": _PRIOR_SHARE * as_made(self(z[:few]), self.divergence),
            "penalty": self.penalty * steep,
        }

    def searched(self, z: Tensor, noise: Noise) -> Tensor:
        """``(N, *S)``: what the inner loop makes of latents; each row takes its own number of steps."""
        steps = noise.fold(_STEPS).integers(self.inner_steps, len(z))[0] + 1
        with torch.enable_grad():
            moving = z.detach().clone().requires_grad_()
            adam = torch.optim.Adam([moving], lr=self.inner_rate)
            found = z.detach().clone()
            for step in range(int(steps.max())):
                (moving.grad,) = torch.autograd.grad(as_data(self(moving), self.divergence) * len(z), moving)
                adam.step()
                ends = steps == step + 1
                found[ends] = moving.detach()[ends]
        return found
