"""A prior corrected by a critic that tells data from it.

Source: Aneja et al., *A contrastive learning approach for training variational autoencoder priors* (2021),
<https://arxiv.org/abs/2010.02917>: noise contrastive priors, the critic as a ratio of densities (equation 4), and
resampling from it. The critic of *Latent constraints* (2018), <https://arxiv.org/abs/1711.05772>, is another: it is
trained against an actor too, and is a constraint ([RealismCritic][latentsearch.critics.RealismCritic]).
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from typing_extensions import Self

from latentsearch._checks import require_count, require_noise
from latentsearch._latent_network import LatentNetwork
from latentsearch.noise import Noise
from latentsearch.priors._fixed_blocks import in_blocks
from latentsearch.protocols import Prior, require_prior
from latentsearch.spaces import LatentSpace

_CANDIDATES, _CHOICE = 1, 2  # streams of noise folded in
_AT_ONCE = 2**14  # candidates drawn at a time


class NoiseContrastivePrior(nn.Module):
    r"""$\log p(z) + \operatorname{logit} D(z)$ up to a constant, where D tells encodings from draws of p.

    The best such D is $q(z) / (q(z) + p(z))$, and the sum then is $\log q(z)$. That holds for a critic trained
    on encodings against draws of p alone, as many of each, without a penalty: which is what
    ``training_terms`` does. Where D is nearly sure everywhere the ratio is a guess, so a base that is
    near the data is worth more than a large critic: a [GaussianMixture][latentsearch.priors.GaussianMixture] rather
    than the standard normal.

    Draws are resampled: of several of the base one is chosen in proportion to $D / (1 - D)$. They follow the
    log-density in the limit of many, and lie between it and the base for few.

    Args:
        base: p, any prior. Its own weights stay as they are in training.
        width: Hidden units of a layer.
        depth: Hidden layers.
        draws: Of the base, for each draw of this.

    Attributes:
        space: That of the base.

    Example:
        >>> from functools import partial
        >>> import torch
        >>> import latentsearch as ls
        >>> from latentsearch.priors import NoiseContrastivePrior, StandardNormal
        >>> encodings = ls.Noise.from_seed(0, 500).normal(4) * 0.5
        >>> critic = NoiseContrastivePrior(StandardNormal((4,)), width=32).calibrated(encodings)
        >>> plan = ls.Fit(steps=60, optimizer=partial(torch.optim.Adam, lr=1e-2))
        >>> history = ls.fit(critic, (encodings,), plan)
        >>> bool(critic.sample(ls.Noise.from_seed(1, 200)).std() < 0.6)
        True
    """

    def __init__(self, base: Prior, *, width: int = 256, depth: int = 3, draws: int = 64) -> None:
        super().__init__()
        require_prior("NoiseContrastivePrior.base", base)
        for name, value in (("width", width), ("depth", depth), ("draws", draws)):
            require_count(f"NoiseContrastivePrior.{name}", value)
        self.base, self.draws = base, draws
        self.settings = {"width": width, "depth": depth, "draws": draws}
        self.network = LatentNetwork(base.space, 1, width=width, depth=depth, activation=nn.SiLU)
        for parameter in self.network.last.parameters():
            nn.init.zeros_(parameter)

    @property
    def space(self) -> LatentSpace:
        return self.base.space

    def calibrated(self, latents: Tensor) -> Self:
        """The critic itself, which from now on looks at continuous latents made white as ``latents (T, *S)`` are."""
        self.network.calibrated(latents)
        return self

    def logit(self, z: Tensor) -> Tensor:
        """``(N,)``: how much more likely latents, hard or soft, are under q than under p, in nats up to a constant."""
        logits: Tensor = self.network(z)[:, 0]
        return logits.to(z.device)

    def log_prob(self, z: Tensor) -> Tensor:
        """``(N,)`` in nats, up to a constant."""
        return self.base.log_prob(z) + self.logit(z)

    @torch.no_grad()
    def sample(self, noise: Noise) -> Tensor:
        """``(N, *S)``, each resampled from ``draws`` of the base."""
        require_noise("NoiseContrastivePrior.noise", noise)
        rows = max(1, _AT_ONCE // self.draws)
        parts = [self._resampled(Noise(keys)) for keys in noise.keys.split(rows)]
        return torch.cat(parts)

    def training_terms(self, latents: Tensor, noise: Noise) -> dict[str, Tensor]:
        """Cross-entropies in nats, of the data and of as many draws of the base."""
        with torch.no_grad():
            drawn = self.base.sample(noise.fold(_CANDIDATES).split(len(latents))).to(latents.device)
        return {"data": F.softplus(-self.logit(latents)).mean(), "base": F.softplus(self.logit(drawn)).mean()}

    def _resampled(self, noise: Noise) -> Tensor:
        candidates = self.base.sample(noise.fold(_CANDIDATES).split(self.draws))
        logits = in_blocks(self.logit, candidates).view(len(noise), self.draws)
        choice = noise.fold(_CHOICE).categorical(logits)
        several = candidates.view(len(noise), self.draws, *candidates.shape[1:])
        return several[torch.arange(len(noise), device=choice.device), choice]
