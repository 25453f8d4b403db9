"""A searcher on one problem: what all laws ask of the two is searched once."""

from __future__ import annotations

import contextlib
import copy
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import torch
from torch import Tensor

from latentsearch.errors import Unsupported
from latentsearch.goal import Constraint, Goal
from latentsearch.noise import Noise
from latentsearch.protocols import AliasedGenerator, Generator, Searcher
from latentsearch.result import SearchResult
from latentsearch.run import Run, Step
from latentsearch.testing._laws import close
from latentsearch.testing._problem import TestProblem
from latentsearch.testing._synchronisations import Synchronisations
from latentsearch.testing.toys import Toy

SEED = 5
RUN = Run(evaluations=60)


@dataclass(frozen=True)
class FirstStep:
    """What became of one step of a search.

    Attributes:
        refusal: Why the problem is not searched, or None.
        decoded: How many rows were decoded.
        scored: Whether it told scores; a chain may draw without, and then no threshold ends it.
    """

    refusal: Unsupported | None
    decoded: float
    scored: bool = True


@dataclass(frozen=True, eq=False)
class Subject:
    """A searcher on one problem."""

    searcher: Searcher
    problem: TestProblem

    @property
    def generator(self) -> Generator:
        """The problem's decoder."""
        return self.problem.generator

    @cached_property
    def constraint(self) -> Constraint | Goal:
        """What should hold, on the generator's device and in its dtype, as a search takes it."""
        return self.problem.constraint.to(self.generator.device, self.generator.dtype)

    @property
    def problems(self) -> int:
        """B."""
        return self.problem.constraint.problems

    @cached_property
    def first_step(self) -> FirstStep:
        """One step on the problem as it is."""
        return self.first_step_with(self.constraint)

    def first_step_with(self, constraint: Constraint | Goal) -> FirstStep:
        """One step. Errors other than Unsupported are left to the laws, which meet them again."""
        counted, decoded = counting(self.generator)
        blind: list[bool] = []

        def watch(step: Step) -> None:
            blind.append(step.latent is not None and step.loss is None)

        try:
            self.searcher.search(counted, constraint, seed=0, run=replace(RUN, steps=1, callbacks=[watch]))
        except Unsupported as refusal:
            return FirstStep(refusal, sum(decoded))
        except Exception:
            return FirstStep(None, sum(decoded))
        return FirstStep(None, sum(decoded), not any(blind))

    @cached_property
    def baseline(self) -> SearchResult:
        """The search that others are compared with."""
        return self.search()

    def search(
        self, constraint: Constraint | Goal | None = None, *, generator: Generator | None = None, **arguments: Any
    ) -> SearchResult:
        """A search with the seed and the budget of all laws, unless told otherwise."""
        settings: dict[str, Any] = {"seed": SEED, "run": RUN} | arguments
        generator = self.generator if generator is None else generator
        constraint = self.constraint if constraint is None else constraint
        return self.searcher.search(generator, constraint, **settings)

    def loss(self, latent: Tensor) -> Tensor:
        """``(B,)``: what hard latents ``(B, *S)`` score."""
        with torch.no_grad():
            return self.constraint(self.generator.decode(latent), latent).loss

    def worth(self, latent: Tensor) -> Tensor:
        """``(B,)``: by what answers are ranked: their loss, infinite where they miss what the goal requires."""
        with torch.no_grad():
            score = self.constraint(self.generator.decode(latent), latent)
        required = self.constraint.goal.required
        return torch.where(score.passed, score.loss, torch.inf) if required else score.loss

    @cached_property
    def start(self) -> Tensor:
        """``(B, *S)``: latents that have nothing to do with the answer."""
        z = self.generator.prior.sample(Noise.from_seed(13, self.problems, device=self.generator.device))
        return self.generator.canonical(z) if isinstance(self.generator, AliasedGenerator) else z

    @cached_property
    def waits(self) -> bool:
        """Whether decoding or scoring makes the host wait, so that a step must; errors are left to the laws."""
        with Synchronisations() as mode, contextlib.suppress(Exception):
            self.loss(self.start)
        return bool(mode.seen)

    def at_most(self, loss: Tensor, bound: Tensor) -> bool:
        """Whether losses are at most these: exactly for toys, else up to the rounding of another batch."""
        if isinstance(self.problem, Toy):
            return bool((loss <= bound).all())
        share = _share(bound.dtype)
        return bool((loss <= bound + share * bound.abs() + share**2).all())

    def same(self, a: Tensor, b: Tensor) -> bool:
        """Whether outputs or losses are the same: exactly for toys, else up to the rounding of another batch."""
        return torch.equal(a, b) if isinstance(self.problem, Toy) else close(a, b)

    def same_answers(self, a: SearchResult, b: SearchResult, pairs: Sequence[tuple[int, int]]) -> bool:
        """Whether problem i of a ended as problem j of b, for pairs (i, j): on toys to the last bit.

        Elsewhere the answers must be equally good: a decoder that rounds by batch may send a search
        on another path, and its evaluations with it.
        """
        i, j = (list(indices) for indices in zip(*pairs, strict=True))
        if not isinstance(self.problem, Toy):
            share = _share(b.score.loss.dtype)
            return torch.allclose(a.score.loss[i], b.score.loss[j], rtol=share, atol=share**2, equal_nan=True)
        same = all(torch.equal(getattr(a, name)[i], getattr(b, name)[j]) for name in ("latent", "evaluations"))
        same = same and torch.equal(a.score.loss[i], b.score.loss[j])
        return same and all(a.status[m] == b.status[n] for m, n in pairs)


def _share(dtype: torch.dtype) -> float:
    """How far losses may be apart, as a share of them, where a search went on from other roundings."""
    return 1e-6 if dtype == torch.float64 else 1e-2


def counting(generator: Generator) -> tuple[Generator, list[float]]:
    """A copy of a generator, and a list to which each call adds how many rows it decodes."""
    # Asked for ahead of the copy: what a changed code reaches is found by decoding, once.
    share_of = {"redecode": getattr(generator, "redecode_share", 1.0)}
    counted, inside = copy.copy(generator), [False]
    rows: list[float] = []

    def count(inner: Callable[..., Tensor], share: float) -> Callable[..., Tensor]:
        def counting(z: Tensor, *arguments: Any) -> Tensor:
            # `decode` may go through `decode_embedding`, which is one pass and not two.
            if inside[0]:
                return inner(z, *arguments)
            rows.append(share * len(z))
            inside[0] = True
            try:
                return inner(z, *arguments)
            finally:
                inside[0] = False

        return counting

    for name in ("decode", "decode_embedding", "redecode"):
        if hasattr(counted, name):
            # Past the guard of a frozen dataclass, whose copy this is.
            object.__setattr__(counted, name, count(getattr(counted, name), share_of.get(name, 1.0)))
    return counted, rows
