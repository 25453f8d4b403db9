"""Positions as the arms of a contextual bandit: where to look for swaps is learnt as the search goes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from latentsearch.loop import IterativeSearcher, Proposal, take
from latentsearch.noise import Noise
from latentsearch.objective import Linear, Objective
from latentsearch.searchers._curvature import curvature, empty_fit, first_guess, learn
from latentsearch.searchers.swaps._linucb import Belief, nothing_known, updated, upper_bound
from latentsearch.searchers.swaps._moves import ends, made, remembered
from latentsearch.searchers.swaps._swaps import Swaps, by_position, merge_sizes, most_promising
from latentsearch.spaces import Discrete, LatentSpace

_FADE = 0.8  # of what was learnt about the curvature, in every step
_FORGET = 0.9  # of what was learnt about the arms, in every step
_LEVEL = 1e-4  # of the mean square of the gradient: what is less is as good as none
# Before anything is learnt an arm is taken at its word: it gives what its best swap promises.
_GUESS = (0.0, 0.0, 0.0, 1.0)


@dataclass
class BanditState:
    """Where each row stands.

    Attributes:
        z: ``(M, *S)``, the grid.
        fit: ``(M, 2)``, the curvature's fit.
        belief: What was learnt about the arms.
        age: ``(M, P)`` int64, steps since each position was last pulled.
        tried: ``(M, T)`` int64, ids of swaps tried at this grid, filled up with the id of the code
            that position 0 holds, which is no swap.
        count: ``(M,)`` int64, how many swaps were tried at this grid.
    """

    z: Tensor
    fit: Tensor
    belief: Belief
    age: Tensor
    tried: Tensor
    count: Tensor


@dataclass(frozen=True)
class BanditSearch(IterativeSearcher):
    r"""Learn which positions of the grid are worth a look, and swap codes there.

    The future work that *Exploring Test Time Optimization for Discrete Neural Representation
    Learners* names in its section 6: search in codes as a contextual bandit. Positions are the arms.
    What is known of an arm, $x_p$, is the norm of the gradient there, how long ago it was last
    pulled, and how much its best swap promises by slope and curvature, as in
    [CoordinateSearch][latentsearch.CoordinateSearch]. What a pull gives, $r$, is how much that swap
    really lowers the loss, in units of what positions promise on the average. A ridge regression a
    row learns one from the other, old pulls fading, and the ``arms`` positions of the highest bound

    $$\theta \cdot x_p + \alpha \sigma \sqrt{x_p^\top A^{-1} x_p}$$

    are pulled: LinUCB (Li et al., *A Contextual-Bandit Approach to Personalized News Article
    Recommendation*, 2010, algorithm 1), its width in units of $\sigma$, the size of past rewards.
    At first every arm is taken at its word, then promises that are not kept count for less. The swaps
    that help are made together, the best two, the best three and so on, and the best grid of all is
    the next; one that did not help is not tried again until the grid has changed. So the loss falls
    with every change of the grid, and nothing can cycle.

    It is for the way down from random codes, where it needs fewer rows than CoordinateSearch: one swap at
    each of a few positions tells more than several at one. It ends as CoordinateSearch does: STALLED once the
    ``patience`` most promising swaps were tried at a grid in vain, and OPTIMAL once all were.

    Attributes:
        arms: Positions pulled a step.
        codes: Swaps decoded at each, the most promising first.
        exploration: $\alpha$, how much an arm gains by being unlike those that were pulled; 0 to pull
            those that are expected to give most.
        patience: Swaps tried in vain before a row ends; None for all there are.
        restarts: Independent starts a problem.

    Example:
        >>> import latentsearch as ls
        >>> from latentsearch.testing import toys
        >>> toy = toys.codes()
        >>> result = ls.BanditSearch().search(toy.generator, toy.constraint, seed=0)
        >>> result.status[0].name, bool((result.score.loss <= toy.optimum).all())
        ('OPTIMAL', True)
    """

    arms: int = 16
    codes: int = 1
    exploration: float = 0.3
    patience: int | None = 512

    spaces: ClassVar[tuple[type, ...]] = (Discrete,)

    def __post_init__(self) -> None:
        super().__post_init__()
        self._require_count("arms")
        self._require_count("codes")
        self._require("exploration", self.exploration >= 0, "a number of at least 0")
        if self.patience is not None:
            self._require_count("patience")

    def step_cost(self, space: LatentSpace) -> int:
        return 2 + self.arms * self.codes + len(merge_sizes(self.arms, 2))

    def start(self, objective: Objective, z: Tensor, noise: Noise) -> BanditState:
        fit = empty_fit(objective, len(z))
        age = torch.zeros(len(z), z[0].numel(), dtype=torch.int64, device=z.device)
        belief = nothing_known(len(z), len(_GUESS), fit)
        return BanditState(z, fit, belief, age, age[:, :0], age.new_zeros(len(z)))

    def step(self, objective: Objective, state: BanditState, noise: Noise) -> tuple[BanditState, Proposal]:
        """Look at all arms, pull the best few, move on to the best grid if it is better, and learn."""
        linear = objective.linearise(state.z)
        merges = len(merge_sizes(min(self.arms, state.z[0].numel()), 2))
        table, bend, promise = self._table(objective, state, linear, merges)
        context, unit = features(linear.gradient, state.age, promise)
        arms = self._chosen(state.belief, context, promise)
        swaps = _of_arms(table, arms, self.codes * arms.shape[1] + merges)
        move = made(objective, state.z, linear, bend, swaps, merges)

        tried = remembered(state.z, state.tried, swaps, move, objective.codebook.shape[-2])
        first = swaps.split(move.change.shape[1])[0]
        reward, pulled = rewards(move.change, first.new, arms.shape[1])
        reward = reward.to(unit.dtype) / unit[:, None]
        belief = updated(state.belief, take(context, arms), reward, pulled, _FORGET)
        fit = learn(state.fit, move.beyond_slope, first.way, _FADE)
        age = (state.age + 1).scatter(1, arms, 0)
        count = torch.where(move.better, 0, state.count + move.used.sum(1))
        status = ends(objective.generator.space, count, move, self.patience)
        return BanditState(move.z, fit, belief, age, tried, count), Proposal(move.z, move.score, status)

    def _table(
        self, objective: Objective, state: BanditState, linear: Linear, spare: int
    ) -> tuple[Swaps, Tensor, Tensor]:
        """The most promising swaps of every position, ``(M, P, C)`` each, the curvature, and the best one's gain."""
        known = state.fit[:, 1] > 0
        guess = first_guess(objective.codebook, linear.gradient)
        bend = torch.where(known, curvature(state.fit), guess)
        positions, size = state.z[0].numel(), objective.codebook.shape[-2]
        each = min(self.codes + -(-spare // min(self.arms, positions)), size)
        swaps = most_promising(
            objective.codebook, state.z, linear, bend, positions * each, each, state.tried, daring=False
        )
        table = by_position(swaps, positions)
        promise = table.slope[..., 0].to(bend.dtype) + bend[:, None] * table.way[..., 0].to(bend.dtype)
        return table, bend, torch.where(table.new[..., 0], -promise, -torch.inf)

    def _chosen(self, belief: Belief, context: Tensor, promise: Tensor) -> Tensor:
        guess = torch.tensor(_GUESS, dtype=context.dtype, device=context.device)
        bound = upper_bound(belief, context, guess, self.exploration)
        bound = torch.where(promise.isfinite() & ~bound.isnan(), bound, -torch.inf)
        return bound.topk(min(self.arms, bound.shape[1]), 1).indices


def features(gradient: Tensor, age: Tensor, promise: Tensor) -> tuple[Tensor, Tensor]:
    """What is known about each position, in numbers that do not depend on the scale of the loss.

    Args:
        gradient: ``(M, *S, D)``.
        age: ``(M, P)``, steps since it was last pulled.
        promise: ``(M, P)``, by how much its best swap is to lower the loss; not finite where there is none.

    Returns:
        ``(M, P, 4)``: one; the logarithm of the gradient's norm, in units of its mean over positions; that of the
        age and one; and the promise, in units of its mean size over positions. And this unit, ``(M,)``.
    """
    tiny = torch.finfo(promise.dtype).tiny
    square = gradient.flatten(1, -2).to(promise.dtype).square().sum(2)
    # Of a gradient that is next to none it says no more than that, or one such would be all that counts.
    steep = (square / square.mean(1, keepdim=True).clamp(min=tiny)).clamp(min=_LEVEL).log() / 2
    there = promise.isfinite()
    promise = torch.where(there, promise, 0)
    unit = (promise.abs().sum(1) / there.sum(1).clamp(min=1)).clamp(min=tiny)
    old = age.to(promise.dtype).log1p()
    return torch.stack([torch.ones_like(steep), steep, old, promise / unit[:, None]], 2), unit


def rewards(change: Tensor, new: Tensor, arms: int) -> tuple[Tensor, Tensor]:
    """What each arm gave: by how much the best of its swaps lowers the loss, ``(M, arms)``, and whether it was tried.

    Args:
        change: ``(M, C)``, of the loss by swaps that go round the arms.
        new: ``(M, C)`` bool, False for a swap that taught nothing.
        arms: How many there are.
    """
    gain = torch.where(new & ~change.isnan(), -change, -torch.inf).clamp(max=torch.finfo(change.dtype).max)
    short = -change.shape[1] % arms
    gain = torch.nn.functional.pad(gain, (0, short), value=-torch.inf).unflatten(1, (-1, arms)).amax(1)
    return gain.clamp(min=0), gain > -torch.inf


def _of_arms(table: Swaps, arms: Tensor, count: int) -> Swaps:
    """Swaps at the positions in ``arms``, ``(M, A)``: the best of each arm, then the second best of each, and so on."""
    parts = (take(part, arms).mT.flatten(1)[:, :count] for part in table)
    return Swaps(*parts)
