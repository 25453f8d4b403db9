"""Two latents tried before a run: can they be decoded, scored, and differentiated?"""

from __future__ import annotations

import torch
from torch import Tensor

from latentsearch.algebra import Constraint, Score
from latentsearch.errors import InvalidArgument, Unsupported, describe
from latentsearch.objective import Objective
from latentsearch.protocols import Generator
from latentsearch.run import Run
from latentsearch.spaces import Discrete


def check_scores(generator: Generator, constraint: Constraint, z: Tensor) -> tuple[Constraint, Score]:
    """Decode two latents ``(2, *S)`` and see that the constraint can score them, before a run.

    Returns:
        The constraint on the output's device and in its floating dtype, and the two scores.
    """
    with torch.no_grad():
        output = generator.decode(z)
        if not isinstance(output, Tensor) or output.shape[:1] != z.shape[:1]:
            given = describe(output) if isinstance(output, Tensor) else type(output).__name__
            raise InvalidArgument(
                "generator.decode", given=given, wanted=f"a tensor of {len(z)} rows for {len(z)} latents"
            )
        dtype = output.dtype if output.is_floating_point() else None
        constraint = constraint.to(output.device, dtype)
        constraint.validate(output, z)
        two = constraint.select(torch.tensor([0, constraint.problems - 1], device=z.device))
        score = two(output, z)
    for part, wanted in (("loss", score.loss.is_floating_point()), ("satisfied", score.satisfied.dtype == torch.bool)):
        tensor = getattr(score, part)
        if tuple(tensor.shape) != (len(z),) or not wanted:
            raise InvalidArgument(
                f"{constraint.name}'s {part}",
                given=describe(tensor),
                wanted=f"one {'floating' if part == 'loss' else 'bool'} value a row, shape ({len(z)},)",
                mend="reduce over all dimensions but the first, for instance .flatten(1).mean(1)",
            )
    return constraint, score


def check_gradients(generator: Generator, constraint: Constraint, z: Tensor) -> None:
    """Take one gradient at two latents ``(2, *S)`` and see that it reaches them, before a run."""
    problem = torch.tensor([0, constraint.problems - 1], device=z.device)
    objective = Objective(generator, constraint, problem, Run())
    try:
        if isinstance(generator.space, Discrete):
            objective.linearise(z)
        else:
            objective.value_and_gradient(z)
    except RuntimeError as error:
        raise Unsupported(
            "the objective",
            given=f"a gradient that fails with {type(error).__name__}: {error}",
            wanted="a decoder and a constraint that torch can differentiate",
            mend="say Satisfies(..., differentiable=False) of a rule without a gradient, and use RandomSearch",
        ) from error
