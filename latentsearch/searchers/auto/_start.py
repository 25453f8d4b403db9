"""Where a search starts that is told nothing: at the encoding of what should come out, where there is one."""

from __future__ import annotations

import logging

import torch
from torch import Tensor

from latentsearch._checks import in_short
from latentsearch.constraints import Matches
from latentsearch.errors import InvalidArgument, Unsupported
from latentsearch.problem import Problem
from latentsearch.protocols import AutoEncoder

_log = logging.getLogger("latentsearch")


@torch.no_grad()
def encoded_start(problem: Problem) -> Tensor | None:
    """``(B, *S)``, or ``(1, *S)``: the encodings of targets that are known as a whole.

    None where the start is told, or within a limit, where nothing encodes, and where no target is known as a whole.
    """
    generator, goal = problem.generator, problem.goal
    if problem.init is not None or goal.limited or not isinstance(generator, AutoEncoder):
        return None
    known = (term for weight, term in goal.terms if weight > 0 and isinstance(term, Matches) and not term.mask.numel())
    term = next(known, None)
    if term is None:
        return None
    # A copy: an encoder may write to what it is given.
    target = term.target.to(generator.device, generator.dtype, copy=True)
    try:
        found: object = generator.encode(target)
        if not isinstance(found, Tensor) or len(found) != len(target):
            raise InvalidArgument("generator.encode", got=in_short(found), expected=f"{len(target)} latents")
        generator.space.check("generator.encode", found)
    except Unsupported:
        return None  # it was wrapped without an encoder
    except Exception as error:
        # A target of another shape is named by the check of the goal, which is to come.
        _log.warning("the target has no encoding, and the search starts at a draw of the prior: %s", error)
        return None
    return found
