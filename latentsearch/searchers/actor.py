"""A trained actor as a search: one pass of a network."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

import torch
from torch import Tensor
from typing_extensions import Self

from latentsearch._checks import in_short
from latentsearch.critics import Actor
from latentsearch.errors import InvalidArgument, describe
from latentsearch.loop import IterativeSearcher, Proposal, best_of, project_each, score_each
from latentsearch.noise import Noise
from latentsearch.objective import Objective
from latentsearch.problem import Problem
from latentsearch.result import Status
from latentsearch.spaces import Continuous, LatentSpace


@dataclass
class ActorState:
    """Where each row stands, and the label that is asked of it, ``(M, L)``."""

    z: Tensor
    label: Tensor


@dataclass(frozen=True)
class ActorSearch(IterativeSearcher):
    """Move each start to where an actor maps it, in one step of two evaluations: of the start, and of where it goes.

    Starts are draws of the prior, of which the actor makes samples, or ``init``, which it edits. The answer is the
    better of the two, so that a start that is as it should be stays; with restarts, the best of several. It can be
    where another search begins: ``Then(ActorSearch(actor), GradientSearch())``.

    Source: Engel, Hoffman and Roberts, *Latent constraints* (2018), section 3, <https://arxiv.org/abs/1711.05772>.

    Attributes:
        actor: Trained, by [fit_actor][latentsearch.fit_actor] for instance.
        label: What is asked of it, ``(L,)`` or ``(B, L)`` for B problems; None for an actor without labels.
        restarts: Independent starts a problem.

    Example:
        >>> import torch
        >>> import latentsearch as ls
        >>> from latentsearch.critics import Actor
        >>> from latentsearch.testing import toys
        >>> toy = toys.bowl()
        >>> actor = Actor(toy.generator.space, width=8).eval()
        >>> ls.ActorSearch(actor, restarts=4).search(toy.generator, toy.constraint, seed=0).steps
        1
    """

    actor: Actor
    label: Tensor | None = None

    spaces: ClassVar[tuple[type, ...]] = (Continuous,)
    needs_gradient: ClassVar[bool] = False

    def __post_init__(self) -> None:
        super().__post_init__()
        if not isinstance(self.actor, Actor):
            hint = "ls.fit_actor(generator, images) trains one"
            raise InvalidArgument("ActorSearch.actor", got=in_short(self.actor), expected="an Actor", hint=hint)
        label, asked = self.label, self.actor.labels
        good = label is None if not asked else isinstance(label, Tensor) and label.shape[-1:] == (asked,)
        if not good or (label is not None and label.ndim not in (1, 2)):
            got = "None" if label is None else describe(label) if isinstance(label, Tensor) else repr(label)
            expected = f"({asked},) or (B, {asked})" if asked else "None: this actor takes no labels"
            hint = "actor.one_hot(7) is that of a class" if asked else ""
            raise InvalidArgument("ActorSearch.label", got=got, expected=expected, hint=hint)

    def select(self, index: Tensor) -> Self:
        own = self.label
        return self if own is None or own.ndim == 1 or len(own) == 1 else replace(self, label=own[index])

    def step_cost(self, space: LatentSpace) -> int:
        return 2

    def check(self, problem: Problem) -> None:
        super().check(problem)
        space, problems = problem.generator.space, problem.goal.problems
        if self.actor.space != space:
            expected = f"one over the generator's latents, {space}"
            raise InvalidArgument("ActorSearch.actor", got=f"an actor over {self.actor.space}", expected=expected)
        if self.label is not None and not bool(self.label.isfinite().all()):
            raise InvalidArgument("ActorSearch.label", got="NaN or infinity", expected="finite numbers")
        if self.label is not None and self.label.ndim == 2 and len(self.label) not in (1, problems):
            raise InvalidArgument("ActorSearch.label", got=f"{len(self.label)} rows", expected=f"1 or {problems}")

    def start(self, objective: Objective, z: Tensor, noise: Noise) -> ActorState:
        if self.label is None:
            return ActorState(z, z.new_zeros(len(z), 0))
        label = self.label.to(z).reshape(-1, self.actor.labels).expand(objective.per_problem.problems, -1)
        return ActorState(z, label[objective.ledger.problem])

    def step(self, objective: Objective, state: ActorState, noise: Noise) -> tuple[ActorState, Proposal]:
        with torch.no_grad():
            moved = self.actor(state.z, state.label if self.actor.labels else None)
        both = torch.stack([state.z, moved], 1)
        both = project_each(objective, both)
        best, score = best_of(both, score_each(objective, both))
        return ActorState(best, state.label), Proposal(
            best, score, torch.full_like(score.passed, Status.FINISHED, dtype=torch.int64)
        )
