"""One line from a generator and a rule to an actor whose samples keep it."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

import torch
from torch import Tensor

from latentsearch._checks import require_count, require_flag, require_seed, require_weight
from latentsearch._context import in_own_context
from latentsearch.critics import Actor, RewardedActor, ValueCritic
from latentsearch.critics._pair import checked_spread
from latentsearch.errors import Unsupported
from latentsearch.fitting._given import warn_if_interrupted
from latentsearch.fitting._rewards import Rewards, Rule
from latentsearch.noise import Noise
from latentsearch.protocols import Generator, Prior, require_generator
from latentsearch.result import Status
from latentsearch.spaces import Continuous
from latentsearch.training import Fit, Group, fit, initialised

_PRIOR_SHARE = 0.1  # of draws of the prior among what is scored anew
_ROUND_SHARE = 8  # a round scores so many times fewer latents than are scored at first
_RECENT = 8  # rounds whose latents are learnt from
_BATCH = 256
_CHECKED = 3  # draws that the rule is tried on
_CRITIC = partial(torch.optim.AdamW, lr=1e-3, weight_decay=0.1)
_ACTOR = partial(torch.optim.Adam, lr=1e-3)
_FIRST, _ROUND, _FRESH, _CHOICE = 1, 2, 3, 4  # streams of noise folded in


@in_own_context
def fit_actor_by_rule(
    generator: Generator,
    rule: Rule,
    *,
    distance: float = 0.5,
    spread: Tensor | float = 1.0,
    rounds: int = 20,
    draws: int = 8000,
    width: int = 256,
    depth: int = 3,
    steps: int = 10_000,
    progress: bool = False,
    seed: int = 0,
) -> Actor:
    """Fit an actor that moves draws of the generator's prior to where a rule rewards what they decode to.

    There are no labels, and no gradient through rule or decoder: draws are decoded and scored, a critic learns the
    scores from latents, and the actor follows the critic. Again and again what the actor makes is decoded and scored by
    the rule itself, and learnt from: where the critic was fooled, it is put right. The critic learns before the actor
    moves, and they take turns of hundreds of steps: an actor that follows a critic from its first step on leaves the
    data before there is anything to follow.

    Args:
        generator: The decoder, over continuous latents.
        rule: Outputs ``(N, *O)`` to rewards ``(N,)`` from 0 to 1, each of its own row alone.
        distance: The weight of the distance penalty.
        spread: The unit of distance, ``(*S)`` or a number. With 1, that of the latents, all dimensions weigh the same;
            the paper takes the mean standard deviation of q(z|x), by which those that a VAE does not use weigh little.
        rounds: How often what the actor makes is scored.
        draws: Latents decoded and scored at first, at least 3; each round scores an eighth as many.
        width: Hidden units of a layer, of both networks.
        depth: Hidden layers.
        steps: Gradient steps in all. A quarter of them teaches the critic the first draws; then they take turns.
            At least 4 (rounds + 1).
        progress: Whether to show progress.
        seed: For draws, first weights, and the order of what is learnt from.

    Returns:
        The actor, frozen. Its ``figures`` are of fresh draws, as many as two rounds have: the mean ``reward``, the
        share with a reward of 1 as ``satisfied``, and both of the draws themselves as ``reward before`` and ``satisfied
        before``.

    Raises:
        Unsupported: If latents are codes.
        InvalidArgument: If the rule gives anything but a number from 0 to 1 a row, is random, or mixes rows.
        KeyboardInterrupt: By Ctrl-C, until the actor begins to learn; later an actor is returned, with a warning.

    Example:
        >>> import torch
        >>> import latentsearch as ls
        >>> generator = ls.ContinuousGenerator(lambda z: z, (2,))
        >>> actor = ls.fit_actor_by_rule(generator, lambda x: (x[:, 0] > 0).float(), rounds=4, draws=400, steps=400)
        >>> actor.figures["reward"] > actor.figures["reward before"]
        True
    """
    require_generator("fit_actor_by_rule.generator", generator)
    for name, value in (("rounds", rounds), ("width", width), ("depth", depth)):
        require_count(f"fit_actor_by_rule.{name}", value)
    require_count("fit_actor_by_rule.draws", draws, _CHECKED)
    require_count("fit_actor_by_rule.steps", steps, 4 * (rounds + 1))
    require_weight("fit_actor_by_rule.distance", distance)
    require_flag("fit_actor_by_rule.progress", progress)
    require_seed("fit_actor_by_rule.seed", seed)
    if not isinstance(generator.space, Continuous):
        raise Unsupported("fit_actor_by_rule", got=f"{generator.space}", expected="continuous latents")
    scale = checked_spread("fit_actor_by_rule.spread", spread, generator.space)
    rewards, streams = Rewards("fit_actor_by_rule", generator, rule), Noise.from_seed(seed)
    first = generator.prior.sample(streams.fold(_FIRST).split(draws)).to(generator.device)
    rewards.check(first[:_CHECKED])
    _check_density(generator.prior, first[:_CHECKED])
    with initialised(seed, torch.float32):
        actor = Actor(generator.space, width=width, depth=depth)
        critic = ValueCritic(generator.space, width=width, depth=depth)
        pair = RewardedActor(actor, critic, generator.prior, spread=scale, distance=distance)
    pair = pair.to(generator.device)
    alone = steps // 4
    block = (steps - alone) // (2 * rounds + 2)
    known = _Scored(rewards, actor, first, 2 * block, streams.fold(_ROUND))
    plan = Fit(alone, batch_size=_BATCH, optimizer=_CRITIC, schedule=None, log_every=alone, progress=progress)
    if fit(critic, known.first, plan, seed=seed).status is Status.INTERRUPTED:
        raise KeyboardInterrupt("fit_actor_by_rule: before the actor had learnt anything")
    turns = {
        "critic": Group(lambda pair: pair.critic.parameters(), _CRITIC, block),
        "actor": Group(lambda pair: pair.actor.parameters(), _ACTOR, block),
    }
    both, average = 2 * block * (rounds + 1), min(max(1 - 10 / block, 0.5), 0.99)
    plan = replace(plan, steps=both, optimizer=turns, average=average, log_every=both)
    warn_if_interrupted("fit_actor_by_rule", fit(pair, known, plan, seed=seed))
    fresh = streams.fold(_FRESH).split(max(2 * draws // _ROUND_SHARE, 1))
    return _with_figures(rewards, actor, fresh).requires_grad_(False)


class _Scored:
    """Batches of latents and rewards: half of the first draws, half of what the actor made of others in rounds.

    Args:
        rewards: Of latents.
        actor: As it is when a round begins.
        first: ``(N, *S)``, draws of the prior.
        every: Steps between rounds.
        noise: One row, for the draws of rounds.
    """

    def __init__(self, rewards: Rewards, actor: Actor, first: Tensor, every: int, noise: Noise) -> None:
        self.rewards, self.actor, self.every, self.noise = rewards, actor, every, noise
        self.first = first, rewards(first)
        self.made: list[tuple[Tensor, Tensor]] = []

    def __call__(self, step: int, noise: Noise) -> tuple[Tensor, Tensor]:
        if step and step % self.every == 0:
            latents = self._round(step)
            self.made = [*self.made[1 - _RECENT :], (latents, self.rewards(latents))]
        if not self.made:
            return _some(self.first, _BATCH, noise)
        recent = torch.cat([z for z, _ in self.made]), torch.cat([rewards for _, rewards in self.made])
        halves = [_some(part, _BATCH // 2, noise.fold(n)) for n, part in enumerate((self.first, recent))]
        return torch.cat([z for z, _ in halves]), torch.cat([rewards for _, rewards in halves])

    @torch.no_grad()
    def _round(self, step: int) -> Tensor:
        """What the actor makes of fresh draws, but for some of the draws themselves."""
        count = max(len(self.first[0]) // _ROUND_SHARE, 1)
        z = self.rewards.generator.prior.sample(self.noise.fold(step).split(count)).to(self.first[0].device)
        few = int(_PRIOR_SHARE * count)
        return torch.cat([z[:few], self.actor(z[few:])])


def _some(data: tuple[Tensor, Tensor], count: int, noise: Noise) -> tuple[Tensor, Tensor]:
    """Some rows of latents and their rewards."""
    latents, rewards = data
    rows = noise.fold(_CHOICE).integers(len(latents), count)[0].to(latents.device)
    return latents[rows], rewards[rows]


@torch.no_grad()
def _with_figures(rewards: Rewards, actor: Actor, noise: Noise) -> Actor:
    z = rewards.generator.prior.sample(noise).to(rewards.generator.device)
    for name, latents in ((" before", z), ("", actor(z))):
        found = rewards(latents)
        actor.figures[f"reward{name}"] = float(found.double().mean())
        actor.figures[f"satisfied{name}"] = float((found == 1).double().mean())
    return actor


@torch.no_grad()
def _check_density(prior: Prior, latents: Tensor) -> None:
    """Refuse a prior that cannot say how likely latents are, before anything is learnt."""
    try:
        prior.log_prob(latents)
    except Exception as error:
        raise Unsupported(
            "fit_actor_by_rule",
            got=f"a prior whose log_prob fails with {type(error).__name__}: {error}",
            expected="one with a density, that the actor may not leave it",
        ) from error
