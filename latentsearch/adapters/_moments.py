"""What an encoder says of q(z|x): its mean and its standard deviation."""

from __future__ import annotations

from torch import Tensor

from latentsearch.errors import InvalidArgument, describe


def moments(what: str, found: object, shape: tuple[int, ...]) -> tuple[Tensor, Tensor]:
    """Mean and standard deviation, ``(N, *S)`` each.

    Raises:
        InvalidArgument: If they are none: a distribution, a log-variance, of another shape.
    """
    expected = f"mean and standard deviation, floating tensors {shape}"
    if not (isinstance(found, (tuple, list)) and len(found) == 2 and all(isinstance(part, Tensor) for part in found)):
        kind = f"{len(found)} values" if isinstance(found, (tuple, list)) else f"a {type(found).__name__}"
        hint = "of a distribution: lambda x: (q(x).mean, q(x).stddev)"
        raise InvalidArgument(what, got=kind, expected=expected, hint=hint)
    mean, deviation = found
    for part in (mean, deviation):
        if tuple(part.shape) != shape or not part.is_floating_point():
            raise InvalidArgument(what, got=describe(part), expected=expected)
    if not bool((deviation > 0).all()):
        raise InvalidArgument(
            what,
            got=f"standard deviations down to {float(deviation.min()):.3g}",
            expected="positive ones",
            hint="of log-variances they are (log_variance / 2).exp()",
        )
    return mean, deviation
