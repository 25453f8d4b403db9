"""What all cases share: their type, small generators that count decodes, and the mistakes that recur."""

from __future__ import annotations

import dataclasses
import re
import tempfile
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

import latentsearch as ls
from latentsearch.testing import toys


@dataclass(frozen=True)
class Case:
    """A wrong call, and what its error has to tell.

    Attributes:
        name: Which call it is.
        call: Makes the mistake.
        tells: Regular expressions, of either case, each of which the message holds.
        looks: Rows that may be decoded to find the mistake, where it shows in outputs alone.
    """

    name: str
    call: Callable[[], Any]
    tells: tuple[str, ...]
    looks: int = 0


class Decodes:
    """How many rows the generators of this module have decoded."""

    rows = 0


class Line(toys.ElementwiseGenerator):
    """Continuous latents whose decodes are counted."""

    def decode(self, z: Tensor) -> Tensor:
        Decodes.rows += len(z)
        return super().decode(z)


class Codes(toys.CodeGenerator):
    """Grids of codes whose decodes are counted."""

    def decode_embedding(self, e: Tensor) -> Tensor:
        Decodes.rows += len(e)
        return super().decode_embedding(e)


# What a check may decode of a few rows, alone and together.
FEW = 32
LINE, CODES = Line(), Codes()
NEAR_LINE, NEAR_CODES = toys.bowl().constraint, toys.codes().constraint
RUN = ls.Run(evaluations=24)
IMAGES = torch.rand(40, 1, 8, 8, generator=torch.Generator().manual_seed(0))
_FOLDER = tempfile.TemporaryDirectory()
FOLDER = Path(_FOLDER.name)


def small_decoder() -> nn.Module:
    """Vectors of 4 to pictures of 1 x 8 x 8."""
    return nn.Sequential(nn.Linear(4, 64), nn.Sigmoid(), nn.Unflatten(1, (1, 8, 8))).eval()


def small_grid_decoder() -> nn.Module:
    """Grids of 2 x 2 embeddings of width 3 to pictures of 1 x 8 x 8."""
    return nn.Sequential(nn.ConvTranspose2d(3, 1, 4, stride=4), nn.Sigmoid()).eval()


def encoded() -> ls.ContinuousGenerator:
    """A generator of small pictures that has an encoder."""
    encoder = nn.Sequential(nn.Flatten(), nn.Linear(64, 4)).eval()
    return ls.ContinuousGenerator(small_decoder(), (4,), encode=encoder, output_range=(0, 1), check=False)


def encoded_codes() -> ls.CodebookGenerator:
    """A generator of small pictures from codes that has an encoder."""
    encoder = nn.Conv2d(1, 3, 4, stride=4).eval()
    codebook = torch.randn(5, 3, generator=torch.Generator().manual_seed(0))
    return ls.CodebookGenerator(small_grid_decoder(), codebook, (2, 2), encode=encoder, check=False)


def without_gradient() -> ls.Satisfies:
    """A constraint of outputs that has no gradient."""
    return ls.Satisfies(lambda x: x.flatten(1).round().mean(1), differentiable=False, name="steps")


_WHOLE = r"whole number|integer|\bint\b"
_BOUND = r"at least|>=|>|positive|more than|not negative|\bor more|above|from \d|of one\b"
_NUMBER = r"number|float|share|probability|angle|decay|deviation|variance|rate"


def integers(
    what: str,
    setting: str,
    call: Callable[[Any], Any],
    *,
    least: int = 1,
    optional: bool = False,
) -> list[Case]:
    """The mistakes at a setting that is a whole number: other types, and numbers below the least one."""
    wrong: list[Any] = [True, 1.5, "3", [4]] + ([] if optional else [None])
    cases = [_at(what, setting, call, value, (_WHOLE,)) for value in wrong]
    below = sorted({-1, least - 1})
    return cases + [_at(what, setting, call, value, (_BOUND,)) for value in below]


def numbers(
    what: str,
    setting: str,
    call: Callable[[Any], Any],
    *,
    below: Iterable[float] = (),
    optional: bool = False,
    infinite: bool = False,
    lists: bool = False,
) -> list[Case]:
    """The mistakes at a setting that is a number: other types, what is no number, and those out of range."""
    wrong: list[Any] = ["0.5", True, float("nan")] + ([] if optional else [None])
    wrong += [] if infinite else [float("inf")]
    wrong += [] if lists else [[0.5]]
    cases = [_at(what, setting, call, value, (f"{_NUMBER}|finite|{_BOUND}|between|from",)) for value in wrong]
    return cases + [
        _at(what, setting, call, value, (f"{_BOUND}|between|from|in \\(|in \\[|below|<|at most",)) for value in below
    ]


def pairs(what: str, setting: str, call: Callable[[Any], Any]) -> list[Case]:
    """The mistakes at a setting that is a pair of numbers."""
    wrong: list[Any] = [1.0, (1.0,), (1.0, 0.5, 0.1), ("1", "0.1"), (float("nan"), 0.1), (-1.0, 0.1), None]
    return [_at(what, setting, call, value, (r"two|pair|first and (the )?last|numbers|positive|>",)) for value in wrong]


def switches(what: str, setting: str, call: Callable[[Any], Any]) -> list[Case]:
    """The mistakes at a setting that is True or False."""
    return [_at(what, setting, call, value, (r"True|bool",)) for value in ("yes", 2)]


def choices(
    what: str, setting: str, call: Callable[[Any], Any], among: Iterable[str], *, optional: bool = False
) -> list[Case]:
    """The mistakes at a setting that is one of a few words."""
    wrong: list[Any] = ["typo", 3] + ([] if optional else [None])
    return [_at(what, setting, call, value, tuple(among)) for value in wrong]


def _at(what: str, setting: str, call: Callable[[Any], Any], value: Any, tells: tuple[str, ...]) -> Case:
    # One is said as 1 or as 1.0.
    got = re.escape(repr(value)).replace(r"\.0", r"(\.0)?")
    shown = () if isinstance(value, (list, tuple)) else (got,)
    return Case(f"{what}({setting}={value!r})", lambda: call(value), (setting, *shown, *tells))


def settings_of(kind: type) -> dict[str, str]:
    """The fields of a dataclass and their types as they are written."""
    return {each.name: str(each.type) for each in dataclasses.fields(kind) if each.init}
