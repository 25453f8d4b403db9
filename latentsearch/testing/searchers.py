"""The laws of searchers, on toys whose optimum is known or on a user's own problems."""

from __future__ import annotations

import contextlib
import itertools
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import ClassVar

import torch
from torch import Tensor

from latentsearch.constraints import Within
from latentsearch.errors import InvalidArgument, SearchFailed
from latentsearch.goal import Constraint, Goal, Score
from latentsearch.loop import IterativeSearcher
from latentsearch.noise import problem_seeds
from latentsearch.protocols import Searcher
from latentsearch.result import SearchResult, Status
from latentsearch.run import Run, Step
from latentsearch.searchers.stages import AugmentedLagrangian, Then
from latentsearch.spaces import Discrete
from latentsearch.testing import toys
from latentsearch.testing._laws import Check, require, run_all
from latentsearch.testing._problem import TestProblem
from latentsearch.testing._subject import RUN, SEED, Subject, counting
from latentsearch.testing._synchronisations import Synchronisations
from latentsearch.testing.constraints import has_limit, has_threshold

# -- on what it depends which laws apply to which problems -------------------------------------------


def is_refused(subject: Subject) -> bool:
    """Whether the searcher says that it cannot search the problem."""
    return subject.first_step.refusal is not None


def is_searched(subject: Subject) -> bool:
    """Whether there is a result to look at."""
    return not is_refused(subject)


def has_neighbours(subject: Subject) -> bool:
    """Whether a problem is searched among others."""
    return is_searched(subject) and subject.problems > 1


def takes_a_threshold(subject: Subject) -> bool:
    """Whether a threshold is the only one, so that an easy one satisfies, and scores are told that can meet it."""
    own = has_threshold(subject.constraint, subject.generator)
    return is_searched(subject) and subject.first_step.scored and not own


def takes_a_limit(subject: Subject) -> bool:
    """Whether a limit is the only one, as there may be no two."""
    return is_searched(subject) and not has_limit(subject.constraint)


def keeps_the_best(subject: Subject) -> bool:
    """Whether the answer is the best that was seen, and not the last state of a chain."""
    return is_searched(subject) and not draws_its_answer(subject.searcher)


def draws_its_answer(searcher: Searcher) -> bool:
    """Whether the answer is a draw from a posterior."""
    return isinstance(searcher, IterativeSearcher) and searcher.samples


def never_waits_itself(subject: Subject) -> bool:
    """Whether only the searcher could make the host wait, and not the decoder."""
    return is_searched(subject) and not subject.waits


# -- the laws ----------------------------------------------------------------------------------------


def some_problem_is_searched(searcher: Searcher, subjects: Sequence[Subject]) -> None:
    """A searcher that refuses all that it is offered has been held to nothing."""
    reasons = "; ".join(dict.fromkeys(str(subject.first_step.refusal) for subject in subjects if is_refused(subject)))
    detail = (
        f"it refused each of the {len(subjects)} problems offered ({reasons}); offer one that it searches: "
        "check_searcher(searcher, on=TestProblem(generator, constraint)), or the pair (searcher, TestProblem(...)) in "
        "parametrize_with_checks"
    )
    require(any(is_searched(subject) for subject in subjects), some_problem_is_searched, searcher, detail)


def unsupported_spaces_raise_before_decoding(searcher: Searcher, subject: Subject) -> None:
    """What it cannot search raises Unsupported, and nothing is decoded for it."""
    decoded, space = subject.first_step.decoded, subject.generator.space
    detail = f"{decoded:g} rows were decoded before it said that it cannot search {space}"
    require(not decoded, unsupported_spaces_raise_before_decoding, searcher, detail)


def scores_are_those_of_the_latents(searcher: Searcher, subject: Subject) -> None:
    """Latents are hard, and decoding them again gives the outputs and the scores reported, of each restart, too."""
    result, law = subject.baseline, scores_are_those_of_the_latents
    require(subject.generator.space.contains(result.latent), law, searcher, f"latents are {result.latent.dtype}")
    with torch.no_grad():
        output = subject.generator.decode(result.latent)
    require(subject.same(output, result.output), law, searcher, "the outputs are not those of the latents")
    loss = subject.loss(result.latent)
    detail = f"{result.score.loss.tolist()} is really {loss.tolist()}"
    require(subject.same(loss, result.score.loss), law, searcher, detail)
    for latent, said in zip(result.candidates.latent.unbind(1), result.candidates.score.loss.unbind(1), strict=True):
        real, scored = subject.loss(latent), said.isfinite()
        detail = f"{said.tolist()} is what its steps proposed for latents of losses {real.tolist()}"
        require(subject.same(real[scored], said[scored]), law, searcher, detail)
    if subject.problem.optimum is not None:
        require((loss >= subject.problem.optimum - 1e-6).all(), law, searcher, "better than the optimum")


