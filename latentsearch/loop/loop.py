"""The only loop: limits, the best so far, rows that end, and what comes out.

Rows are B problems times R restarts, ordered ``b * R + r``. Rows that have ended are frozen on the
device at once and dropped every few steps, which is the only time that the host waits for it.
"""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from latentsearch._rows import flatten, map_rows
from latentsearch.algebra import Constraint
from latentsearch.errors import SearchFailed
from latentsearch.loop.checkpoint import SavedSearch
from latentsearch.loop.incumbents import Board
from latentsearch.loop.preflight import check_gradients, check_latents, check_scores
from latentsearch.loop.progress import Progress
from latentsearch.loop.start import check_arguments, initial_latents
from latentsearch.noise import Noise, problem_seeds
from latentsearch.objective import Objective, canonical_of
from latentsearch.protocols import Generator
from latentsearch.result import SearchResult, Status
from latentsearch.run import Run, Step

if TYPE_CHECKING:
    from latentsearch.loop.iterative import IterativeSearcher
    from latentsearch.loop.method import Proposal

_log = logging.getLogger("latentsearch")

# Streams of noise; each use folds a constant of its own.
_INIT, _START, _STEP, _PROBE = 1, 2, 3, 4


class Loop:
    """One run of one method."""

    def __init__(
        self,
        method: IterativeSearcher,
        generator: Generator,
        constraint: Constraint,
        init: Tensor | None,
        seed: int | Sequence[int] | None,
        run: Run,
    ) -> None:
        check_arguments(method, generator, constraint, run)
        problems, restarts, device = constraint.problems, method.restarts, generator.device
        seeds = problem_seeds(seed, problems)
        noise = Noise.from_seed(seeds, problems, restarts, device)
        z = initial_latents(generator, init, noise.fold(_INIT), problems, restarts, constraint.limit)
        method.validate(generator)
        probe = torch.cat([z[:1], generator.prior.sample(noise[:1].fold(_PROBE)).to(z.dtype)])
        probe = canonical_of(generator)(probe)
        constraint, self.probe = check_scores(generator, constraint, probe)
        check_latents(generator, constraint)
        if method.needs_gradient:
            check_gradients(generator, constraint, probe)

        self.method, self.settings, self.noise = method, run, noise
        self.board = Board(z, problems, restarts, self.probe.loss.dtype, constraint.judges)
        self.objective = Objective(generator, constraint, self.board.problem, run)
        self.limits = {name: run.limit(name, problems) for name in ("evaluations", "steps", "seconds")}
        if any(map(math.isfinite, self.limits["evaluations"])):
            self.objective.budget = torch.tensor(self.limits["evaluations"], dtype=torch.float64, device=device)
        self.state = method.start(self.objective, z, noise.fold(_START))
        step_cost = self.step_cost * restarts
        if 0 < min(self.limits["evaluations"]) < step_cost:
            _log.warning(
                "a budget of %g rows pays for no step: one costs %d", min(self.limits["evaluations"]), step_cost
            )
        # Steps taken; the time they took; and the step until which no row can run out of budget.
        self.number, self.elapsed, self.paid_until = 0, 0.0, 0
        # Whether what is held could be saved as it is; whether rows were being dropped when Ctrl-C came.
        self.whole, self.torn = True, False
        self.saved = None if run.checkpoint is None else SavedSearch(self, init, seed, seeds)
        if self.saved is not None:
            self.saved.resume_or_try()

    # -- the loop --------------------------------------------------------------------------------

    def run(self) -> SearchResult:
        self.clock = time.perf_counter() - self.elapsed
        with Progress(self.settings.progress) as progress:
            try:
                self._loop(progress)
            except KeyboardInterrupt:
                self._interrupted()
            except Exception as error:
                raise self._failure(error) from error
        self.elapsed = time.perf_counter() - self.clock
        try:
            return self._finish()
        except KeyboardInterrupt:
            return self._finish()  # what was found is worth the moment that it takes to hand it over

    def _finish(self) -> SearchResult:
        try:
            # Ctrl-C in the middle of a step leaves half a step behind: the last checkpoint is the one to keep.
            if self.saved is not None and self.whole:
                self.saved.save()
            return self._result()
        except Exception as error:
            raise self._failure(error) from error

    def _interrupted(self) -> None:
        board = self.board
        if board.consistent(self.objective.spent):
            self._end(self.objective.alive, Status.INTERRUPTED)
        else:
            # Rows were being dropped, which begins with a flush: the board of all rows is up to date.
            self.torn = True
            running = board.final_status == Status.RUNNING
            board.final_status = torch.where(running, Status.INTERRUPTED, board.final_status)

    def flush(self) -> None:
        if not self.torn:
            self.board.flush(self.objective.spent)

    def _loop(self, progress: Progress) -> None:
        run, noise = self.settings, self.noise.fold(_STEP)
        every = run.compact_every or (1 if noise.keys.device.type == "cpu" else 8)
        while True:
            self.whole = False
            look = self._enforce_limits() or self.number % every == 0
            if look and not self._compact():
                self.whole = True
                return
            own = noise if len(noise) == len(self.board.row) else noise[self.board.row]
            self.state, proposal = self.method.step(self.objective, self.state, own.fold(self.number))
            self.number += 1
            if proposal is not None:
                # The one place where codes that stand for others give way: nothing that comes out holds one.
                proposal = proposal._replace(latent=self.objective.canonical(proposal.latent))
            self._record(proposal)
            self.whole = True
            step = self._describe(proposal)
            progress.show(step)
            if any([bool(callback(step)) for callback in run.callbacks]):
                self._end(self.objective.alive, Status.INTERRUPTED)
                return
            if self.saved is not None and self.number % run.checkpoint_every == 0:
                self.saved.save()

    def _record(self, proposal: Proposal | None) -> None:
        """Put what is better on the board, and freeze the rows that have ended."""
        board, alive = self.board, self.objective.alive
        if proposal is not None:
            board.offer(proposal.latent, proposal.score, alive)
            if board.judges:
                board.end(board.solved(), Status.SATISFIED)
        board.end(self._nan_rows(proposal), Status.NONFINITE)
        if proposal is not None and proposal.status is not None:
            board.end(alive, proposal.status)
        self.objective.alive = board.alive
        board.log(self.objective.spent, time.perf_counter() - self.clock)

    def _nan_rows(self, proposal: Proposal | None) -> Tensor:
        floating = [t for t in flatten(self.state).values() if t.ndim and t.is_floating_point()]
        if proposal is not None:
            floating.append(proposal.score.loss)
        broken = torch.zeros_like(self.objective.alive)
        for tensor in floating:
            nan = tensor.isnan()
            broken = broken | (nan.flatten(1).any(1) if nan.ndim > 1 else nan)
        return broken

    # -- limits ----------------------------------------------------------------------------------

    @property
    def step_cost(self) -> int:
        """The most evaluations that the next step, or any after it, costs per row."""
        return self.method.next_step_cost(self.objective.generator.space, self.state)

    def _enforce_limits(self) -> bool:
        """End the rows that may not take another step; whether any can have ended."""
        over = [b for b, limit in enumerate(self.limits["steps"]) if self.number >= limit]
        if math.isfinite(min(self.limits["seconds"])):
            elapsed = time.perf_counter() - self.clock
            over += [b for b, limit in enumerate(self.limits["seconds"]) if elapsed >= limit]
        if over:
            hit = torch.zeros(self.board.problems, dtype=torch.bool, device=self.board.row.device)
            hit[over] = True
            self._end(hit[self.board.problem], Status.BUDGET)
        unpaid = self.objective.budget is not None and self.number >= self.paid_until
        if unpaid:
            self._end(self.objective.left < self.step_cost, Status.BUDGET)
        return bool(over) or unpaid

    def _end(self, rows: Tensor, status: Status) -> None:
        self.board.end(rows, status)
        self.objective.alive = self.board.alive

    def _compact(self) -> bool:
        """Drop the rows that have ended; False if none is left. The one place where the host waits."""
        alive = self.objective.alive
        if self.number < self.paid_until and bool(alive.all()):
            return True
        held = alive.nonzero()[:, 0]
        if not len(held):
            return False
        least = float(self.objective.left[held].min())
        self.paid_until = self.number + (int(least) // self.step_cost if math.isfinite(least) else 1 << 62)
        if self.settings.compile:
            held = _padded(held, alive)
        if len(held) < len(alive):
            self.board.flush(self.objective.spent)
            self.board.hold(held)
            self.objective.keep(held)
            self.state = map_rows(self.state, lambda t: t[held])
        return True

    # -- what comes out --------------------------------------------------------------------------

    def _describe(self, proposal: Proposal | None) -> Step:
        board = self.board
        return Step(
            number=self.number,
            seconds=board.history[-1][3],
            row=board.row,
            problem=self.objective.problem,
            alive=self.objective.alive,
            latent=None if proposal is None else proposal.latent,
            loss=None if proposal is None else proposal.score.loss,
            best_latent=board.latent,
            best_loss=board.loss,
            best_satisfied=board.satisfied,
            state=self.state,
            restarts=self.method.restarts,
        )

    def _result(self) -> SearchResult:
        board = self.board
        self.flush()
        winners = board.winners()
        latent = board.final_latent[winners]
        output, score, terms = self.objective.report(latent)
        return SearchResult(
            latent=latent,
            output=output,
            score=score,
            terms=terms,
            status=tuple(Status(value) for value in board.final_status[winners].tolist()),
            evaluations=board.spent(),
            steps=self.number,
            seconds=self.elapsed,
            candidates=board.candidates(),
            trace=board.trace(),
        )

    def _failure(self, error: Exception) -> SearchFailed:
        board = self.board
        self.flush()
        winners = board.winners()
        message = f"{type(error).__name__} after {self.number} steps: {error}"
        return SearchFailed(message, latent=board.final_latent[winners], loss=board.final_loss[winners])


def _padded(held: Tensor, alive: Tensor) -> Tensor:
    """Live rows filled up to a power of two with ended ones, so that compiled shapes stay few."""
    size = min(1 << (len(held) - 1).bit_length(), len(alive))
    spare = (~alive).nonzero()[: size - len(held), 0]
    return torch.cat([held, spare]).sort().values
