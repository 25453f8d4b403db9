"""What a law is, and how laws become a function call or pytest cases."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from latentsearch.errors import BrokenLaw, InvalidArgument
from latentsearch.noise import Noise
from latentsearch.spaces import Continuous, LatentSpace

if TYPE_CHECKING:
    import pytest


@dataclass(frozen=True)
class Check:
    """One law on one instance; calling it raises BrokenLaw if the law is broken.

    Attributes:
        law: The law's name.
        subject: The instance.
        run: The law's body.
    """

    law: str
    subject: Any
    run: Callable[[], None]

    def __call__(self) -> None:
        self.run()

    def __str__(self) -> str:
        return f"{type(self.subject).__name__}-{self.law}"


def checks_of(subject: Any, laws: Iterable[Callable[..., None]], *arguments: Any) -> list[Check]:
    """One check a law, named after the law's function."""

    def bound(law: Callable[..., None]) -> Callable[[], None]:
        return lambda: law(subject, *arguments)

    return [Check(law.__name__, subject, bound(law)) for law in laws]


def run_all(checks: Sequence[Check]) -> None:
    """Run checks in order; the first broken law raises."""
    for check in checks:
        check()


def parametrize(checks: Sequence[Check], expected_failures: Mapping[str, str]) -> pytest.MarkDecorator:
    """Pytest cases, one id a law; laws that are expected to fail must fail."""
    import pytest

    unknown = set(expected_failures) - {check.law for check in checks}
    if unknown:
        raise ValueError(f"no law is named {', '.join(sorted(unknown))}")
    cases = []
    for number, check in enumerate(checks):
        marks = []
        if check.law in expected_failures:
            reason = expected_failures[check.law]
            marks.append(pytest.mark.xfail(reason=reason, strict=True, raises=BrokenLaw))
        cases.append(pytest.param(check, id=f"{check}-{number}", marks=marks))
    return pytest.mark.parametrize("check", cases)


def require(holds: bool | Tensor, law: Callable[..., None], subject: Any, detail: str) -> None:
    """Raise BrokenLaw unless the law holds."""
    if not bool(holds):
        raise BrokenLaw(law.__name__, subject, detail)


def require_kind(subject: Any, kind: type, expected: str) -> None:
    """Raise InvalidArgument where a kit is given something of another kind."""
    if not isinstance(subject, kind):
        raise InvalidArgument("the kit", got=type(subject).__name__, expected=expected)


def close(a: Tensor, b: Tensor) -> bool:
    """Equal up to what another batch shape may change: 1e-4 of the largest value in float32, 1e-9 in float64."""
    if a.shape != b.shape:
        return False
    tolerance = 1e-9 if a.dtype == torch.float64 else 1e-4
    # A loss beyond a hard limit is infinite, which is no scale.
    scale = float(b.detach().abs().nan_to_num(0.0, 0.0, 0.0).max()) if b.numel() and b.is_floating_point() else 0.0
    return (
        torch.allclose(a, b, rtol=0, atol=tolerance * max(scale, 1.0), equal_nan=True)
        if a.is_floating_point()
        else torch.equal(a, b)
    )


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
