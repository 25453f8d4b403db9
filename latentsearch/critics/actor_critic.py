"""A critic and an actor that learn against each other what data look like."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, get_args

import torch
from torch import Tensor

from latentsearch._checks import require_one_of, require_weight
from latentsearch.critics._adversarial import Divergence, as_data, as_made, gradient_penalty
from latentsearch.critics._distance import Metric
from latentsearch.critics._pair import Pair
from latentsearch.critics.actor import Actor
from latentsearch.critics.attribute_critic import AttributeCritic
from latentsearch.critics.critic import Critic
from latentsearch.errors import InvalidArgument
from latentsearch.noise import Noise
from latentsearch.protocols import Prior
from latentsearch.spaces import LatentSpace

_PRIOR, _ORDER, _PENALTY = 1, 2, 3  # streams of noise folded in
_PRIOR_SHARE = 0.1  # of draws of the prior beside what the actor makes of them

Terms = dict[str, Tensor]


class ActorCritic(Pair):
    r"""An actor that makes data of draws of the prior, and the critic that tells them from encodings of data.

    The critic learns to tell latents of data, $z \sim q(z \mid x)$, from what the actor makes of draws of the prior
    and, a tenth of these, from the draws themselves (equation 2). The actor learns to be taken for data, at little
    distance from where it started (equation 3), $\lambda \log(1 + (z' - z)^2) / \bar\sigma^2$, a mean over dimensions.
    With labels both see them, and the actor is asked for those of other data of the batch. Beyond the paper an
    [AttributeCritic][latentsearch.critics.AttributeCritic] that has learnt the labels before may say, too, whether a
    latent has them.

    The loss is a cross-entropy of logits; or, with ``divergence="wasserstein"``, the difference of their means. Either
    has the penalty on the critic's gradient between data and what was made.

    Training takes turns: the paper takes ten steps of the critic to one of the actor,
    [fit_actor][latentsearch.fit_actor] one by default.

    Source: Engel, Hoffman and Roberts, *Latent constraints* (2018), sections 3, 4 and 9.2,
    <https://arxiv.org/abs/1711.05772>. As printed, what the critic pays for taking made latents for data is unbounded
    below; softplus(logit) is what a cross-entropy has there.

    Args:
        actor: G.
        critic: D, over the same latents, with as many labels.
        prior: p(z), of which the actor's inputs are draws.
        spread: $\bar\sigma$, ``(*S)``, or a number: the mean standard deviation of q(z|x).
        distance: $\lambda$.
        metric: ``"log"``, or ``"l2"`` for $(z' - z)^2$ in the place of the logarithm: moves are shorter.
        attributes: A trained critic of the labels, whose cross-entropy the actor pays as well; None for none.
        realism: The weight of what the actor pays to the critic that it learns against.
        penalty: The weight of the gradient penalty.
        divergence: ``"cross-entropy"`` or ``"wasserstein"``.

    Raises:
        InvalidArgument: If actor, critic and prior are over other latents, or have other labels.

    Example:
        >>> import torch
        >>> import latentsearch as ls
        >>> from latentsearch.critics import Actor, ActorCritic, Critic
        >>> from latentsearch.priors import StandardNormal
        >>> space, z = ls.Continuous((2,)), 0.2 * ls.Noise.from_seed(0, 500).normal(2) + 1
        >>> pair = ActorCritic(Actor(space, width=16), Critic(space, width=16), StandardNormal((2,)), spread=0.1)
        >>> turns = {
        ...     "critic": ls.training.Group(lambda pair: pair.critic.parameters(), steps=10),
        ...     "actor": ls.training.Group(lambda pair: pair.actor.parameters()),
        ... }
        >>> history = ls.fit(pair, (z,), ls.Fit(22, optimizer=turns, schedule=None))
        >>> pair.actor(torch.zeros(3, 2)).shape
        torch.Size([3, 2])
    """

    def __init__(
        self,
        actor: Actor,
        critic: Critic,
        prior: Prior,
        *,
        spread: Tensor | float,
        distance: float = 0.1,
        metric: Metric = "log",
        attributes: AttributeCritic | None = None,
        realism: float = 1.0,
        penalty: float = 10.0,
        divergence: Divergence = "cross-entropy",
    ) -> None:
        super().__init__(actor, critic, prior, spread, distance, metric)
        if actor.labels != critic.labels:
            got = f"an actor with {actor.labels} labels and a critic with {critic.labels}"
            raise InvalidArgument("ActorCritic", got=got, expected="as many for both")
        require_attributes("ActorCritic.attributes", attributes, actor.space, actor.labels)
        require_one_of("ActorCritic.divergence", divergence, get_args(Divergence))
        for name, value in (("realism", realism), ("penalty", penalty)):
            require_weight(f"ActorCritic.{name}", value)
        self.attributes, self.realism, self.penalty, self.divergence = attributes, realism, penalty, divergence

    def training_terms(self, latents: Tensor, *labels_and_noise: Any) -> dict[str, Callable[[], Terms]]:
        """Terms of ``"critic"`` and ``"actor"``, on latents of data ``(N, *S)``, labels ``(N, L)`` if any, noise."""
        *labels, noise = labels_and_noise
        own = labels[0] if labels else None
        return {
            "critic": lambda: self._terms_of_critic(latents, own, noise),
            "actor": lambda: self._terms_of_actor(latents, own, noise),
        }

    def _terms_of_critic(self, latents: Tensor, labels: Tensor | None, noise: Noise) -> Terms:
        z, wanted = self._asked(latents, labels, noise)
        with torch.no_grad():
            made = self.actor(z, wanted)
        few = max(int(_PRIOR_SHARE * len(z)), 1)
        of_prior = self.critic(z[:few], None if wanted is None else wanted[:few])
        terms = {
            "data": as_data(self.critic(latents, labels), self.divergence),
            "made": as_made(self.critic(made, wanted), self.divergence),
            "prior": _PRIOR_SHARE * as_made(of_prior, self.divergence),
        }
        if self.penalty:
            steep = gradient_penalty(lambda rows: self.critic(rows, labels), latents, made, noise.fold(_PENALTY))
            terms["penalty"] = self.penalty * steep
        return terms

    def _terms_of_actor(self, latents: Tensor, labels: Tensor | None, noise: Noise) -> Terms:
        z, wanted = self._asked(latents, labels, noise)
        made = self.actor(z, wanted)
        terms = {
            "critic": self.realism * as_data(self.critic(made, wanted), self.divergence),
            "distance": self.away(z, made),
        }
        if self.attributes is not None and wanted is not None:
            terms["attributes"] = self.attributes.cross_entropy(self.attributes(made), wanted).mean()
        return terms

    def _asked(self, latents: Tensor, labels: Tensor | None, noise: Noise) -> tuple[Tensor, Tensor | None]:
        """Draws of the prior, and what is asked of each: the labels of other data."""
        z = self.prior.sample(noise.fold(_PRIOR).split(len(latents))).to(latents)
        if labels is None:
            return z, None
        order = noise.fold(_ORDER).uniform(len(latents))[0].argsort()
        return z, labels[order]


def require_attributes(what: str, critic: AttributeCritic | None, space: LatentSpace, labels: int) -> None:
    """Refuse a critic of other labels, or over other latents, than an actor has."""
    expected = f"an AttributeCritic of {labels} labels over {space}, as the actor has"
    if critic is not None and not labels:
        raise InvalidArgument(what, got="a critic of attributes, and no labels", expected="both or neither")
    if critic is not None and not isinstance(critic, AttributeCritic):
        raise InvalidArgument(what, got=f"a {type(critic).__name__}", expected=expected)
    if critic is not None and (critic.space, critic.outputs) != (space, labels):
        raise InvalidArgument(what, got=f"one of {critic.outputs} labels over {critic.space}", expected=expected)
