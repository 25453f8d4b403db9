"""The rounds of one run: searches for the same problems, whose goals know what the rounds before have missed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial

import torch
from torch import Tensor

from latentsearch.errors import BrokenFile, SearchFailed
from latentsearch.goal import Goal, Score
from latentsearch.goal.augmentation import Augmentation
from latentsearch.loop import drawn_from
from latentsearch.loop.preflight import check_scores
from latentsearch.loop.start import initial_latents, prior_samples
from latentsearch.noise import Noise, mix_int
from latentsearch.objective import Objective
from latentsearch.problem import Problem
from latentsearch.protocols import Searcher
from latentsearch.result import Candidates, SearchResult, Status, Trace
from latentsearch.run import Run
from latentsearch.searchers.stages._any import known
from latentsearch.searchers.stages._budget import Budget, Spent
from latentsearch.searchers.stages._files import StageFiles, root
from latentsearch.searchers.stages._listeners import Listeners
from latentsearch.searchers.stages._merge import joined
from latentsearch.searchers.stages._multipliers import Multipliers
from latentsearch.searchers.stages._relay import STAGE_SEEDS, interrupted

_BEGIN, _ELSEWHERE = 6, 7  # streams of noise: where the first penalties are measured
_ENDED = (Status.SATISFIED, Status.NONFINITE, Status.INTERRUPTED)
# What a round proves or stops at is of what it went by, and not of the goal.
_OF_THE_ROUND = {Status.OPTIMAL: Status.FINISHED, Status.STALLED: Status.FINISHED, Status.REPEATED: Status.FINISHED}


@dataclass(frozen=True, eq=False)
class Standing:
    """What some rounds have come to.

    Attributes:
        best: The best of all problems, whose losses are those of `Rounds._ranked`.
        latest: The last round.
        index: ``(b,)``, the problems that it searched for.
        multipliers: Those of all problems in the last round.
        trace: ``loss``, ``evaluations`` and ``seconds`` after each round.
    """

    best: SearchResult
    latest: SearchResult
    index: Tensor
    multipliers: Multipliers
    trace: tuple[tuple[Tensor, Tensor, float], ...]


class Rounds:
    """One run of a search in rounds."""

    def __init__(self, searcher: Searcher, rounds: int, growth: float, problem: Problem, run: Run) -> None:
        self.searcher, self.rounds, self.growth = known(searcher), rounds, growth
        self.problem, self.settings = problem, run
        shares = [1 / (rounds + 1)] * (rounds - 1)
        self.budget = Budget(run, problem.goal.problems, [*shares, 2 / (rounds + 1)], all_limits=True)
        self.files, self.listeners = StageFiles(run.checkpoint), Listeners(run.callbacks)
        generator = problem.generator
        self.goal: Goal = problem.goal.to(generator.device, generator.dtype)

    @staticmethod
    def first_problem(problem: Problem) -> Problem:
        """What the first round searches for, as far as a searcher can tell before anything is decoded."""
        some = torch.ones(problem.goal.problems, len(problem.goal.thresholds), dtype=torch.float32)
        return replace(problem, goal=replace(problem.goal, augmentation=Augmentation(some, some, some)))

    def run(self) -> SearchResult:
        """All rounds."""
        standing = self._first()
        for number in range(1, self.rounds):
            problems = self._searchable(standing.best)
            if not problems:
                break
            if self.listeners.stopped or Status.INTERRUPTED in standing.best.status:
                standing = replace(standing, best=interrupted(standing.best, problems))
                break
            standing = self._kept(standing, problems, partial(self._next, number, standing, problems))
        return self._finished(standing)

    # -- rounds ----------------------------------------------------------------------------------

    def _first(self) -> Standing:
        begun, multipliers = self._begun()
        problems = list(range(self.problem.goal.problems))
        index = torch.arange(len(problems), device=self.problem.generator.device)
        standing = Standing(self._ranked(begun, index), begun, index, multipliers, ())

        def round_() -> Standing:
            latest = self._round(0, self.problem, multipliers, problems, Spent([0.0] * len(problems)))
            best = self._better(standing.best, latest, index)
            return Standing(best, latest, index, multipliers, (_entry(best),))

        return self._kept(standing, problems, round_)

    def _kept(self, before: Standing, problems: list[int], advance: Callable[[], Standing]) -> Standing:
        """One more round, without which nothing of what was found before is lost."""
        try:
            return advance()
        except BrokenFile as error:
            raise self.files.broken(error) from root(error)
        except KeyboardInterrupt:
            best = interrupted(before.best, problems)
            return replace(before, best=best, trace=before.trace or (_entry(best),))
        except Exception as error:
            if not before.trace and not isinstance(error, SearchFailed):
                raise  # what is wrong before the first step is told as it is
            raise self._failure(error, before) from error

    def _failure(self, error: Exception, before: Standing) -> SearchFailed:
        """What was found until a round failed, or in it, if that meets the goal at a lower loss."""
        latent, score = before.best.latent, before.best.score
        loss = torch.where(score.passed, score.loss, torch.inf)
        if isinstance(error, SearchFailed) and len(error.latent) == len(before.index):
            better = error.loss.to(loss.dtype) < loss[before.index]
            rows = before.index[better]
            latent, loss = (
                latent.index_copy(0, rows, error.latent[better]),
                loss.index_copy(0, rows, error.loss[better]),
            )
        return SearchFailed(str(error), latent=latent, loss=loss)

    def _searchable(self, best: SearchResult) -> list[int]:
        """The problems that can go on, and can pay for it."""
        least = self.searcher.least_evaluations(self.first_problem(self.problem))
        payable = self.budget.payable(Spent.by(best), least)
        return [b for b in payable if best.status[b] not in _ENDED]

    def _next(self, number: int, before: Standing, problems: list[int]) -> Standing:
        """One more round for these problems."""
        place = {b: row for row, b in enumerate(before.index.tolist())}
        index = torch.tensor(problems, device=before.index.device)
        rows = torch.tensor([place[b] for b in problems], device=index.device)
        learnt = before.multipliers.of(index).after(self._missed(before.latest, rows, index), self.growth)
        part = self._handed_on(number, before.latest, rows, index)
        latest = self._round(number, part, learnt, problems, Spent.by(before.best))
        best = self._better(before.best, latest, index)
        return Standing(best, latest, index, before.multipliers.put(index, learnt), (*before.trace, _entry(best)))

    def _round(
        self, number: int, part: Problem, multipliers: Multipliers, problems: list[int], spent: Spent
    ) -> SearchResult:
        stricter, dtype = number == self.rounds - 1, self.problem.generator.dtype
        goal = replace(part.goal, augmentation=multipliers.augmentation(stricter=stricter, dtype=dtype))
        self.files.check_budget(number, self.budget.of_stage(number, problems, spent))
        run = replace(
            self.settings,
            **self.budget.limits(number, problems, spent),
            checkpoint=self.files.of_stage(number),
            callbacks=self.listeners.of_stage(problems, spent),
        )
        searcher = self.searcher.select(torch.tensor(problems))
        return searcher.search(part.generator, goal, init=part.init, seed=part.seeds, run=run)

    def _handed_on(self, number: int, latest: SearchResult, rows: Tensor, index: Tensor) -> Problem:
        """What a later round is to search for: where the one before ended, with randomness of its own."""
        leaves = number * self.searcher.leaves
        seeds = tuple(mix_int(self.problem.seeds[b] + leaves * STAGE_SEEDS) for b in index.tolist())
        candidates = latest.candidates.latent
        as_many = candidates.shape[1] == self.searcher.restarts
        init = candidates[rows] if as_many else _lowest(latest)[rows]
        return replace(self.problem, goal=self.problem.goal.select(index), init=init, seeds=seeds)

    def _missed(self, latest: SearchResult, rows: Tensor, index: Tensor) -> Tensor:
        """``(b, n)``: what the lowest point of a round exceeds thresholds by, for the problems in these rows of it."""
        z, goal = _lowest(latest)[rows], self.goal.select(index)
        with torch.no_grad():
            return goal.excess(Objective(self.problem.generator, goal, self.settings).decode(z), z)

    # -- what rounds are judged by -----------------------------------------------------------------

    def _begun(self) -> tuple[SearchResult, Multipliers]:
        """Where the problems begin, as what no search has found yet, and the multipliers for it.

        It is looked at what the goal makes of it, as before any run.
        """
        problem, restarts = self.problem, self.searcher.restarts
        generator, prior = problem.generator, drawn_from(problem)
        noise = Noise.from_seed(problem.seeds, problem.goal.problems, restarts, generator.device)
        z = initial_latents(problem, prior, noise.fold(_BEGIN), restarts)[::restarts]
        check_scores(generator, problem.goal, z[[0, -1]], self.settings.chunk_rows)
        objective = Objective(generator, self.goal, self.settings)
        output, score, terms = objective.report(z)
        other = objective.report(prior_samples(generator, prior, noise[::restarts].fold(_ELSEWHERE)))[1]
        nothing = torch.zeros(len(z), dtype=torch.float64, device=z.device)
        begun = SearchResult(
            latent=z,
            output=output,
            score=score,
            terms=terms,
            status=(Status.BUDGET,) * len(z),
            evaluations=nothing,
            steps=0,
            seconds=0.0,
            candidates=Candidates(z[:, None], score.map(lambda t: t[:, None]), nothing[:, None].long()),
            trace=Trace(score.loss[None][:0], nothing[None][:0], nothing[:0]),
        )
        with torch.no_grad():
            excess = self.goal.select(torch.arange(len(z), device=z.device)).excess(output, z)
        return begun, Multipliers.at(torch.stack([score.loss, other.loss]), excess)

    def _better(self, best: SearchResult, latest: SearchResult, index: Tensor) -> SearchResult:
        """The best of all rounds so far; its status is that of the last one, whichever found it."""
        found = joined(best, self._ranked(latest, index), index, if_better=True)
        status = list(found.status)
        for b, ended in zip(index.tolist(), latest.status, strict=True):
            status[b] = _OF_THE_ROUND.get(ended, ended)
        return replace(found, status=tuple(status))

    def _ranked(self, result: SearchResult, index: Tensor) -> SearchResult:
        """A round's result, with the loss where requirements are met, and elsewhere what is missed, in all."""
        goal = self.goal.select(index)
        with torch.no_grad():
            score, excess = goal(result.output, result.latent), goal.excess(result.output, result.latent)
        missed = excess.clamp(min=0).sum(1).to(score.loss.dtype)
        # NaN stays what it is.
        loss = torch.where(score.passed | score.loss.isnan(), score.loss, missed)
        return replace(result, score=Score(loss, score.passed))

    # -- what comes out ----------------------------------------------------------------------------

    def _finished(self, standing: Standing) -> SearchResult:
        try:
            return self._result(standing)
        except KeyboardInterrupt:
            return self._result(standing)  # what was found is worth the moment that it takes to hand it over
        except Exception as error:
            raise self._failure(error, standing) from error

    def _result(self, standing: Standing) -> SearchResult:
        best, device = standing.best, standing.best.latent.device
        losses, evaluations, seconds = zip(*standing.trace, strict=True)
        trace = Trace(
            torch.stack(losses).cummin(0).values,
            torch.stack(evaluations),
            torch.tensor(seconds, dtype=torch.float64, device=device),
        )
        with torch.no_grad():
            score = self.goal.select(torch.arange(len(best.latent), device=device))(best.output, best.latent)
        return replace(best, score=score, trace=trace, candidates=self._scored(best.candidates))

    def _scored(self, candidates: Candidates) -> Candidates:
        """Candidates with the scores of the goal itself, whatever the rounds added to it."""
        problems, restarts = candidates.status.shape
        problem = torch.arange(problems, device=candidates.latent.device).repeat_interleave(restarts)
        objective = Objective(self.problem.generator, self.goal.select(problem), self.settings)
        _, score, _ = objective.report(candidates.latent.flatten(0, 1))
        return replace(candidates, score=score.map(lambda t: t.view(problems, restarts)))


def _lowest(result: SearchResult) -> Tensor:
    """``(b, *S)``: of a round's candidates those of the lowest sum, which the round went by."""
    loss = torch.where(result.candidates.score.loss.isnan(), torch.inf, result.candidates.score.loss)
    rows = torch.arange(len(loss), device=loss.device)
    return result.candidates.latent[rows, loss.argmin(1)]


def _entry(best: SearchResult) -> tuple[Tensor, Tensor, float]:
    """An entry of the trace: the loss of what meets all requirements, infinity where nothing does."""
    return torch.where(best.score.passed, best.score.loss, torch.inf), best.evaluations, best.seconds
