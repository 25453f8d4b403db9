"""One search after another, each starting from the best that those before it found."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from latentsearch import _checkpoint
from latentsearch.algebra import Constraint
from latentsearch.errors import BrokenFile, InvalidArgument, SearchFailed
from latentsearch.loop import IterativeSearcher
from latentsearch.loop.start import check_arguments, check_types
from latentsearch.noise import Noise, mix_int, problem_seeds
from latentsearch.protocols import Generator, Searcher
from latentsearch.result import SearchResult, Status
from latentsearch.run import Callback, Run, Step
from latentsearch.searchers.stages._merge import CERTIFIED, joined, put_rows
from latentsearch.searchers.stages.stages import Afresh, Further, Stage, Uncertified
from latentsearch.spaces import LatentSpace

_ENDED = (Status.SATISFIED, Status.NONFINITE, Status.INTERRUPTED)
_AFRESH = 5  # the stream of noise that draws starts
_STAGE_SEEDS = 0x2545F4914F6CDD1D  # odd, so that no two stages of one Then share their noise
_CHOSEN = 64  # searches that one that chooses may be made of, at most


@dataclass(frozen=True, init=False)
class Then:
    """All of one search, then the next for the problems that are not solved, within one budget.

    Each starts from the best latents that those before it found: of every restart where both have
    as many, of the problem otherwise. Limits of the run hold for all of them together; of steps and seconds a
    stage leaves to the next what its slowest problem did not take.
    [Afresh][latentsearch.searchers.Afresh] makes one start anew,
    [Uncertified][latentsearch.searchers.Uncertified] leaves alone what has a certificate, and after
    [Further][latentsearch.searchers.Further] what was not bettered keeps its own. A problem for which a stage
    ends NONFINITE is not searched any further: it keeps the best that was found, which is finite if anything was.

    Args:
        *searchers: Two or more.
        shares: Which part of the rows each may spend at most, the last one taking all that is
            left; equal parts if not given. Rows that one leaves unspent go to the next.

    Raises:
        InvalidArgument: If there are fewer than two searchers, or other than one share each.

    Example:
        >>> import latentsearch as ls
        >>> from latentsearch.testing import toys
        >>> toy = toys.codes()
        >>> both = ls.Then(ls.RelaxedSearch(), ls.CoordinateSearch(), shares=(0.3, 0.7))
        >>> result = both.search(toy.generator, toy.constraint, seed=0, run=ls.Run(evaluations=200))
        >>> [status.name for status in result.status]
        ['OPTIMAL', 'OPTIMAL']
    """

    searchers: tuple[Searcher, ...]
    shares: tuple[float, ...]

    def __init__(self, *searchers: Searcher, shares: Sequence[float] | None = None) -> None:
        if len(searchers) < 2:
            hint = "write Then(a, b)"
            raise InvalidArgument("Then", got=f"{len(searchers)} searchers", expected="two or more", hint=hint)
        for searcher in searchers:
            if isinstance(searcher, type) or not callable(getattr(searcher, "search", None)):
                hint = f"write {searcher.__name__}()" if isinstance(searcher, type) else ""
                raise InvalidArgument("Then", got=repr(searcher), expected="searchers", hint=hint)
        parts: list[Any] = [1 / len(searchers)] * len(searchers) if shares is None else _listed(shares)
        if len(parts) != len(searchers) or not all(isinstance(part, (int, float)) and 0 < part <= 1 for part in parts):
            raise InvalidArgument(
                "Then.shares", got=repr(shares), expected=f"{len(searchers)} numbers above 0 and at most 1"
            )
        object.__setattr__(self, "searchers", searchers)
        object.__setattr__(self, "shares", tuple(parts))

    def search(
        self,
        generator: Generator,
        constraint: Constraint,
        *,
        init: Tensor | None = None,
        seed: int | Sequence[int] | None = None,
        run: Run = Run(),  # noqa: B008 - frozen, so sharing one is safe
    ) -> SearchResult:
        """Find latents whose outputs fulfil the constraint; arguments as of every searcher.

        A checkpoint has a file a stage, the stage's number being put into its name. It is taken up
        again with the budget that it was begun with: what a stage hands on depends on that.

        Raises:
            InvalidArgument: If something cannot work.
            BrokenFile: If a checkpoint is of another search, or was begun with another budget.
            SearchFailed: If user code raises in mid-search; it carries the best so far.
        """
        stages = _Stages(self, generator, constraint, seed, run)
        result = stages.first(init)
        for number in range(1, len(self.searchers)):
            result = stages.next(number, result)
        return result


def _listed(shares: object) -> list[Any]:
    return list(shares) if isinstance(shares, Sequence) else [shares]


class _Stages:
    """The stages of one run, and what is left for each."""

    def __init__(
        self, plan: Then, generator: Generator, constraint: Constraint, seed: int | Sequence[int] | None, run: Run
    ) -> None:
        self.plan, self.generator, self.constraint, self.run = plan, generator, constraint, run
        check_types(generator, constraint, run)
        if run.checkpoint is not None and seed is None:
            raise InvalidArgument(
                "seed", got="None with a checkpoint", expected="a seed, without which no run can be resumed"
            )
        for searcher in _methods(plan):
            check_arguments(searcher, generator, constraint, run)
            searcher.validate(generator)
        self.seeds = problem_seeds(seed, constraint.problems)
        self.limits = {name: run.limit(name, constraint.problems) for name in ("evaluations", "steps", "seconds")}
        # Whether a callback said so: where it was at the last step of a stage, no problem's status tells.
        self.stopped = False
        if run.checkpoint is not None and Path(run.checkpoint).exists():
            raise BrokenFile(f"the checkpoint {run.checkpoint} is of a search of one stage; give this one another path")

    def first(self, init: Tensor | None) -> SearchResult:
        problems = list(range(self.constraint.problems))
        run, seeds = self._run(0, problems, None), self._seeds(0, problems)
        try:
            return self.plan.searchers[0].search(self.generator, self.constraint, init=init, seed=seeds, run=run)
        except BrokenFile as error:
            raise self._broken(error) from _root(error)

    def next(self, number: int, before: SearchResult) -> SearchResult:
        """One more stage for the problems that can still gain by it."""
        searcher, payable = self.plan.searchers[number], self._payable(number, before)
        if not isinstance(searcher, Stage):
            before = _cut_short(before, payable)
        done = (*_ENDED, *CERTIFIED) if isinstance(searcher, Uncertified) else _ENDED
        problems = [b for b in payable if before.status[b] not in done]
        if not problems:
            return before
        if self.stopped or Status.INTERRUPTED in before.status:
            return self._interrupted(before, problems)
        index = torch.tensor(problems, device=before.latent.device)
        run = self._run(number, problems, before)
        constraint = self.constraint.select(index)
        try:
            after = searcher.search(
                self.generator, constraint, init=self._start(number, before, index, searcher),
                seed=self._seeds(number, problems), run=run,
            )  # fmt: skip
        except BrokenFile as error:
            # Before anything was done, and the files of all stages are as they were.
            raise self._broken(error) from _root(error)
        except KeyboardInterrupt:
            # Between two stages, or while the next one was being set up: what there is, is kept.
            return self._interrupted(before, problems)
        except Exception as error:
            raise _failed(error, before, index) from error
        return joined(before, after, index, if_better=isinstance(searcher, Afresh | Further))

    def _interrupted(self, before: SearchResult, problems: Sequence[int]) -> SearchResult:
        """What there is, the given problems being interrupted but for those that had come to an end of their own."""
        status = (
            Status.INTERRUPTED if b in problems and ended not in _ENDED else ended
            for b, ended in enumerate(before.status)
        )  # fmt: skip
        return replace(before, status=tuple(status))

    def _payable(self, number: int, before: SearchResult) -> list[int]:
        """The problems with rows enough for one step of a stage, a step to take and time for it."""
        least = _step_cost(self.plan.searchers[number], self.generator.space)
        rows, steps, seconds = (self.limits[name] for name in ("evaluations", "steps", "seconds"))
        return [
            b for b, spent in enumerate(before.evaluations.tolist())
            if rows[b] - spent >= least and steps[b] > before.steps and seconds[b] > before.seconds
        ]  # fmt: skip

    def _start(self, number: int, before: SearchResult, index: Tensor, searcher: Searcher) -> Tensor | None:
        """Where a stage starts: where those before it ended, or at draws from the prior."""
        if not isinstance(searcher, Afresh):
            return _handed_on(before, index, searcher)
        noise = Noise.from_seed(self._seeds(number, index.tolist()), len(index), 1, index.device).fold(_AFRESH)
        z = self.generator.prior.sample(noise)
        limit = self.constraint.select(index).to(index.device, self.generator.dtype).limit
        # Within a hard limit a search that is not told otherwise would start at the centre each time.
        return z if limit is None else limit.project(z, noise.fold(1).uniform(*z.shape[1:]))

    def _seeds(self, number: int, problems: Sequence[int]) -> list[int]:
        """The first stage searches with the seeds given, as it would alone."""
        seeds, before = [self.seeds[b] for b in problems], sum(map(_leaves, self.plan.searchers[:number]))
        return [mix_int(seed + before * _STAGE_SEEDS) for seed in seeds] if number else seeds

    def _run(self, number: int, problems: list[int], before: SearchResult | None) -> Run:
        """The run of one stage: what is left of the limits, and callbacks that see the whole run."""
        steps, seconds = (0, 0.0) if before is None else (before.steps, before.seconds)
        spent = [0] * self.constraint.problems if before is None else before.evaluations.tolist()
        last = number == len(self.plan.searchers) - 1
        share = 1.0 if last else min(sum(self.plan.shares[: number + 1]), 1.0)
        rows = [_part(self.limits["evaluations"][b], share) - spent[b] for b in problems]
        self._check_budget(number, rows)
        return replace(
            self.run,
            evaluations=_left(rows),
            steps=_left([self.limits["steps"][b] - steps for b in problems]),
            seconds=_left([self.limits["seconds"][b] - seconds for b in problems]),
            checkpoint=_stage_path(self.run, number),
            callbacks=[self._heard(_seen_whole(c, problems, steps, seconds)) for c in self.run.callbacks],
        )

    def _heard(self, callback: Callback) -> Callback:
        """The callback, whose wish to stop holds for the stages that are to come."""

        def heard(step: Step) -> bool | None:
            try:
                stop = callback(step)
            except KeyboardInterrupt:
                self.stopped = True
                raise
            self.stopped = self.stopped or bool(stop)
            return stop

        return heard

    def _broken(self, error: BrokenFile) -> BrokenFile:
        """The error of a stage's file, with the names of all that belong together."""
        return BrokenFile(f"{_root(error)}. This search has a file a stage: to begin afresh, delete {self._files()}")

    def _files(self) -> Path:
        """What matches the files of all stages."""
        assert self.run.checkpoint is not None
        return _numbered(Path(self.run.checkpoint), "*")

    def _check_budget(self, number: int, rows: list[float]) -> None:
        """Raise if a stage that has handed on already would now go on, and hand on something else."""
        path, following = (_stage_path(self.run, stage) for stage in (number, number + 1))
        if path is None or following is None or not (path.exists() and following.exists()):
            return
        _, header = _checkpoint.load(path, kind="search")
        begun = [math.inf if limit is None else limit for limit in header["evaluations"]]
        if begun != [max(limit, 0) for limit in rows]:
            raise BrokenFile(
                f"the checkpoint {path} was begun with another budget: stage {number} had {_in_words(begun)} "
                f"evaluations a problem, and would now have {_in_words(rows)}; it would hand on other latents to the "
                "next. Say Run(evaluations=...) as you did then; or, to start anew, delete "
                f"{self._files()} or give another path"
            )


