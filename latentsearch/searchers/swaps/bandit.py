"""Positions as the arms of a contextual bandit: where to look for swaps is learnt as the search goes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from latentsearch._checks import is_number
from latentsearch.loop import IterativeSearcher, Proposal, take
from latentsearch.noise import Noise
from latentsearch.objective import Objective
from latentsearch.searchers._curvature import Curvature
from latentsearch.searchers.swaps._criteria import predicted_change
from latentsearch.searchers.swaps._evaluate import evaluate
from latentsearch.searchers.swaps._linucb import LinearBandit
from latentsearch.searchers.swaps._quadratic import QuadraticModel
from latentsearch.searchers.swaps._swaps import Swaps, combination_sizes
from latentsearch.searchers.swaps._tabu import TabuList
from latentsearch.spaces import Discrete, LatentSpace

_FADE = 0.9  # of what was learnt about the arms, in every step
_LEVEL = 1e-4  # of the mean square of the gradient; below this share a gradient counts as zero
# Before anything is learnt an arm is expected to give what is predicted of its best swap.
_PRIOR = (0.0, 0.0, 0.0, 1.0)


@dataclass
class BanditState:
    """Where each row stands.

    Attributes:
        z: ``(M, *S)``, the grid.
        curvature: The curvature, fitted to what was measured.
        bandit: What was learnt about the arms.
        age: ``(M, P)`` int64, steps since each position was last pulled.
        tabu: Swaps tried at this grid.
    """

    z: Tensor
    curvature: Curvature
    bandit: LinearBandit
    age: Tensor
    tabu: TabuList


@dataclass(frozen=True)
class BanditSearch(IterativeSearcher):
    r"""Learn which positions of the grid are worth a look, and swap codes there.

    The future work that *Exploring Test Time Optimization for Discrete Neural Representation
    Learners* names in its section 6: search in codes as a contextual bandit. Positions are the arms.
    What is known of an arm, $x_p$, is the norm of the gradient there, how long ago it was last
    pulled, and by how much its best swap is predicted to lower the loss, by gradient and curvature as in
    [CoordinateSearch][latentsearch.CoordinateSearch]. What a pull gives, $r$, is how much that swap
    really lowers the loss, in units of the mean prediction over positions. A ridge regression a
    row learns one from the other, old pulls fading, and the ``arms`` positions of the highest bound

    $$\theta \cdot x_p + \alpha \sigma \sqrt{x_p^\top A^{-1} x_p}$$

    are pulled: LinUCB (Li et al., *A Contextual-Bandit Approach to Personalized News Article
    Recommendation*, 2010, algorithm 1), its width in units of $\sigma$, the size of past rewards.
    At first every prediction is trusted, then those that do not come true count for less. The swaps
    that help are combined, the best two, the best three and so on, and the best grid of all is
    the next; one that did not help is not tried again until the grid has changed. So the loss falls
    with every change of the grid, and nothing can cycle.

    It is for the way down from random codes, where it needs fewer evaluations than CoordinateSearch: one swap at
    each of a few positions tells more than several at one. It ends as CoordinateSearch does: STALLED once the
    ``patience`` best swaps bring no improvement, and OPTIMAL once none of all swaps does.

    Attributes:
        arms: Positions pulled a step.
        codes: Swaps decoded at each, the best first.
        exploration: $\alpha$, how much an arm gains by being unlike those that were pulled; 0 to pull
            those that are expected to give most.
        patience: Swaps tried without improvement before a row ends; None for all there are.
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
    linearises: ClassVar[bool] = True

    def __post_init__(self) -> None:
        super().__post_init__()
        self._require_count("arms")
        self._require_count("codes")
        wide = is_number(self.exploration) and self.exploration >= 0
        self._require("exploration", wide, "a number of at least 0")
        if self.patience is not None:
            self._require_count("patience")

    def step_cost(self, space: LatentSpace) -> int:
        return 2 + self.arms * self.codes + len(combination_sizes(self.arms, 2))

    def start(self, objective: Objective, z: Tensor, noise: Noise) -> BanditState:
        curvature = Curvature.unknown(objective, len(z))
        bandit = LinearBandit.unknown(len(z), len(_PRIOR), curvature.value)
        return BanditState(z, curvature, bandit, torch.zeros_like(z.flatten(1)), TabuList.empty(z))

    def step(self, objective: Objective, state: BanditState, noise: Noise) -> tuple[BanditState, Proposal]:
        """Look at all arms, pull the best few, move on to the best grid if it is better, and learn."""
        model = QuadraticModel.at(objective, state.z, state.curvature)
        combinations = len(combination_sizes(min(self.arms, objective.grid.positions), 2))
        table = self._table(model, state.tabu, combinations)
        predicted = -model.predict(Swaps(*(part[..., 0] for part in table)))
        predicted = torch.where(table.new[..., 0], predicted, -torch.inf)
        context, unit = features(model.linear.gradient, state.age, predicted)
        arms = self._chosen(state.bandit, context, predicted)
        swaps = _of_arms(table, arms, self.codes * arms.shape[1] + combinations)
        outcome = evaluate(model, swaps, combinations)

        tabu = state.tabu.update(outcome, swaps, objective.grid.codebook_size)
        reward, pulled = rewards(outcome.change, outcome.swaps.new, arms.shape[1])
        bandit = state.bandit.update(take(context, arms), reward.to(unit.dtype) / unit[:, None], pulled, _FADE)
        curvature = model.observe(outcome.swaps, outcome.measured)
        after = BanditState(outcome.z, curvature, bandit, (state.age + 1).scatter(1, arms, 0), tabu)
        return after, Proposal(outcome.z, outcome.score, tabu.status(outcome, objective.neighbours, self.patience))

    def _table(self, model: QuadraticModel, tabu: TabuList, spare: int) -> Swaps:
        """The best swaps of every position, ``(M, P, C)`` each, with so many to spare for all arms together."""
        grid = model.objective.grid
        each = min(self.codes + -(-spare // min(self.arms, grid.positions)), grid.codebook_size)
        swaps = model.rank(grid.positions * each, each, tabu.ids, predicted_change)
        return swaps.by_position(grid.positions)

    def _chosen(self, bandit: LinearBandit, context: Tensor, predicted: Tensor) -> Tensor:
        """``(M, A)`` int64: the positions of the highest bounds."""
        prior = torch.tensor(_PRIOR, dtype=context.dtype, device=context.device)
        bound = bandit.upper_bound(context, prior, self.exploration)
        bound = torch.where(predicted.isfinite() & ~bound.isnan(), bound, -torch.inf)
        return bound.topk(min(self.arms, bound.shape[1]), 1).indices


def features(gradient: Tensor, age: Tensor, predicted: Tensor) -> tuple[Tensor, Tensor]:
    """What is known about each position, in features that do not depend on the scale of the loss.

    Args:
        gradient: ``(M, *S, D)``.
        age: ``(M, P)``, steps since it was last pulled.
        predicted: ``(M, P)``, by how much its best swap is to lower the loss; not finite where there is none.

    Returns:
        ``(M, P, 4)``: one; the logarithm of the gradient's norm, in units of its mean over positions; that of the
        age and one; and the prediction, in units of its mean size over positions. And this unit, ``(M,)``.
    """
    tiny = torch.finfo(predicted.dtype).tiny
    square = gradient.flatten(1, -2).to(predicted.dtype).square().sum(2)
    # Gradients near zero are all the same here: the logarithm of one would outweigh everything else.
    steep = (square / square.mean(1, keepdim=True).clamp(min=tiny)).clamp(min=_LEVEL).log() / 2
    there = predicted.isfinite()
    predicted = torch.where(there, predicted, 0)
    unit = (predicted.abs().sum(1) / there.sum(1).clamp(min=1)).clamp(min=tiny)
    old = age.to(predicted.dtype).log1p()
    return torch.stack([torch.ones_like(steep), steep, old, predicted / unit[:, None]], 2), unit


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
