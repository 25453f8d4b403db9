"""What a searcher is tried on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from latentsearch.errors import InvalidArgument
from latentsearch.goal import Constraint, Goal
from latentsearch.protocols import Generator


@dataclass(frozen=True)
class TestProblem:
    """A generator and what should hold of its outputs, for B problems; the best answer, where it is known.

    Some laws need at least two problems: that each is searched alone as among the others, and that
    one whose loss turns NaN leaves the others intact. In float64 rounding hides least.

    Args:
        generator: The decoder.
        constraint: What should hold.
        optimum: ``(B,)``: the lowest loss there is, or None.
        solution: ``(B, *S)``: latents that reach it, or None.

    Raises:
        InvalidArgument: If these are no generator and no constraint.

    Example:
        >>> import torch
        >>> import latentsearch as ls
        >>> from latentsearch.testing import TestProblem
        >>> decoder = torch.nn.Linear(3, 5).eval()
        >>> TestProblem(ls.ContinuousGenerator(decoder, (3,)), ls.Matches(torch.zeros(2, 5))).constraint.problems
        2
    """

    __test__: ClassVar[bool] = False  # pytest collects what is named so

    generator: Generator
    constraint: Constraint | Goal
    optimum: Tensor | None = None
    solution: Tensor | None = None

    def __post_init__(self) -> None:
        if not (isinstance(self.generator, Generator) and isinstance(self.constraint, (Constraint, Goal))):
            got = f"{type(self.generator).__name__} and {type(self.constraint).__name__}"
            raise InvalidArgument("TestProblem", got=got, expected="a Generator first, and a Constraint second")