def _cut_short(before: SearchResult, payable: list[int]) -> SearchResult:
    """The result, its problems that stalled being out of budget where the next stage, which would go on, is."""
    status = (
        Status.BUDGET if ended is Status.STALLED and b not in payable else ended
        for b, ended in enumerate(before.status)
    )  # fmt: skip
    return replace(before, status=tuple(status))


def _left(limits: list[float]) -> list[Any] | None:
    return None if math.isinf(min(limits)) else [max(limit, 0) for limit in limits]


def _part(limit: float, share: float) -> float:
    return math.floor(share * limit) if math.isfinite(limit) else limit


def _stage_path(run: Run, number: int) -> Path | None:
    if run.checkpoint is None:
        return None
    return _numbered(Path(run.checkpoint), number)


def _numbered(path: Path, number: int | str) -> Path:
    return path.with_name(f"{path.stem}.{number}{path.suffix}")


def _root(error: BrokenFile) -> BrokenFile:
    """What a stage of a stage raised first."""
    return error.__cause__ if isinstance(error.__cause__, BrokenFile) else error


def _in_words(rows: Sequence[float]) -> str:
    """One number where all problems have as many."""
    words = ["no limit of" if math.isinf(limit) else f"{limit:g}" for limit in rows]
    return words[0] if len(set(words)) == 1 else f"[{', '.join(words)}]"


