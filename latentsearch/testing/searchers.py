"""The laws of searchers, on the toys whose optimum is known."""

from __future__ import annotations

import contextlib
import copy
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from latentsearch.algebra import Constraint, Score
from latentsearch.constraints import Within
from latentsearch.errors import SearchFailed, Unsupported
from latentsearch.noise import problem_seeds
from latentsearch.protocols import Searcher
from latentsearch.result import SearchResult, Status
from latentsearch.run import Run, Step
from latentsearch.spaces import Discrete
from latentsearch.testing import toys
from latentsearch.testing._laws import Check, checks_of, require, run_all

_PROBLEMS = 3
_RUN = Run(evaluations=60)


def _toys(dtype: torch.dtype) -> list[toys.Toy]:
    return [toys.bowl(_PROBLEMS, dtype=dtype), toys.codes(_PROBLEMS, dtype=dtype)]


def _large(dtype: torch.dtype) -> toys.Toy:
    """For searchers that want more room than the other toys have."""
    return toys.codes(_PROBLEMS, (4, 4), dtype=dtype)


def _counted(toy: toys.Toy) -> tuple[toys.Toy, list[int]]:
    """The toy with a decoder that notes how many rows it decodes."""
    rows: list[int] = []
    generator = copy.copy(toy.generator)
    name = "decode_embedding" if isinstance(generator, toys.CodeGenerator) else "decode"
    inner: Callable[[Tensor], Tensor] = getattr(generator, name)

    def counting(z: Tensor) -> Tensor:
        rows.append(len(z))
        return inner(z)

    setattr(generator, name, counting)
    return replace(toy, generator=generator), rows


def _supported(searcher: Searcher, dtype: torch.dtype) -> list[toys.Toy]:
    """The toys that the searcher works on; that it says so early is a law of its own."""
    able: list[toys.Toy] = []
    for toy in (*_toys(dtype), _large(dtype)):
        if toy.generator.space.shape == (4, 4) and able:
            break
        with contextlib.suppress(Unsupported):
            searcher.search(toy.generator, toy.constraint, seed=0, run=replace(_RUN, steps=1))
            able.append(toy)
    return able


def _search(searcher: Searcher, toy: toys.Toy, constraint: Constraint | None = None, **arguments: Any) -> SearchResult:
    settings: dict[str, Any] = {"seed": 5, "run": _RUN} | arguments
    return searcher.search(toy.generator, constraint or toy.constraint, **settings)


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


def unsupported_spaces_raise_before_decoding(searcher: Searcher, dtype: torch.dtype) -> None:
    """A space it cannot search raises Unsupported, and nothing is decoded for it."""
    for toy in _toys(dtype):
        toy, rows = _counted(toy)
        try:
            _search(searcher, toy)
        except Unsupported:
            detail = f"{sum(rows)} rows were decoded before it said that it cannot search {toy.generator.space}"
            require(not rows, unsupported_spaces_raise_before_decoding, searcher, detail)


def scores_are_those_of_the_latents(searcher: Searcher, dtype: torch.dtype) -> None:
    """Latents are hard, and decoding them again gives the outputs and the score reported."""
    for toy in _supported(searcher, dtype):
        result = _search(searcher, toy)
        law = scores_are_those_of_the_latents
        require(toy.generator.space.contains(result.latent), law, searcher, f"latents are {result.latent.dtype}")
        output = toy.generator.decode(result.latent)
        loss = toy.constraint(output, result.latent).loss
        require(torch.equal(output, result.output), law, searcher, "the outputs are not those of the latents")
        require(
            torch.equal(loss, result.score.loss),
            law,
            searcher,
            f"{result.score.loss.tolist()} is really {loss.tolist()}",
        )
        require((loss >= toy.optimum - 1e-6).all(), law, searcher, "better than the optimum")


def results_are_never_worse_than_init(searcher: Searcher, dtype: torch.dtype) -> None:
    """Starting at the solution, the solution is what comes back at worst."""
    for toy in _supported(searcher, dtype):
        result = _search(searcher, toy, init=toy.solution)
        detail = f"started at loss 0 and ended at {result.score.loss.tolist()}"
        require((result.score.loss <= toy.optimum).all(), results_are_never_worse_than_init, searcher, detail)


def traces_are_monotone(searcher: Searcher, dtype: torch.dtype) -> None:
    """Best losses only fall, rows only rise, and the last entry is the result."""
    for toy in _supported(searcher, dtype):
        result = _search(searcher, toy)
        law, trace = traces_are_monotone, result.trace
        require((trace.loss[1:] <= trace.loss[:-1]).all(), law, searcher, "a best loss rose")
        require((trace.evaluations[1:] >= trace.evaluations[:-1]).all(), law, searcher, "rows decoded fell")
        require((trace.seconds[1:] >= trace.seconds[:-1]).all(), law, searcher, "time ran backwards")
        require(
            torch.equal(trace.evaluations[-1], result.evaluations),
            law,
            searcher,
            "the last entry has other rows than the result",
        )