def results_are_never_worse_than_init(searcher: Searcher, subject: Subject) -> None:
    """Starting at the solution, or at what was found before where it is not known, that comes back at worst."""
    known = subject.problem.solution
    init = subject.baseline.latent if known is None else known
    # Where something better may be found, a smaller budget and other draws do not, unless from there on.
    run = Run(evaluations=20) if known is None else RUN
    least, found = subject.worth(init), subject.worth(subject.search(init=init, seed=SEED + 1, run=run).latent)
    detail = f"started at losses {least.tolist()} and ended at {found.tolist()}"
    require(subject.at_most(found, least), results_are_never_worse_than_init, searcher, detail)


def traces_are_monotone(searcher: Searcher, subject: Subject) -> None:
    """Best losses only fall, evaluations only rise, and the last entry is the result."""
    result, law = subject.baseline, traces_are_monotone
    trace = result.trace
    require(len(trace.loss) > 0, law, searcher, "nothing was scored: a step costs more than the budgets of the laws")
    require((trace.loss[1:] <= trace.loss[:-1]).all(), law, searcher, "a best loss rose")
    require((trace.evaluations[1:] >= trace.evaluations[:-1]).all(), law, searcher, "evaluations fell")
    require((trace.seconds[1:] >= trace.seconds[:-1]).all(), law, searcher, "time ran backwards")
    require(
        torch.equal(trace.evaluations[-1], result.evaluations),
        law,
        searcher,
        "the last entry has other evaluations than the result",
    )


def budgets_are_kept(searcher: Searcher, subject: Subject) -> None:
    """No problem spends more evaluations than it may, and what is spent is what was decoded."""
    mixed = list(itertools.islice(itertools.cycle([5, 20, 41]), subject.problems))
    for budget in (0, 1, 7, mixed):
        spent = subject.search(run=Run(evaluations=budget)).evaluations
        limit = torch.tensor(budget if isinstance(budget, list) else [budget] * subject.problems).to(spent.device)
        detail = f"a budget of {budget} evaluations, and {spent.tolist()} spent"
        require((spent <= limit).all(), budgets_are_kept, searcher, detail)
    counted, decoded = counting(subject.generator)
    charged = float(subject.search(generator=counted, run=replace(RUN, compact_every=1)).evaluations.sum())
    # Every row decoded is charged, but for the checks before each search and its final decoding.
    detail = f"{sum(decoded):g} rows decoded and {charged:g} charged"
    allowed = _searches_of(searcher) * (4 + subject.problems)
    require(sum(decoded) - charged <= allowed, budgets_are_kept, searcher, detail)


def _searches_of(searcher: Searcher) -> int:
    """How many searches one is made of, each with its checks."""
    match searcher:
        case Then():
            return len(searcher.stages)
        case AugmentedLagrangian():
            return searcher.rounds + 2  # it looks at where problems begin, and scores candidates again
    return 1


def seeds_decide_everything(searcher: Searcher, subject: Subject) -> None:
    """The same seed gives the same result, and torch's global random state is left alone."""
    with torch.random.fork_rng(devices=[]):
        # Another state than the baseline had.
        torch.rand(1)
        before = torch.get_rng_state()
        again = subject.search()
        untouched = torch.equal(before, torch.get_rng_state())
    require(_equal(subject.baseline, again), seeds_decide_everything, searcher, "two runs with one seed differ")
    require(untouched, seeds_decide_everything, searcher, "it drew from torch's global state")


def _equal(a: SearchResult, b: SearchResult) -> bool:
    """The same to the last bit, clocks aside."""
    pairs = [
        (a.latent, b.latent),
        (a.score.loss, b.score.loss),
        (a.evaluations, b.evaluations),
        (a.candidates.latent, b.candidates.latent),
        (a.candidates.score.loss, b.candidates.score.loss),
        (a.trace.loss, b.trace.loss),
        (a.trace.evaluations, b.trace.evaluations),
    ]
    return a.status == b.status and all(torch.equal(x, y) for x, y in pairs)


def problems_together_equal_each_alone(searcher: Searcher, subject: Subject) -> None:
    """B problems in one search give what each gives alone with its seed: on toys, to the last bit."""
    together, seeds = subject.baseline, problem_seeds(SEED, subject.problems)
    for b in range(subject.problems):
        index = torch.tensor([b], device=together.latent.device)
        alone = subject.search(subject.constraint.select(index), seed=[seeds[b]])
        detail = f"problem {b}: loss {float(together.score.loss[b])} among others, {float(alone.score.loss[0])} alone"
        require(subject.same_answers(alone, together, [(0, b)]), problems_together_equal_each_alone, searcher, detail)


