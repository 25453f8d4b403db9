"""Critics, which look at latents alone, and actors, which move latents to where a critic wants them."""

from latentsearch.critics.actor import Actor
from latentsearch.critics.actor_critic import ActorCritic
from latentsearch.critics.attribute_critic import AttributeCritic
from latentsearch.critics.critic import Critic
from latentsearch.critics.realism_critic import RealismCritic
from latentsearch.critics.rewarded import RewardedActor
from latentsearch.critics.value_critic import ValueCritic

__all__ = ["Actor", "ActorCritic", "AttributeCritic", "Critic", "RealismCritic", "RewardedActor", "ValueCritic"]
