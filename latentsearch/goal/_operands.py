"""What goals are not made of, and what to write in its place."""

from __future__ import annotations

import types
from functools import partial

from torch import Tensor
from torch.distributions import Distribution

from latentsearch._checks import in_short
from latentsearch.errors import Unsupported

_SUMS = "a goal is a sum of constraints with weights: 2 * a + 0.5 * b"


def no_addend(what: str, other: object) -> Unsupported:
    """The error for something that is no constraint where one is added or required."""
    return Unsupported(what, got=_kind(other), expected="a Constraint or a Goal", hint=_remedy(other))


def no_weight(other: object) -> Unsupported:
    """The error for something that a constraint is multiplied by and that is no number."""
    hint = "write a + b for both" if hasattr(other, "goal") else _SUMS
    if isinstance(other, Tensor) or type(other).__module__ == "numpy":
        hint = "one number weighs all problems alike; weights of pixels are Matches(target, mask=weights)"
    elif callable(getattr(other, "log_prob", None)):
        hint = f"its log-probability is a term: 2 * {_as_term(other)}"
    return Unsupported("weight", got=_kind(other), expected="a number", hint=hint)


def no_operator(sign: str, hint: str) -> Unsupported:
    """The error for an operator that goals have not."""
    what = sign if len(sign) > 2 or sign.endswith("a") else f"a {sign} b"
    return Unsupported(what, got="goals", expected="sums with weights, 2 * a + 0.5 * b", hint=hint)


def _remedy(other: object) -> str:
    if isinstance(other, type):
        return f"make one: {other.__name__}(...)"
    if callable(getattr(other, "log_prob", None)):
        return f"its log-probability is a term: {_as_term(other)}"
    if other is None:
        return ""
    if isinstance(other, (int, float)):
        return "a weight is written 2 * a, a threshold a.below(0.1)"
    if isinstance(other, Tensor):
        return "what outputs should look like is Matches(target)"
    if isinstance(other, (list, tuple)):
        return "add them up: a + b, or sum(constraints)"
    if hasattr(other, "decode") or hasattr(other, "search"):
        return "a searcher takes a generator and a goal: searcher.search(generator, goal)"
    return "wrap the function: Satisfies(function)" if callable(other) else ""


def _as_term(prior: object) -> str:
    wrapped = "ls.priors.DistributionPrior(distribution)" if isinstance(prior, Distribution) else "prior"
    return f"ls.LogPrior({wrapped})"


def _kind(other: object) -> str:
    if isinstance(other, type):
        return in_short(other)
    if isinstance(other, (types.FunctionType, types.MethodType, types.BuiltinFunctionType, partial)):
        return "a bare function"
    return in_short(other)
