"""One line from a generator and a rule to an actor whose samples keep it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial

import torch
from torch import Tensor

from latentsearch._checks import require_count
from latentsearch._memory import Chunks
from latentsearch._rounding import same_losses
from latentsearch.critics import Actor, RewardedActor, ValueCritic
from latentsearch.errors import InvalidArgument, Unsupported, describe
from latentsearch.fitting._given import require_generator, require_weight
from latentsearch.noise import Noise
from latentsearch.protocols import Generator
from latentsearch.spaces import Continuous
from latentsearch.training import Fit, Group, fit, initialised

Rule = Callable[[Tensor], Tensor]
"""Outputs ``(N, *O)`` to rewards ``(N,)`` from 0 to 1; it needs no gradient."""

_PRIOR_SHARE = 0.1  # of draws of the prior among what is scored anew
_ROUND_SHARE = 8  # a round scores so many times fewer latents than are scored at first
_RECENT = 8  # rounds whose latents are learnt from
_BATCH = 256
_CRITIC = partial(torch.optim.AdamW, lr=1e-3, weight_decay=0.1)
_ACTOR = partial(torch.optim.Adam, lr=1e-3)
_FIRST, _ROUND, _FRESH, _CHOICE = 1, 2, 3, 4  # streams of noise folded in


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
        spread: The unit of distance, ``(*S)`` or a number: of a VAE the mean standard deviation of q(z|x).
        rounds: How often what the actor makes is scored.
        draws: Latents decoded and scored at first; each round scores an eighth as many.
        width: Hidden units of a layer, of both networks.
        depth: Hidden layers.
        steps: Gradient steps in all. A quarter of them teaches the critic the first draws; then they take turns.
        progress: Whether to show progress.
        seed: For draws, first weights, and the order of what is learnt from.

    Returns:
        The actor, frozen. Its ``figures`` are of fresh draws, as many as two rounds have: the mean ``reward``, the
        share with a reward of 1 as ``satisfied``, and both of the draws themselves as ``reward before`` and ``satisfied
        before``.

    Raises:
        Unsupported: If latents are codes.
        InvalidArgument: If the rule gives anything but a number from 0 to 1 a row, or mixes rows.

    Example:
        >>> import torch
        >>> import latentsearch as ls
        >>> generator = ls.ContinuousGenerator(lambda z: z, (2,))
        >>> actor = ls.fit_actor_by_rule(generator, lambda x: (x[:, 0] > 0).float(), rounds=4, draws=400, steps=400)
        >>> actor.figures["reward"] > actor.figures["reward before"]
        True
    """
    require_generator("fit_actor_by_rule", generator)
    for name, value in (("rounds", rounds), ("draws", draws), ("steps", steps)):
        require_count(f"fit_actor_by_rule.{name}", value)
    require_weight("fit_actor_by_rule.distance", distance)
    if not isinstance(generator.space, Continuous):
        raise Unsupported("fit_actor_by_rule", got=f"{generator.space}", expected="continuous latents")
    scale = _checked_spread(spread, generator.space.shape)
    streams = Noise.from_seed(seed)
    first = generator.prior.sample(streams.fold(_FIRST).split(draws)).to(generator.device)
    _check_rule(generator, rule, first[:2])
    with initialised(seed):
        actor = Actor(generator.space, width=width, depth=depth)
        critic = ValueCritic(generator.space, width=width, depth=depth)
        pair = RewardedActor(actor, critic, generator.prior, spread=scale, distance=distance)
    pair = pair.to(generator.device)
    alone = max(steps // 4, 1)
    block = max((steps - alone) // (2 * rounds + 2), 1)
    known = _Scored(generator, rule, actor, first, 2 * block, streams.fold(_ROUND))
    plan = Fit(alone, batch_size=_BATCH, optimizer=_CRITIC, schedule=None, log_every=alone, progress=progress)
    fit(critic, known.first, plan, seed=seed)
    turns = {
        "critic": Group(lambda pair: pair.critic.parameters(), _CRITIC, block),
        "actor": Group(lambda pair: pair.actor.parameters(), _ACTOR, block),
    }
    both, average = 2 * block * (rounds + 1), min(max(1 - 10 / block, 0.5), 0.99)
    fit(pair, known, replace(plan, steps=both, optimizer=turns, average=average, log_every=both), seed=seed)
    fresh = streams.fold(_FRESH).split(max(2 * draws // _ROUND_SHARE, 1))
    return _with_figures(generator, actor, rule, fresh).requires_grad_(False)


class _Scored:
    """Batches of latents and rewards: half of the first draws, half of what the actor made of others in rounds.

    Args:
        generator: The decoder.
        rule: What scores its outputs.
        actor: As it is when a round begins.
        first: ``(N, *S)``, draws of the prior.
        every: Steps between rounds.
        noise: One row, for the draws of rounds.
    """

    def __init__(self, generator: Generator, rule: Rule, actor: Actor, first: Tensor, every: int, noise: Noise) -> None:
        self.generator, self.rule, self.actor, self.every, self.noise = generator, rule, actor, every, noise
        self.first = first, scored(generator, rule, first)
        self.made: list[tuple[Tensor, Tensor]] = []

    def __call__(self, step: int, noise: Noise) -> tuple[Tensor, Tensor]:
        if step and step % self.every == 0:
            latents = self._round(step)
            self.made = [*self.made[1 - _RECENT :], (latents, scored(self.generator, self.rule, latents))]
        if not self.made:
            return _some(self.first, _BATCH, noise)
        recent = torch.cat([z for z, _ in self.made]), torch.cat([rewards for _, rewards in self.made])
        halves = [_some(part, _BATCH // 2, noise.fold(n)) for n, part in enumerate((self.first, recent))]
        return torch.cat([z for z, _ in halves]), torch.cat([rewards for _, rewards in halves])

    @torch.no_grad()
    def _round(self, step: int) -> Tensor:
        """What the actor makes of fresh draws, but for some of the draws themselves."""
        count = max(len(self.first[0]) // _ROUND_SHARE, 1)
        z = self.generator.prior.sample(self.noise.fold(step).split(count)).to(self.generator.device)
        few = int(_PRIOR_SHARE * count)
        return torch.cat([z[:few], self.actor(z[few:])])


def _some(data: tuple[Tensor, Tensor], count: int, noise: Noise) -> tuple[Tensor, Tensor]:
    """Some rows of latents and their rewards."""
    latents, rewards = data
    rows = noise.fold(_CHOICE).integers(len(latents), count)[0].to(latents.device)
    return latents[rows], rewards[rows]


def _checked_spread(spread: Tensor | float, shape: tuple[int, ...]) -> Tensor:
    scale = torch.as_tensor(spread, dtype=torch.get_default_dtype())
    if tuple(scale.shape) not in ((), shape) or not bool((scale > 0).all()) or not bool(scale.isfinite().all()):
        got, expected = f"{describe(scale)}, from {float(scale.min()):g}", f"a positive number, or {shape} of these"
        raise InvalidArgument("fit_actor_by_rule.spread", got=got, expected=expected)
    return scale


@torch.no_grad()
def scored(generator: Generator, rule: Rule, latents: Tensor) -> Tensor:
    """``(N,)``: the rewards of what latents ``(N, *S)`` decode to, a part of them at a time."""

    def part(rows: slice) -> tuple[Tensor]:
        return (rule(generator.decode(latents[rows])).to(torch.float32),)

    rewards = Chunks(None).run(part, len(latents))[0]
    outside = ~((rewards >= 0) & (rewards <= 1))
    if bool(outside.any()):
        got, expected = f"a reward of {float(rewards[outside][0]):g}", "numbers from 0 to 1 for all outputs"
        raise InvalidArgument("fit_actor_by_rule.rule's result", got=got, expected=expected)
    return rewards


@torch.no_grad()
def _with_figures(generator: Generator, actor: Actor, rule: Rule, noise: Noise) -> Actor:
    z = generator.prior.sample(noise).to(generator.device)
    for name, latents in ((" before", z), ("", actor(z))):
        found = scored(generator, rule, latents)
        actor.figures[f"reward{name}"] = float(found.double().mean())
        actor.figures[f"satisfied{name}"] = float((found == 1).double().mean())
    return actor


@torch.no_grad()
def _check_rule(generator: Generator, rule: Rule, two: Tensor) -> None:
    what, expected = "fit_actor_by_rule.rule", "a function from outputs (N, *O) to rewards (N,) from 0 to 1"
    if not callable(rule):
        raise InvalidArgument(what, got=type(rule).__name__, expected=expected)
    output = generator.decode(two)
    found: object = rule(output)
    if not isinstance(found, Tensor) or tuple(found.shape) != (2,):
        got = describe(found) if isinstance(found, Tensor) else f"a {type(found).__name__}"
        raise InvalidArgument(f"{what}'s result", got=f"{got} for 2 outputs", expected=expected)
    if not bool(((found >= 0) & (found <= 1)).all()):
        got, hint = f"rewards {found.tolist()}", "a bounded one of a loss is torch.exp(-loss)"
        raise InvalidArgument(f"{what}'s result", got=got, expected=expected, hint=hint)
    alone = torch.cat([rule(output[:1]), rule(output[1:])]).to(torch.float32)
    if not same_losses(alone, found.to(torch.float32)):
        got = f"rewards {found.tolist()} for two rows together, and {alone.tolist()} for each alone"
        raise InvalidArgument(what, got=got, expected="rewards of each row alone")