def _seen_whole(callback: Callback, problems: list[int], steps: int, seconds: float) -> Callback:
    """A callback that sees a stage's steps as steps of the whole run."""

    def seen(step: Step) -> bool | None:
        problem = torch.tensor(problems, device=step.problem.device)[step.problem]
        row = problem * step.restarts + step.row % step.restarts
        whole = replace(step, number=step.number + steps, seconds=step.seconds + seconds, problem=problem, row=row)
        return callback(whole)

    return seen


def _handed_on(before: SearchResult, index: Tensor, searcher: Searcher) -> Tensor:
    """Where the next search starts: ``(b, R, *S)`` or ``(b, *S)``."""
    candidates = before.candidates.latent[index]
    return candidates if candidates.shape[1] == _restarts(searcher) else before.latent[index]


def _restarts(searcher: Searcher) -> int:
    """How many starts a problem it takes: of several stages the first one's."""
    parts = _parts(searcher)
    return _restarts(parts[0]) if parts else int(getattr(searcher, "restarts", 1))


def _methods(searcher: Searcher) -> Iterator[IterativeSearcher]:
    """The methods that it is made of, as far as can be told before it begins."""
    if isinstance(searcher, IterativeSearcher):
        yield searcher
    for part in _parts(searcher):
        yield from _methods(part)


