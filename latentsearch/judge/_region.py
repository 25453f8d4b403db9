"""Which pixels nobody saw: those about which answers may differ."""

from __future__ import annotations

import torch
from torch import Tensor

from latentsearch._checks import in_short
from latentsearch.constraints import Matches
from latentsearch.errors import InvalidArgument, describe
from latentsearch.goal import Goal


def region_of(hidden: Tensor | None, goal: Goal | None, shape: tuple[int, ...], device: torch.device) -> Tensor:
    """``(B, *O)`` float64 weights of pixels, 1 where they were not seen; all where nothing is said.

    Args:
        hidden: Weights that broadcast to the shape.
        goal: What was searched for, whose masks say what was seen.
        shape: ``(B, *O)``.
        device: Where the answers are.

    Raises:
        InvalidArgument: If the weights do not fit, or are larger where the goal sees.
    """
    if hidden is not None and not isinstance(hidden, Tensor):
        expected = f"a tensor of weights that broadcast to {shape}"
        raise InvalidArgument("report.hidden", got=in_short(hidden), expected=expected)
    weight = torch.ones(1) if hidden is None else hidden
    try:
        region = weight.to(device, torch.float64).expand(shape)
    except RuntimeError:
        got = describe(weight)
        raise InvalidArgument("report.hidden", got=got, expected=f"weights that broadcast to {shape}") from None
    seen = None if goal is None else _seen(goal, shape, device)
    if hidden is not None and seen is not None:
        _check_sides(region, seen)
    return region


def _seen(goal: Goal, shape: tuple[int, ...], device: torch.device) -> Tensor | None:
    """``(B, *O)`` in [0, 1]: what the masks of a goal let through; None where that is not all it sees."""
    terms = [term for term in goal.constraints if term.reads != "latent"]
    masks = [term.mask for term in terms if isinstance(term, Matches) and term.mask.numel()]
    if not masks or len(masks) < len(terms) or goal.problems not in (1, shape[0]):
        return None
    return torch.stack([mask.to(device, torch.float64).expand(shape) for mask in masks]).amax(0)


def _check_sides(region: Tensor, seen: Tensor) -> None:
    """Raise if pixels that were seen count for more than those that were not."""
    shares = [float((region * part).sum() / part.sum().clamp(min=1e-12)) for part in (seen, 1 - seen)]
    if bool((seen < 1).any()) and shares[0] > shares[1] + 1e-6:
        raise InvalidArgument(
            "report.hidden",
            got=f"a mean weight of {shares[0]:.3g} where the goal's mask shows pixels, and {shares[1]:.3g} elsewhere",
            expected="1 where pixels were not seen",
            hint="hidden=1 - mask",
        )