def budgets_are_kept(searcher: Searcher, dtype: torch.dtype) -> None:
    """No problem spends more rows than it may, and what is spent is what was decoded."""
    for toy in _supported(searcher, dtype):
        for rows in (0, 1, 7, [5, 20, 41]):
            result = _search(searcher, toy, run=Run(evaluations=rows))
            limit = torch.tensor(rows if isinstance(rows, list) else [rows] * _PROBLEMS)
            detail = f"a budget of {rows} rows, and {result.evaluations.tolist()} spent"
            require((result.evaluations <= limit).all(), budgets_are_kept, searcher, detail)
        counted, decoded = _counted(toy)
        result = _search(searcher, counted, run=replace(_RUN, compact_every=1))
        # Every row decoded is charged, but for the checks before each search and its final decoding.
        uncharged = sum(decoded) - int(result.evaluations.sum())
        detail = f"{sum(decoded)} rows decoded and {int(result.evaluations.sum())} charged"
        searches = len(getattr(searcher, "searchers", (searcher,)))
        require(uncharged <= searches * (4 + _PROBLEMS), budgets_are_kept, searcher, detail)


def seeds_decide_everything(searcher: Searcher, dtype: torch.dtype) -> None:
    """The same seed gives the same result, and torch's global random state is left alone."""
    for toy in _supported(searcher, dtype):
        before = torch.get_rng_state()
        first = _search(searcher, toy)
        torch.rand(1)
        middle = torch.get_rng_state()
        second = _search(searcher, toy)
        require(_equal(first, second), seeds_decide_everything, searcher, "two runs with one seed differ")
        untouched = torch.equal(middle, torch.get_rng_state())
        require(untouched, seeds_decide_everything, searcher, "it drew from torch's global state")
        torch.set_rng_state(before)


def problems_together_equal_each_alone(searcher: Searcher, dtype: torch.dtype) -> None:
    """B problems in one search give, to the last bit, what each gives alone with its seed."""
    seeds = problem_seeds(11, _PROBLEMS)
    for toy in _supported(searcher, dtype):
        together = _search(searcher, toy, seed=seeds)
        for b in range(_PROBLEMS):
            alone = _search(searcher, toy, toy.constraint.select(torch.tensor([b])), seed=[seeds[b]])
            same = (
                torch.equal(alone.latent[0], together.latent[b])
                and torch.equal(alone.score.loss[0], together.score.loss[b])
                and int(alone.evaluations[0]) == int(together.evaluations[b])
                and alone.status[0] == together.status[b]
            )
            detail = (
                f"problem {b}: loss {float(together.score.loss[b])} among others, {float(alone.score.loss[0])} alone"
            )
            require(same, problems_together_equal_each_alone, searcher, detail)


def broken_rows_leave_others_intact(searcher: Searcher, dtype: torch.dtype) -> None:
    """A problem whose loss turns NaN is quarantined, and the others end as without it."""
    poison = torch.tensor([0.0, torch.nan, 0.0], dtype=dtype)
    for toy in _supported(searcher, dtype):
        hurt = toy.constraint + _Poison(poison)
        broken, whole = _search(searcher, toy, hurt), _search(searcher, toy)
        law, keep = broken_rows_leave_others_intact, [0, 2]
        detail = f"problem 1 ended as {broken.status[1].name}"
        require(broken.status[1] == Status.NONFINITE, law, searcher, detail)
        same = torch.equal(broken.latent[keep], whole.latent[keep])
        require(same, law, searcher, "a NaN in problem 1 changed the others")
        require(toy.generator.space.contains(broken.latent), law, searcher, "the broken problem lost its latent")


class _Poison(Constraint):
    """Adds exactly 0 where the poison is 0, and makes loss and gradient NaN where it is NaN."""

    tensors: ClassVar[tuple[str, ...]] = ("poison",)

    def __init__(self, poison: Tensor) -> None:
        self.poison, self.problems = poison, len(poison)

    def __call__(self, output: Tensor, latent: Tensor) -> Score:
        loss = output.flatten(1).sum(1) * self.poison
        return Score(loss, torch.zeros_like(loss, dtype=torch.bool))

    @property
    def pixel_separable(self) -> bool:
        return True

    def loss_map(self, output: Tensor) -> Tensor:
        # 0, or NaN, at any resolution.
        return self(output, output).loss[:, None, None]

    @property
    def least_squares(self) -> bool:
        return True

    def residuals(self, output: Tensor, latent: Tensor) -> Tensor:
        return self(output, latent).loss[:, None]


def killed_and_resumed_equals_uninterrupted(searcher: Searcher, dtype: torch.dtype) -> None:
    """A search killed between two steps and started again ends, to the last bit, as if nothing had been."""
    for toy in _supported(searcher, dtype):
        whole = _search(searcher, toy)
        with tempfile.TemporaryDirectory() as folder:
            saved = replace(_RUN, checkpoint=Path(folder) / "search.safetensors", checkpoint_every=2)

            def kill(step: Step) -> None:
                if step.number == 3:
                    raise _Killed

            with contextlib.suppress(SearchFailed):
                _search(searcher, toy, run=replace(saved, callbacks=[kill]))
            resumed = _search(searcher, toy, run=saved)
        detail = f"losses {resumed.score.loss.tolist()} after a resume, {whole.score.loss.tolist()} without"
        require(_equal(resumed, whole), killed_and_resumed_equals_uninterrupted, searcher, detail)


