"""An estimator as it is, or a factory of them from the temperature or width of the moment."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from torch import Tensor, nn

from latentsearch._checks import in_short
from latentsearch.errors import InvalidArgument
from latentsearch.relaxations.estimator import Estimator

EstimatorOrFactory = Estimator | Callable[[Any], Estimator]
"""An estimator, or a function, such as a class of them, from a temperature or width to one."""

_EXPECTED = "an Estimator, or a factory such as GumbelSoftmax that makes one of a number"


def resolve_estimator(estimator: EstimatorOrFactory, number: float | Tensor) -> Estimator:
    """The estimator itself, or what a factory makes of a number.

    Args:
        estimator: One, or a factory.
        number: The temperature or width of the moment; an estimator that is given as it is does not see it.

    Example:
        >>> from latentsearch.relaxations import GumbelSoftmax, ReinMax, resolve_estimator
        >>> resolve_estimator(GumbelSoftmax, 0.5).temperature, resolve_estimator(ReinMax(), 0.5).temperature
        (0.5, 1.0)

    Raises:
        InvalidArgument: If it is neither.
    """
    # A class is a factory, though it has all that the protocol looks for.
    if isinstance(estimator, Estimator) and not isinstance(estimator, type):
        return estimator
    if not callable(estimator):
        raise InvalidArgument("estimator", got=in_short(estimator), expected=_EXPECTED)
    return estimator(number)  # type: ignore[arg-type, call-arg, return-value]


def require_estimator(name: str, estimator: EstimatorOrFactory, number: float | Tensor) -> Estimator:
    """The estimator for a first temperature or width; models and searches check their argument with it before any work.

    Args:
        name: Of the argument, for the message.
        estimator: One, or a factory.
        number: The first temperature or width.

    Example:
        >>> from latentsearch.relaxations import ReinMax, require_estimator
        >>> require_estimator("MyModel.estimator", ReinMax(), 1.0)
        ReinMax(temperature=1.0)

    Raises:
        InvalidArgument: If it is no estimator, or one that could not learn.
    """
    if not callable(estimator):
        raise InvalidArgument(name, got=repr(estimator), expected=_EXPECTED)
    try:
        first = resolve_estimator(estimator, number)
    except (TypeError, InvalidArgument) as error:
        called = getattr(estimator, "__name__", repr(estimator))
        hint = f"write {called}() with its own settings" if isinstance(estimator, type) else ""
        raise InvalidArgument(
            name, got=f"{called}, which makes none of {number:.4g} ({error})", expected=_EXPECTED, hint=hint
        ) from None
    if not isinstance(first, Estimator):
        raise InvalidArgument(name, got=f"a factory that makes {type(first).__name__}", expected=_EXPECTED)
    if first is not estimator and isinstance(first, nn.Module) and any(p.requires_grad for p in first.parameters()):
        got = f"a factory of {type(first).__name__}, whose parameters would be new in every step"
        raise InvalidArgument(name, got=got, expected="what learns as it is, outside a factory")
    return first