def broken_rows_leave_others_intact(searcher: Searcher, subject: Subject) -> None:
    """A problem whose loss turns NaN is quarantined, and the others end as without it.

    A searcher that needs to know every term refuses this one before anything is decoded.
    """
    law, injected = broken_rows_leave_others_intact, torch.zeros(subject.problems, dtype=subject.generator.dtype)
    injected[1] = torch.nan
    broken_goal = subject.constraint + _InjectedNaN(
        injected.to(subject.generator.device), subject.constraint.goal.cell_axes
    )
    if _refused_early(law, searcher, subject, broken_goal):
        return
    broken = subject.search(broken_goal)
    detail = f"problem 1 ended as {broken.status[1].name}"
    require(broken.status[1] == Status.NONFINITE, law, searcher, detail)
    others = [b for b in range(subject.problems) if b != 1]
    own = subject.same(subject.loss(broken.latent)[others], broken.score.loss[others])
    require(own, law, searcher, "a NaN in problem 1 gave the others latents that are not those of their scores")
    same = subject.same_answers(broken, subject.baseline, [(b, b) for b in others])
    require(same, law, searcher, "a NaN in problem 1 changed the others")
    require(subject.generator.space.contains(broken.latent), law, searcher, "the broken problem lost its latent")


def _refused_early(
    law: Callable[..., None], searcher: Searcher, subject: Subject, constraint: Constraint | Goal
) -> bool:
    """Whether a searcher refuses what a law adds to the problem, as it may before anything is decoded."""
    first = subject.first_step_with(constraint)
    if first.refusal is None:
        return False
    detail = f"{first.decoded:g} rows were decoded before it refused {constraint!r}: {first.refusal}"
    require(not first.decoded, law, searcher, detail)
    return True


class _InjectedNaN(Constraint):
    """Adds exactly 0 where the injected value is 0, and makes loss and gradient NaN where it is NaN.

    It has every capability that a term can have, so that a goal it joins keeps those it has.
    """

    tensors: ClassVar[tuple[str, ...]] = ("injected",)

    def __init__(self, injected: Tensor, cell_axes: int) -> None:
        # As many axes as the other terms have, since a goal's map has the fewest of theirs.
        self.injected, self.problems, self.cell_axes = injected, len(injected), cell_axes

    def __call__(self, output: Tensor, latent: Tensor) -> Score:
        loss = output.flatten(1).sum(1) * self.injected
        return Score(loss)

    def residuals(self, output: Tensor, latent: Tensor) -> Tensor:
        return self(output, latent).loss[:, None]

    def loss_map(self, output: Tensor) -> Tensor:
        # 0, or NaN, in one cell that covers all of the output.
        return self(output, output).loss.view(-1, *[1] * self.cell_axes)

    def loss_interval(self, low: Tensor, high: Tensor, allowed: Tensor) -> tuple[Tensor, Tensor]:
        loss = self(low, low).loss
        return loss, loss


def killed_and_resumed_equals_uninterrupted(searcher: Searcher, subject: Subject) -> None:
    """A search killed between two steps and started again ends, to the last bit, as if nothing had been."""
    with tempfile.TemporaryDirectory() as folder:
        saved = replace(RUN, checkpoint=Path(folder) / "search.safetensors", checkpoint_every=2)

        def kill(step: Step) -> None:
            if step.number == 3:
                raise _Killed

        with contextlib.suppress(SearchFailed):
            subject.search(run=replace(saved, callbacks=[kill]))
        resumed = subject.search(run=saved)
    whole = subject.baseline
    detail = f"losses {resumed.score.loss.tolist()} after a resume, {whole.score.loss.tolist()} without"
    require(_equal(resumed, whole), killed_and_resumed_equals_uninterrupted, searcher, detail)


class _Killed(RuntimeError):
    """Stands for the process going away: nothing after it runs."""


def satisfied_problems_stop(searcher: Searcher, subject: Subject) -> None:
    """A problem that is satisfied ends as SATISFIED at once and costs nothing more."""
    easy = subject.constraint.below(torch.finfo(torch.float32).max)
    result, law = subject.search(easy, run=Run(evaluations=5000)), satisfied_problems_stop
    names = [status.name for status in result.status]
    require(set(names) == {"SATISFIED"}, law, searcher, f"an easy threshold ended as {names}")
    detail = f"it went on to spend {result.evaluations.tolist()} evaluations"
    require((result.evaluations <= 64).all(), law, searcher, detail)