class _Killed(RuntimeError):
    """Stands for the process going away: nothing after it runs."""


def satisfied_problems_stop(searcher: Searcher, dtype: torch.dtype) -> None:
    """A problem that is satisfied ends as SATISFIED at once and costs nothing more."""
    for toy in _supported(searcher, dtype):
        result = _search(searcher, toy, toy.constraint.below(1e9), run=Run(evaluations=5000))
        law, names = satisfied_problems_stop, [status.name for status in result.status]
        require(set(names) == {"SATISFIED"}, law, searcher, f"an easy wish ended as {names}")
        require(
            (result.evaluations <= 64).all(), law, searcher, f"it went on to spend {result.evaluations.tolist()} rows"
        )


def hard_limits_are_kept(searcher: Searcher, dtype: torch.dtype) -> None:
    """Within a ball around a source: the search starts at the source, and no restart's answer leaves the ball."""
    for toy in _supported(searcher, dtype):
        space, law = toy.generator.space, hard_limits_are_kept
        codes = isinstance(space, Discrete)
        source = (toy.solution + 1) % space.codebook_size if isinstance(space, Discrete) else toy.solution + 1
        limit = Within(source, 2 if codes else 0.5)
        result = _search(searcher, toy, toy.constraint + limit)
        found = result.candidates.latent
        for restart in range(found.shape[1]):
            outside = limit.to(found.device, dtype)(found[:, restart], found[:, restart]).loss > 0
            require(
                not outside.any(), law, searcher, f"it left the ball in problems {outside.nonzero()[:, 0].tolist()}"
            )
        whole = Status.NONFINITE not in result.status
        require(whole, law, searcher, "a loss or a gradient at the centre of the ball is not a number")
        least = toy.constraint(toy.generator.decode(source), source).loss
        detail = f"losses {result.score.loss.tolist()}, and at the source {least.tolist()}"
        require((result.score.loss <= least).all(), law, searcher, detail)


class _Synchronisations(TorchDispatchMode):
    """Notes the operations that make the host wait for the device; they can be seen on the CPU too."""

    NAMES = frozenset({"nonzero", "masked_select", "equal", "_local_scalar_dense", "unique", "_unique2", "is_nonzero"})

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[str] = []

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name = func.overloadpacket.__name__
        if name in self.NAMES and not _in_optimiser():
            self.seen.append(name)
        return func(*args, **(kwargs or {}))


def _in_optimiser() -> bool:
    """Whether torch's own optimiser is asking: it keeps its step counters on the host."""
    return any("torch/optim/" in filename.replace("\\", "/") for filename in _filenames())


def _filenames() -> Iterator[str]:
    import sys

    frame = sys._getframe()
    while frame is not None:
        yield frame.f_code.co_filename
        frame = frame.f_back  # type: ignore[assignment]


def steps_do_not_wait_for_the_device(searcher: Searcher, dtype: torch.dtype) -> None:
    """Between two steps nothing asks the device for a value."""
    for toy in _supported(searcher, dtype):
        mode = _Synchronisations()

        def watch(step: Step, mode: _Synchronisations = mode) -> bool:
            if step.number == 2:
                mode.__enter__()
            elif step.number == 8:
                mode.__exit__(None, None, None)
            return step.number >= 8

        try:
            _search(searcher, toy, run=Run(evaluations=None, steps=8, compact_every=1000, callbacks=[watch]))
        finally:
            if torch.utils._python_dispatch._get_current_dispatch_mode() is mode:
                mode.__exit__(None, None, None)
        require(not mode.seen, steps_do_not_wait_for_the_device, searcher, f"a step called {sorted(set(mode.seen))}")


LAWS = (
    unsupported_spaces_raise_before_decoding,
    scores_are_those_of_the_latents,
    results_are_never_worse_than_init,
    traces_are_monotone,
    budgets_are_kept,
    seeds_decide_everything,
    problems_together_equal_each_alone,
    broken_rows_leave_others_intact,
    killed_and_resumed_equals_uninterrupted,
    satisfied_problems_stop,
    hard_limits_are_kept,
    steps_do_not_wait_for_the_device,
)


def searcher_checks(searcher: Searcher, dtype: torch.dtype = torch.float32) -> list[Check]:
    """The laws of searchers, as checks on this one."""
    return checks_of(searcher, LAWS, dtype)


def check_searcher(searcher: Searcher, dtype: torch.dtype = torch.float32) -> None:
    """Raise at the first law of searchers that this one breaks.

    Args:
        searcher: The searcher to look at.
        dtype: Of the toys' latents.

    Raises:
        BrokenLaw: Naming the law, the class and what was seen.

    Example:
        >>> import latentsearch as ls
        >>> from latentsearch.testing import check_searcher
        >>> check_searcher(ls.RandomSearch(batch=4))
    """
    run_all(searcher_checks(searcher, dtype))
