"""What a searcher is tried on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, TypeVar

from torch import Tensor

from latentsearch.errors import InvalidArgument
from latentsearch.goal import AnyGoal, Constraint, Goal, Stochastic
from latentsearch.noise import Noise
from latentsearch.protocols import Generator


@dataclass(frozen=True)
class TestProblem:
    """A generator and what should hold of its outputs, for B problems; the best answer, where it is known.

    Some laws need at least two problems: that each is searched alone as among the others, and that
    one whose loss turns NaN leaves the others intact. In float64 rounding hides least.

    Args:
        generator: The decoder.
        constraint: What should hold; one that draws is given noise, unless it has some.
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
        # Laws score answers by hand, too.
        object.__setattr__(self, "constraint", with_noise(self.constraint, self.constraint.problems))


Given = TypeVar("Given", Constraint, Goal, AnyGoal)


def with_noise(constraint: Given, rows: int) -> Given:
    """The constraint with noise of so many rows, if it draws and has none yet."""
    if not isinstance(constraint, Stochastic) or not constraint.needs_noise:
        return constraint
    noisy: Any = constraint.with_noise(Noise.from_seed(31, rows))
    return noisy  # type: ignore[no-any-return]