def hard_limits_are_kept(searcher: Searcher, subject: Subject) -> None:
    """Within a ball around a source: the search starts at the source, and no restart's answer leaves the ball.

    A searcher that cannot keep within a limit refuses it before anything is decoded.
    """
    law, source = hard_limits_are_kept, subject.start
    limit = Within(source, 2 if isinstance(subject.generator.space, Discrete) else 0.5)
    limited = subject.constraint + limit
    if _refused_early(law, searcher, subject, limited):
        return
    result = subject.search(limited)
    found = result.candidates.latent
    ball = limit.to(found.device, subject.generator.dtype)
    for restart in range(found.shape[1]):
        outside = ~ball.contains(found[:, restart])
        detail = f"it left the ball in problems {outside.nonzero()[:, 0].tolist()}"
        require(not outside.any(), law, searcher, detail)
    whole = Status.NONFINITE not in result.status
    require(whole, law, searcher, "a loss or a gradient at the centre of the ball is not a number")
    least, worth = subject.worth(source), subject.worth(result.latent)
    detail = f"losses {worth.tolist()}, and at the source {least.tolist()}"
    drawn = draws_its_answer(searcher)
    require(drawn or subject.at_most(worth, least), law, searcher, detail)


def steps_do_not_wait_for_the_device(searcher: Searcher, subject: Subject) -> None:
    """Between two steps nothing asks the device for a value."""
    mode = Synchronisations()

    def watch(step: Step) -> bool:
        if step.number == 2:
            mode.start()
        elif step.number == 8:
            mode.stop()
        return step.number >= 8

    try:
        # Not by a limit of steps, of which a search of rounds gives each its share.
        subject.search(run=Run(evaluations=None, compact_every=1000, callbacks=[watch]))
    finally:
        mode.stop()
    require(not mode.seen, steps_do_not_wait_for_the_device, searcher, f"a step called {sorted(set(mode.seen))}")


# Each law with the question to which problems it applies.
LAWS: dict[Callable[[Searcher, Subject], None], Callable[[Subject], bool]] = {
    unsupported_spaces_raise_before_decoding: is_refused,
    scores_are_those_of_the_latents: is_searched,
    results_are_never_worse_than_init: keeps_the_best,
    traces_are_monotone: is_searched,
    budgets_are_kept: is_searched,
    seeds_decide_everything: is_searched,
    problems_together_equal_each_alone: has_neighbours,
    broken_rows_leave_others_intact: has_neighbours,
    killed_and_resumed_equals_uninterrupted: is_searched,
    satisfied_problems_stop: takes_a_threshold,
    hard_limits_are_kept: takes_a_limit,
    steps_do_not_wait_for_the_device: never_waits_itself,
}


def searcher_checks(searcher: Searcher, on: TestProblem | Sequence[TestProblem] | None = None) -> list[Check]:
    """The laws of searchers, as checks on this one; each goes over all problems to which it applies.

    To see which these are, one step is searched on each.
    """
    subjects = _offered(searcher) if on is None else [Subject(searcher, problem) for problem in _several(on)]
    found = []
    if all(is_refused(subject) for subject in subjects):
        found.append(
            Check(some_problem_is_searched.__name__, searcher, partial(some_problem_is_searched, searcher, subjects))
        )
    for law, applies in LAWS.items():
        chosen = [subject for subject in subjects if applies(subject)]
        if chosen:
            found.append(Check(law.__name__, searcher, partial(_on_each, law, searcher, chosen)))
    return found


def _on_each(law: Callable[[Searcher, Subject], None], searcher: Searcher, subjects: Sequence[Subject]) -> None:
    for subject in subjects:
        law(searcher, subject)


def _offered(searcher: Searcher) -> list[Subject]:
    """The toys; the large one for searchers that need a larger space than the others have."""
    *small, large = (Subject(searcher, toy) for toy in toys.several())
    return small if any(is_searched(subject) for subject in small) else [*small, large]


def _several(on: TestProblem | Sequence[TestProblem]) -> Sequence[TestProblem]:
    problems = [on] if isinstance(on, TestProblem) else on
    if not (isinstance(problems, Sequence) and problems and all(isinstance(each, TestProblem) for each in problems)):
        hint = "TestProblem(generator, constraint) is one"
        raise InvalidArgument("on", got=type(on).__name__, expected="a TestProblem, or a list of some", hint=hint)
    return problems


def check_searcher(searcher: Searcher, *, on: TestProblem | Sequence[TestProblem] | None = None) -> None:
    """Raise at the first law of searchers that this one breaks.

    Args:
        searcher: The searcher to look at.
        on: The problem or problems to try it on. The package's toys if None: one of continuous
            latents and one of codes, at least one of which it must be able to search.

    Raises:
        BrokenLaw: Naming the law, the class and what was seen.

    Example:
        >>> import latentsearch as ls
        >>> from latentsearch.testing import check_searcher, toys
        >>> check_searcher(ls.RandomSearch(batch=4))
        >>> check_searcher(ls.RandomSearch(batch=4), on=toys.codes(3, (4, 4)))
    """
    run_all(searcher_checks(searcher, on))
