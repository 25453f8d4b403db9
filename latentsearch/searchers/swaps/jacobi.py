"""All positions at once, each by slope and curvature, and only as many as really help."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from latentsearch.loop import IterativeSearcher, Proposal, best_or_held, score_each
from latentsearch.noise import Noise
from latentsearch.objective import Objective
from latentsearch.result import Status
from latentsearch.searchers._curvature import curvature, empty_fit, first_guess, learn
from latentsearch.searchers.swaps._swaps import Swaps, merge_sizes, merged, most_promising, put_back, worth_keeping
from latentsearch.spaces import Discrete, LatentSpace

_FADE = 0.5  # of what was learnt about the curvature, in every step
_SHORTEST = 2.0**-10  # of the step that the curvature calls for


@dataclass
class JacobiState:
    """Where each row stands.

    Attributes:
        z: ``(M, *S)``, the grid.
        fit: ``(M, 2)``, the curvature's fit.
        caution: ``(M,)``, by how much the curvature is overstated.
    """

    z: Tensor
    fit: Tensor
    caution: Tensor


@dataclass(frozen=True)
class JacobiSearch(IterativeSearcher):
    r"""Move every position to its most promising code, and keep as many of the moves as help.

    Algorithm 2 of *Exploring Test Time Optimization* with its embedding put back on the codebook
    takes the code nearest to $e - \alpha g$: the minimum over codes of
    $g \cdot \delta + \tfrac{1}{2 \alpha} \|\delta\|^2$, at all positions and unchecked. Here
    $1 / \alpha$ is the curvature fitted to the moves made so far, and the code taken is that of which most
    improvement can be expected, as in [CoordinateSearch][latentsearch.CoordinateSearch]. The moves are sorted by
    what they promise, and the best one, the best two, the best three and so on are decoded; the best of these
    grids is the next, if it is better. If none is, the curvature is doubled for the next step.

    No step size, a dozen rows a step, and a loss that only falls: a start for other searches. A row
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

    def step_cost(self, space: LatentSpace) -> int:
        return 2 + len(merge_sizes(1 << 62))

    def start(self, objective: Objective, z: Tensor, noise: Noise) -> JacobiState:
        fit = empty_fit(objective, len(z))
        return JacobiState(z, fit, torch.ones_like(fit[:, 0]))

    def step(self, objective: Objective, state: JacobiState, noise: Noise) -> tuple[JacobiState, Proposal]:
        """Move all positions, as many as help."""
        linear, positions = objective.linearise(state.z), state.z[0].numel()
        guess = first_guess(objective.codebook, linear.gradient)
        bend = torch.where(state.fit[:, 1] > 0, curvature(state.fit), guess) * state.caution
        nothing = state.z.new_zeros(len(state.z), 0)
        moves = most_promising(objective.codebook, state.z, linear, bend, positions, 1, nothing)
        gain = -(moves.slope + bend.to(moves.slope.dtype)[:, None] * moves.way)
        sizes = merge_sizes(positions)
        grids, spare = merged(state.z, moves, gain, sizes, moves.split(len(sizes))[0])
        if objective.limit is not None:
            worth = worth_keeping(objective, state.z, linear, bend).scatter_add(1, moves.position, gain.clamp(min=0))
            within = put_back(objective, grids, worth)
            # What went back is in no sum of slopes: such grids say nothing of the curvature.
            grids, spare = within, spare | (within != grids).flatten(2).any(2)
        score = score_each(objective, grids)

        z, best, better = best_or_held(state.z, linear.score, grids, score)
        fit = _learnt(state.fit, moves, score.loss - linear.score.loss[:, None], spare, sizes)
        caution = torch.where(better, (state.caution / 2).clamp(min=1), 2 * state.caution)
        status = torch.where(caution * _SHORTEST > 1, Status.STALLED, Status.RUNNING)
        return JacobiState(z, fit, caution), Proposal(z, best, status)


def _learnt(fit: Tensor, moves: Swaps, change: Tensor, spare: Tensor, sizes: tuple[int, ...]) -> Tensor:
    """The curvature's fit with the grids of several moves: their slopes and ways add up."""
    last = torch.tensor(sizes, device=fit.device) - 1
    slope, way = (part.cumsum(1)[:, last] for part in (moves.slope, moves.way))
    return learn(fit, torch.where(spare, 0, change - slope), torch.where(spare, 0, way), _FADE)
