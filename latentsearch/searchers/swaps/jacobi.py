"""All positions at once, each by the quadratic model, and only as many as really help."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from latentsearch.loop import IterativeSearcher, Proposal, best_or_held, score_each
from latentsearch.noise import Noise
from latentsearch.objective import Objective
from latentsearch.result import Status
from latentsearch.searchers._curvature import Curvature
from latentsearch.searchers.swaps._quadratic import QuadraticModel
from latentsearch.searchers.swaps._swaps import combination_sizes, combined
from latentsearch.spaces import Discrete, LatentSpace

_FADE = 0.5  # of what was learnt about the curvature: grids of many swaps each tell more of it
_SHORTEST = 2.0**-10  # of the step that the curvature calls for


@dataclass
class JacobiState:
    """Where each row stands.

    Attributes:
        z: ``(M, *S)``, the grid.
        curvature: The curvature, fitted to what was measured.
        damping: ``(M,)``, by how much the curvature is overstated.
    """

    z: Tensor
    curvature: Curvature
    damping: Tensor


@dataclass(frozen=True)
class JacobiSearch(IterativeSearcher):
    r"""Swap every position's code for its best, and keep as many of the swaps as help.

    Algorithm 2 of *Exploring Test Time Optimization* with its embedding projected onto the codebook
    takes the code nearest to $e - \alpha g$: the minimum over codes of
    $g \cdot \delta + \tfrac{1}{2 \alpha} \|\delta\|^2$, at all positions and unchecked. Here
    $1 / \alpha$ is the curvature fitted to the swaps made so far, and the code taken is that of the largest
    expected improvement, as in [CoordinateSearch][latentsearch.CoordinateSearch]. The swaps are sorted by
    their predicted change, and the best one, the best two, the best three and so on are decoded; the best of these
    grids is the next, if it is better. If none is, the curvature is doubled for the next step.

    No step size, a dozen evaluations a step, and a loss that only falls: a start for other searches. A row
    is STALLED when even small steps do not help.

    Attributes:
        restarts: Independent starts a problem.

    Example:
        >>> import latentsearch as ls
        >>> from latentsearch.testing import toys
        >>> toy = toys.codes()
        >>> result = ls.JacobiSearch(restarts=8).search(toy.generator, toy.constraint, seed=0)
        >>> bool((result.score.loss < 0.01).all())
        True
    """

    spaces: ClassVar[tuple[type, ...]] = (Discrete,)
    linearises: ClassVar[bool] = True

    def step_cost(self, space: LatentSpace) -> int:
        return 2 + len(combination_sizes(1 << 62))

    def start(self, objective: Objective, z: Tensor, noise: Noise) -> JacobiState:
        curvature = Curvature.unknown(objective, len(z))
        return JacobiState(z, curvature, torch.ones_like(curvature.value))

    def step(self, objective: Objective, state: JacobiState, noise: Noise) -> tuple[JacobiState, Proposal]:
        """Swap codes at all positions, as many as help."""
        model = QuadraticModel.at(objective, state.z, state.curvature).damped(state.damping)
        positions = objective.grid.positions
        sizes = combination_sizes(positions)
        swaps = model.rank(positions, per_position=1)
        gain = -model.predict(swaps)
        sets, replaced = combined(swaps, gain, sizes, swaps.split(len(sizes))[0])
        made = sets.applied(state.z)
        grids = model.project(made, swaps, gain)
        score = score_each(objective, grids)
        z, best, better = best_or_held(state.z, model.linear.score, grids, score)

        # Of several swaps first-order changes and half squared distances add up; not of a grid of which codes went
        # back, nor of a lone swap in a combination's place.
        other = replaced | (grids != made).flatten(2).any(2)
        change = torch.where(other, torch.nan, score.loss - model.linear.score.loss[:, None])
        last = torch.tensor(sizes, device=change.device) - 1
        first_order, half_distance = (part.cumsum(1)[:, last] for part in (swaps.first_order, swaps.half_distance))
        curvature = state.curvature.observe(change - first_order, half_distance, _FADE)
        damping = torch.where(better, (state.damping / 2).clamp(min=1), 2 * state.damping)
        status = torch.where(damping * _SHORTEST > 1, Status.STALLED, Status.RUNNING)
        return JacobiState(z, curvature, damping), Proposal(z, best, status)
