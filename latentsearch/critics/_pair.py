"""What an actor and the critic that it follows have in common, whoever that is."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from latentsearch._checks import in_short, is_number, require_one_of, require_weight
from latentsearch.critics._distance import Metric, distance_penalty
from latentsearch.critics.actor import Actor
from latentsearch.critics.critic import Critic
from latentsearch.errors import InvalidArgument, describe
from latentsearch.protocols import Prior, require_prior
from latentsearch.spaces import LatentSpace


class Pair(nn.Module):
    """An actor, a critic over the same latents, and the prior whose draws the actor moves.

    Args:
        actor: G.
        critic: D.
        prior: p(z).
        spread: The unit of distance, ``(*S)`` or a number.
        distance: The weight of the distance penalty.
        metric: Of distances.
    """

    spread: Tensor

    def __init__(
        self, actor: Actor, critic: Critic, prior: Prior, spread: Tensor | float, distance: float, metric: Metric
    ) -> None:
        super().__init__()
        name = type(self).__name__
        for part, given, kind in (("actor", actor, Actor), ("critic", critic, Critic)):
            if not isinstance(given, kind):
                raise InvalidArgument(f"{name}.{part}", got=in_short(given), expected=f"a critics.{kind.__name__}")
        require_prior(f"{name}.prior", prior)
        if not actor.space == critic.space == prior.space:
            got = f"an actor over {actor.space}, a critic over {critic.space} and a prior over {prior.space}"
            raise InvalidArgument(name, got=got, expected="one space for all")
        require_one_of(f"{name}.metric", metric, ("log", "l2"))
        require_weight(f"{name}.distance", distance)
        self.actor, self.critic, self.distance, self.metric = actor, critic, distance, metric
        # Not a part of the module: training neither moves the prior, nor averages it, nor changes its mode.
        self._priors = (prior,)
        self.register_buffer("spread", checked_spread(f"{name}.spread", spread, actor.space))

    @property
    def prior(self) -> Prior:
        """p(z)."""
        return self._priors[0]

    def away(self, before: Tensor, after: Tensor) -> Tensor:
        """What the actor pays for its moves."""
        return self.distance * distance_penalty(before, after, self.spread, self.metric)


def checked_spread(what: str, spread: Tensor | float, space: LatentSpace) -> Tensor:
    """``(*S)``: positive numbers, of their own memory."""
    expected = f"a positive number, or {space.shape} of these"
    if not isinstance(spread, Tensor) and not is_number(spread):
        raise InvalidArgument(what, got=in_short(spread), expected=expected)
    scale = torch.as_tensor(spread, dtype=torch.float32).detach()
    if tuple(scale.shape) not in ((), space.shape) or not scale.numel():
        raise InvalidArgument(what, got=describe(scale), expected=expected)
    if not bool((scale > 0).all()) or not bool(scale.isfinite().all()):
        raise InvalidArgument(what, got=f"{describe(scale)}, from {float(scale.min()):g}", expected=expected)
    return scale.expand(space.shape).clone()