def _parts(searcher: Searcher) -> tuple[Searcher, ...]:
    if isinstance(searcher, Then):
        return searcher.searchers
    return (searcher.searcher,) if isinstance(searcher, Stage) else ()


def _leaves(searcher: Searcher) -> int:
    """How many searches it is made of, so that stages of stages share no noise with those that come after."""
    parts = _parts(searcher)
    if parts:
        return sum(map(_leaves, parts))
    return 1 if isinstance(searcher, IterativeSearcher) else _CHOSEN


def _step_cost(searcher: Searcher, space: LatentSpace) -> int:
    """The least rows that a search can do anything with; 0 where it does not say."""
    parts = _parts(searcher)
    if parts:
        return min(_step_cost(stage, space) for stage in parts)
    return searcher.step_cost(space) * searcher.restarts if isinstance(searcher, IterativeSearcher) else 0


def _failed(error: Exception, before: SearchResult, index: Tensor) -> SearchFailed:
    """The failure of a later stage, with the best of all problems."""
    latent, loss = before.latent, before.score.loss
    if isinstance(error, SearchFailed):
        better = error.loss < loss[index]
        mask = better.view(-1, *[1] * (latent.ndim - 1))
        latent = put_rows(latent, index, torch.where(mask, error.latent, latent[index]))
        loss = put_rows(loss, index, torch.where(better, error.loss, loss[index]))
    return SearchFailed(str(error), latent=latent, loss=loss)
