"""Steps along a direction of latent space: the plainest edit."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

import torch
from torch import Tensor
from typing_extensions import Self

from latentsearch._checks import check_per_problem, is_number
from latentsearch._rows import per_row
from latentsearch.errors import InvalidArgument, describe
from latentsearch.loop import IterativeSearcher, Proposal
from latentsearch.noise import Noise
from latentsearch.objective import Objective
from latentsearch.problem import Problem
from latentsearch.result import Status
from latentsearch.spaces import Continuous, LatentSpace


@dataclass
class AlongVector:
    """Where each row started, its vector, and how many steps it has taken."""

    z: Tensor
    vector: Tensor
    taken: Tensor


@dataclass(frozen=True)
class AttributeVectorSearch(IterativeSearcher):
    """Add more and more of an attribute vector to each start, from none of it on.

    With a threshold in the goal a problem ends at the first step that meets it: the least of the vector that is enough.

    Source: White, *Sampling generative networks* (2016), section 3.3, <https://arxiv.org/abs/1609.04468>. His vectors
    are differences of means: of latents of data with an attribute, minus those without.

    Attributes:
        vector: ``(B, *S)``, or ``(1, *S)`` for all problems.
        steps: How many, after the start.
        most: How often the vector is added at the last step.
        restarts: Independent starts a problem.

    Example:
        >>> import torch
        >>> import latentsearch as ls
        >>> generator = ls.ContinuousGenerator(lambda z: z, shape=(2,))
        >>> right = ls.Satisfies(lambda x: 1.2 - x[:, 0], name="right").below(0)
        >>> search = ls.AttributeVectorSearch(torch.tensor([[1.0, 0.0]]), steps=20)
        >>> search.search(generator, right, init=torch.zeros(1, 2), seed=0).latent
        tensor([[1.2000, 0.0000]])
    """

    vector: Tensor
    steps: int = 20
    most: float = 2.0

    spaces: ClassVar[tuple[type, ...]] = (Continuous,)
    needs_gradient: ClassVar[bool] = False

    def __post_init__(self) -> None:
        super().__post_init__()
        self._require_count("steps")
        self._require("most", is_number(self.most) and self.most > 0, "a number above 0")
        if not isinstance(self.vector, Tensor) or not self.vector.is_floating_point():
            got = describe(self.vector) if isinstance(self.vector, Tensor) else type(self.vector).__name__
            raise InvalidArgument("AttributeVectorSearch.vector", got=got, expected="a floating tensor")

    def select(self, index: Tensor) -> Self:
        return self if len(self.vector) == 1 else replace(self, vector=self.vector[index])

    def step_cost(self, space: LatentSpace) -> int:
        return 1

    def check(self, problem: Problem) -> None:
        super().check(problem)
        shape, problems = problem.generator.space.shape, problem.goal.problems
        if tuple(self.vector.shape) not in ((1, *shape), (problems, *shape)):
            expected = f"{(1, *shape)}, or one for each of {problems} problems"
            hint = "vector[None] serves all problems" if tuple(self.vector.shape) == shape else ""
            raise InvalidArgument(
                "AttributeVectorSearch.vector", got=describe(self.vector), expected=expected, hint=hint
            )
        check_per_problem("AttributeVectorSearch.vector", self.vector, finite=True)

    def start(self, objective: Objective, z: Tensor, noise: Noise) -> AlongVector:
        problems = objective.per_problem.problems
        vector = self.vector.to(z).expand(problems, *z.shape[1:])
        return AlongVector(z, vector[objective.ledger.problem], torch.zeros_like(z.flatten(1)[:, 0], dtype=torch.int64))

    def step(self, objective: Objective, state: AlongVector, noise: Noise) -> tuple[AlongVector, Proposal]:
        strength = state.taken.to(state.z.dtype) * (self.most / self.steps)
        z = objective.project(state.z + per_row(strength, state.z) * state.vector)
        status = torch.where(state.taken == self.steps, Status.FINISHED, Status.RUNNING)
        return AlongVector(state.z, state.vector, state.taken + 1), Proposal(z, objective(z), status)
