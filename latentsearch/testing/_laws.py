"""What a law is, and how laws become a function call or pytest cases."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextvars import ContextVar
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from latentsearch.errors import BrokenLaw, InvalidArgument
from latentsearch.noise import Noise
from latentsearch.spaces import Continuous, LatentSpace

if TYPE_CHECKING:
    import pytest


# Each law with the question whether it applies; both are called with the subject and what it is tried on.
Laws = Mapping[Callable[..., None], Callable[..., bool]]

# How often `require` was evaluated in this context, so that a law that looked at nothing is found out.
_required: ContextVar[int] = ContextVar("_required", default=0)


@dataclass(frozen=True)
class Check:
    """One law on one instance; calling it raises BrokenLaw if the law is broken, or if it required nothing.

    Attributes:
        law: The law's name.
        subject: The instance.
        run: The law's body, which evaluates `require` at least once.
    """

    law: str
    subject: Any
    run: Callable[[], None]

    def __call__(self) -> None:
        before = _required.get()
        self.run()
        if _required.get() == before:
            detail = "it required nothing; a law calls latentsearch.testing.require at least once, or does not apply"
            raise BrokenLaw(self.law, self.subject, detail)

    def __str__(self) -> str:
        return f"{type(self.subject).__name__}-{self.law}"


def always(*_: Any) -> bool:
    """For laws that apply to every instance of their kind."""
    return True


def checks_of(subject: Any, laws: Laws, *arguments: Any) -> list[Check]:
    """One check for each law that applies, named after the law's function."""

    def bound(law: Callable[..., None]) -> Callable[[], None]:
        return lambda: law(subject, *arguments)

    return [Check(law.__name__, subject, bound(law)) for law, applies in laws.items() if applies(subject, *arguments)]


def run_all(checks: Sequence[Check]) -> None:
    """Run checks in order; the first broken law raises."""
    for check in checks:
        check()


def parametrize(checks: Sequence[Check], expected_failures: Mapping[str, str]) -> pytest.MarkDecorator:
    """Pytest cases, one id a law; laws that are expected to fail must fail."""
    import pytest

    unknown = set(expected_failures) - {check.law for check in checks}
    if unknown:
        raise ValueError(f"no law that applies is named {', '.join(sorted(unknown))}")
    cases = []
    for number, check in enumerate(checks):
        marks = []
        if check.law in expected_failures:
            reason = expected_failures[check.law]
            marks.append(pytest.mark.xfail(reason=reason, strict=True, raises=BrokenLaw))
        cases.append(pytest.param(check, id=f"{check}-{number}", marks=marks))
    return pytest.mark.parametrize("check", cases)


def require(holds: bool | Tensor, law: Callable[..., None], subject: Any, detail: str) -> None:
    """Raise BrokenLaw unless the law holds.

    Args:
        holds: Whether what was seen is as the law says.
        law: The law's function, which gives its name.
        subject: The instance.
        detail: What was seen, with shapes and sizes.
    """
    _required.set(_required.get() + 1)
    if not bool(holds):
        raise BrokenLaw(law.__name__, subject, detail)


def require_kind(subject: Any, kind: type | tuple[type, ...], expected: str) -> None:
    """Raise InvalidArgument where a kit is given something of another kind."""
    if not isinstance(subject, kind):
        raise InvalidArgument("the kit", got=type(subject).__name__, expected=expected)


def close(a: Tensor, b: Tensor) -> bool:
    """Equal up to what another batch shape may change: 1e-4 of the largest value in float32, 1e-9 in float64."""
    if a.shape != b.shape:
        return False
    if not a.is_floating_point():
        return torch.equal(a, b)
    return torch.allclose(a, b, rtol=0, atol=_slack(a.dtype, b), equal_nan=True)


def at_most(a: Tensor, b: Tensor) -> bool:
    """Nowhere larger, up to what makes no difference to ``close``; what is no number is not."""
    return a.shape == b.shape and bool((a <= b + _slack(a.dtype, b)).all())


def _slack(dtype: torch.dtype, values: Tensor) -> float:
    tolerance = 1e-9 if dtype == torch.float64 else 1e-4
    # A loss beyond a hard limit is infinite, which is no scale.
    finite = values.detach().abs().nan_to_num(0.0, 0.0, 0.0)
    scale = float(finite.max()) if values.numel() and values.is_floating_point() else 0.0
    return tolerance * max(scale, 1.0)


def gap(a: Tensor, b: Tensor) -> float:
    """The largest difference, for messages."""
    return float((a - b).detach().abs().max())


def draw(space: LatentSpace, rows: int, dtype: torch.dtype, device: torch.device, stream: int = 0) -> Tensor:
    """Hard latents of a space, without asking any prior."""
    noise = Noise.from_seed(17, rows, device=device).fold(stream)
    if isinstance(space, Continuous):
        return noise.normal(*space.shape, dtype=dtype)
    return noise.integers(space.codebook_size, *space.shape)


def soft_draw(space: LatentSpace, rows: int, dtype: torch.dtype, device: torch.device) -> Tensor:
    """Latents that a gradient can reach: continuous ones, or soft codes."""
    if isinstance(space, Continuous):
        return draw(space, rows, dtype, device)
    noise = Noise.from_seed(19, rows, device=device)
    return noise.normal(*space.shape, space.codebook_size, dtype=dtype).softmax(-1)
