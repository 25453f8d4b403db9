"""How well the encoder does: the measure of "close enough"."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from latentsearch._checks import in_short, require_share
from latentsearch._context import in_own_context
from latentsearch._images import require_tensor
from latentsearch.errors import InvalidArgument, Unsupported
from latentsearch.goal import AnyGoal, Constraint, Goal, Limit, Unlimited
from latentsearch.judge._rows import by_rows
from latentsearch.protocols import AutoEncoder, Generator


@in_own_context
def encoder_tolerance(generator: Generator, goal: AnyGoal, images: Tensor, share: float = 0.95) -> float:
    """The loss that the encoder's latents of real images stay within, in 95 cases of 100.

    An answer within it fits the measurement as well as real data do that went through the decoder.

    Args:
        generator: One that encodes.
        goal: About these very images, B problems, such as ``Matches(images, mask=mask)``. Terms that read the
            latent alone, such as ``LogPrior``, are left out.
        images: ``(B, *O)``.
        share: Of the images.

    Raises:
        InvalidArgument: If the generator does not encode, the goal is about something else, or no term reads outputs.

    Example:
        >>> import latentsearch as ls
        >>> from latentsearch import zoo
        >>> generator = ls.wrap(zoo.load("mnist-vqvae-512"))
        >>> images, _ = zoo.images()
        >>> 0 < ls.judge.encoder_tolerance(generator, ls.Matches(images), images) < 0.02
        True
    """
    if not isinstance(generator, AutoEncoder):
        raise Unsupported(
            "encoder_tolerance", got=f"{type(generator).__name__}, which does not encode", expected="one that does"
        )
    require_share("encoder_tolerance.share", share, ends="(]")
    require_goal("encoder_tolerance.goal", goal)
    images = require_tensor("encoder_tolerance.images", images).to(generator.device)
    latents = by_rows(generator.encode, images)
    loss = scored(measurement(goal), by_rows(generator.decode, latents), latents)
    return float(loss.quantile(share))


def require_goal(what: str, goal: object) -> None:
    """Raise InvalidArgument unless it is a goal."""
    if not isinstance(goal, (Constraint, Limit, Goal)):
        hint = "wrap a function in Satisfies(...)" if callable(goal) else ""
        raise InvalidArgument(what, got=in_short(goal), expected="a constraint or a goal", hint=hint)


def measurement(goal: AnyGoal) -> Goal:
    """The terms of a goal that read outputs: what is known, without what is thought likely.

    Raises:
        InvalidArgument: If there are none.
    """
    terms = tuple(term for term in goal.goal.terms if term[1].reads != "latent")
    if not terms:
        raise InvalidArgument("goal", got=repr(goal), expected="a term that reads outputs", hint="such as Matches")
    return replace(goal.goal, terms=terms, thresholds=(), limit=Unlimited())


def scored(goal: Goal, outputs: Tensor, latents: Tensor) -> Tensor:
    """``(N,)`` float64: the losses of outputs ``(N, *O)``, whose rows are those of the goal's problems."""
    goal = rows_of(goal, len(outputs), outputs.device, outputs.dtype)
    index = torch.arange(len(outputs), device=outputs.device)
    return by_rows(lambda row, x, z: goal.select(row)(x, z).loss, index, outputs, latents).double()


def rows_of(goal: Goal, rows: int, device: torch.device, dtype: torch.dtype) -> Goal:
    """The goal, one row for each of ``rows`` answers in the order of its problems, R to each."""
    if rows % goal.problems:
        got = f"{goal.problems} problems for {rows} answers"
        raise InvalidArgument("goal", got=got, expected="as many problems as there are answers, or one")
    index = torch.arange(goal.problems, device=device).repeat_interleave(rows // goal.problems)
    return goal.to(device, dtype).select(index) if goal.problems > 1 else goal.to(device, dtype)
