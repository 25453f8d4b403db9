"""The stages of one run: which problems each one searches, where it starts, and what it hands on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial

import torch
from torch import Tensor

from latentsearch.errors import BrokenFile
from latentsearch.loop import drawn_from
from latentsearch.noise import Noise, mix_int
from latentsearch.problem import Problem
from latentsearch.result import SearchResult, Status
from latentsearch.run import Run
from latentsearch.searchers.stages._any import known
from latentsearch.searchers.stages._budget import Budget, Spent
from latentsearch.searchers.stages._files import StageFiles, root
from latentsearch.searchers.stages._listeners import Listeners
from latentsearch.searchers.stages._merge import CONVERGED, failed, joined
from latentsearch.searchers.stages.stage import Stage

_ENDED = (Status.SATISFIED, Status.NONFINITE, Status.INTERRUPTED)
_RESTART = 5  # the stream of noise that draws starts
STAGE_SEEDS = 0x2545F4914F6CDD1D  # odd, so that no two stages of one run share their noise


class Relay:
    """One run of several stages, each of which goes on where those before it ended."""

    def __init__(self, stages: Sequence[Stage], shares: Sequence[float], problem: Problem, run: Run) -> None:
        self.stages, self.problem, self.run = stages, problem, run
        self.searchers = [known(stage.searcher) for stage in stages]
        self.budget = Budget(run, problem.goal.problems, shares)
        self.files, self.listeners = StageFiles(run.checkpoint), Listeners(run.callbacks)

    def first(self) -> SearchResult:
        """The first stage: the search alone, with a part of the budget."""
        problem, problems = self.problem, list(range(self.problem.goal.problems))
        run = self._run(0, problems, Spent([0.0] * len(problems)))
        try:
            return self._search(0, problem, problems, run)
        except BrokenFile as error:
            raise self.files.broken(error) from root(error)

    def next(self, number: int, before: SearchResult) -> SearchResult:
        """One more stage for the problems that can still gain by it."""
        stage, spent = self.stages[number], Spent.by(before)
        payable = self.budget.payable(spent, self.searchers[number].least_evaluations(self.problem))
        done = (*_ENDED, *CONVERGED) if stage.only == "unproven" else _ENDED
        if stage.keep == "last":
            before = _cut_short(before, payable, done)
        problems = [b for b in payable if before.status[b] not in done]
        if not problems:
            return before
        if self.listeners.stopped or Status.INTERRUPTED in before.status:
            return interrupted(before, problems)
        index = torch.tensor(problems, device=before.latent.device)
        run = self._run(number, problems, spent)
        try:
            after = self._search(number, self._handed_on(number, before, index), problems, run)
        except BrokenFile as error:
            # Nothing is done yet, and the files of all stages are unchanged.
            raise self.files.broken(error) from root(error)
        except KeyboardInterrupt:
            # Between two stages, or while the next one is set up: keep the result so far.
            return interrupted(before, problems)
        except Exception as error:
            raise failed(error, before, index) from error
        together = partial(joined, before, after, index, if_better=stage.keep == "better")
        try:
            return together()
        except KeyboardInterrupt:
            # Both are whole: to put them together again takes no time.
            return interrupted(together(), problems)

    def _search(self, number: int, part: Problem, problems: list[int], run: Run) -> SearchResult:
        searcher = self.searchers[number].select(torch.tensor(problems))
        return searcher.search(part.generator, part.goal, init=part.init, seed=part.seeds, run=run)

    def _run(self, number: int, problems: list[int], spent: Spent) -> Run:
        """The run of one stage: what is left of the limits, and callbacks that see the whole run."""
        self.files.check_budget(number, self.budget.of_stage(number, problems, spent))
        limits, callbacks = self.budget.limits(number, problems, spent), self.listeners.of_stage(problems, spent)
        return replace(self.run, **limits, checkpoint=self.files.of_stage(number), callbacks=callbacks)

    def _handed_on(self, number: int, before: SearchResult, index: Tensor) -> Problem:
        """What a later stage is to search for: some of the problems, with a start and randomness of their own."""
        leaves = sum(searcher.leaves for searcher in self.searchers[:number])
        seeds = tuple(mix_int(self.problem.seeds[b] + leaves * STAGE_SEEDS) for b in index.tolist())
        part = replace(self.problem, goal=self.problem.goal.select(index), init=None, seeds=seeds)
        if self.stages[number].start == "prior":
            return replace(part, init=drawn(part, index.device))
        candidates = before.candidates.latent[index]
        as_many = candidates.shape[1] == self.searchers[number].restarts
        return replace(part, init=candidates if as_many else before.latent[index])


def drawn(problem: Problem, device: torch.device) -> Tensor:
    """A draw from the prior for each problem, ``(b, *S)``, feasible where there is a limit."""
    generator, goal = problem.generator, problem.goal
    noise = Noise.from_seed(problem.seeds, goal.problems, 1, device).fold(_RESTART)
    z = drawn_from(problem).sample(noise)
    limit = goal.limit.to(device, generator.dtype)
    # Within a limit, a search without a start would begin at the centre each time.
    return limit.project(z, lambda _: noise.fold(1).uniform(*z.shape[1:]))


def _cut_short(before: SearchResult, payable: list[int], done: Sequence[Status]) -> SearchResult:
    """The result; problems that stalled are out of budget where the next stage, which would go on, is."""
    status = (
        Status.BUDGET if ended is Status.STALLED and ended not in done and b not in payable else ended
        for b, ended in enumerate(before.status)
    )  # fmt: skip
    return replace(before, status=tuple(status))


def interrupted(before: SearchResult, problems: Sequence[int]) -> SearchResult:
    """The result so far; the given problems are interrupted, except those that had ended by themselves."""
    status = (
        Status.INTERRUPTED if b in problems and ended not in _ENDED else ended
        for b, ended in enumerate(before.status)
    )  # fmt: skip
    return replace(before, status=tuple(status))
