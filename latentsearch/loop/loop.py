"""The only loop: limits, the best so far, rows that end, and what comes out.

Rows are B problems times R restarts, ordered ``b * R + r``. Rows that have ended are frozen on the
device at once and dropped every few steps, which is the only time that the host waits for it.
"""

from __future__ import annotations

import logging
import math
import time
from dataclasses import replace
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from latentsearch._progress import Bar
from latentsearch._rounding import same_losses
from latentsearch._rows import flatten, map_rows
from latentsearch.errors import SearchFailed
from latentsearch.goal import Score
from latentsearch.loop.checkpoint import SavedSearch
from latentsearch.loop.draws import drawn_from
from latentsearch.loop.incumbents import Best, Incumbents
from latentsearch.loop.method import Draw, Proposal
from latentsearch.loop.preflight import preflight
from latentsearch.objective import Ledger, Objective
from latentsearch.problem import Problem
from latentsearch.result import SearchResult, Status
from latentsearch.run import Run, Step

if TYPE_CHECKING:
    from latentsearch.loop.iterative import IterativeSearcher

_log = logging.getLogger("latentsearch")

# Streams of noise; each use folds a constant of its own, and preflight has the others.
_START, _STEP = 2, 3


class Loop:
    """One run of one method."""

    def __init__(
        self,
        method: IterativeSearcher,
        problem: Problem,
        run: Run,
    ) -> None:
        prepared = preflight(method, problem, run.chunk_rows)
        generator, goal, noise, z = problem.generator, prepared.goal, prepared.noise, prepared.z
        problems, restarts, device = goal.problems, method.restarts, generator.device
        self.fingerprint, self.probe = prepared.fingerprint, prepared.probe

        self.method, self.settings, self.noise = method, run, noise
        self.limits = {name: run.limit(name, problems) for name in ("evaluations", "steps", "seconds")}
        self.ledger = Ledger(problems, restarts, self.limits["evaluations"], device)
        self.incumbents = Incumbents(z, self.fingerprint.loss.dtype, self.ledger)
        # The goal's prior is where the goal is now, which may be another device than the user's.
        prior = drawn_from(replace(problem, goal=goal), samples=method.samples)
        self.objective = Objective(generator, goal, run, self.ledger, prior, prepared.form)
        self.state = method.start(self.objective, z, noise.fold(_START))
        step_cost = self.step_cost * restarts
        if 0 < min(self.limits["evaluations"]) < step_cost:
            _log.warning(
                "%s: %g evaluations pay for no step, of which one costs %g: nothing is searched",
                type(method).__name__,
                min(self.limits["evaluations"]),
                step_cost,
            )
        elif shortage := method.shortage(self.objective):
            _log.warning("%s: %s", type(method).__name__, shortage)
        # Steps taken; the time they took; and the step until which no row can run out of budget.
        self.number, self.elapsed, self.paid_until = 0, 0.0, 0
        # Whether what is held could be saved as it is: not in the middle of a step.
        self.whole = True
        self.saved = None if run.checkpoint is None else SavedSearch(self, problem)
        if self.saved is not None:
            self.saved.resume_or_try()
        self.clock = time.perf_counter() - self.elapsed
        total, unit = self._whole_way()
        self.bar = Bar(run.progress, type(method).__name__, unit, total, self._way_done())

    # -- the loop --------------------------------------------------------------------------------

    def run(self) -> SearchResult:
        try:
            self._run()
        except KeyboardInterrupt:
            self.ledger.end(self.ledger.alive, Status.INTERRUPTED)
        except Exception as error:
            self._save_whole()
            raise self._failure(error) from error
        except BaseException:
            # The program ends, as by sys.exit: what was found is in the file.
            self._save_whole()
            raise
        return self._handed_over()

    def _run(self) -> None:
        try:
            self._loop()
        except KeyboardInterrupt:
            self.ledger.end(self.ledger.alive, Status.INTERRUPTED)
        finally:
            self.elapsed = time.perf_counter() - self.clock
            self.bar.close()

    def _handed_over(self) -> SearchResult:
        """The result. What was found is worth the moment that it takes, and yet whoever insists is obeyed."""
        for insisted in (False, True):
            try:
                return self._finish()
            except KeyboardInterrupt as interrupt:
                # A stage to come is to know of it.
                self.ledger.interrupt()
                if insisted:
                    raise self._failure(interrupt) from None
            except Exception as error:
                raise self._failure(error) from error
        raise AssertionError  # the second time it returns or raises

    def _finish(self) -> SearchResult:
        self._save_whole()
        return self._result()

    def _save_whole(self) -> None:
        """Save, but for half a step, as Ctrl-C may leave behind: the last checkpoint is the one to keep then."""
        if self.saved is not None and self.whole:
            self.saved.save_if_possible()

    def _loop(self) -> None:
        run, noise = self.settings, self.noise.fold(_STEP)
        every = run.compact_every or (1 if noise.keys.device.type == "cpu" else 8)
        while True:
            self.whole = False
            look = self._enforce_limits() or self.number % every == 0
            if look and not self._compact():
                self.whole = True
                return
            own = noise if self.ledger.whole else noise[self.ledger.held]
            self.state, proposal = self.method.step(self.objective, self.state, own.fold(self.number))
            self.number += 1
            if proposal is not None:
                # The one place where codes that stand for others give way: nothing that comes out holds one.
                proposal = proposal._replace(latent=self.objective.canonical(proposal.latent))
            self._record(proposal)
            self.whole = True
            if self.bar.due:
                loss, alive = float(self.incumbents.held.loss.mean()), int(self.ledger.alive.sum())
                self.bar.show(self._way_done(), loss=f"{loss:.5g}", rows=alive)
            if any([bool(callback(self._describe(proposal))) for callback in run.callbacks]):
                self.ledger.end(self.ledger.alive, Status.INTERRUPTED)
                return
            if self.saved is not None and self.number % run.checkpoint_every == 0:
                self.saved.save_if_possible()

    def _record(self, proposal: Proposal | Draw | None) -> None:
        """Update the incumbents, and freeze the rows that have ended."""
        ledger = self.ledger
        match proposal:
            case Draw():
                self.incumbents.replace(proposal.latent, proposal.score)
            case Proposal():
                self.incumbents.update(proposal.latent, proposal.score)
        if self.settings.stops(self.objective.per_problem.required):
            ledger.end(self.incumbents.solved(), Status.SATISFIED)
        ledger.end(self._nan_rows(proposal), Status.NONFINITE)
        if proposal is not None and proposal.status is not None:
            ledger.end(ledger.alive, proposal.status)
        self.incumbents.log(time.perf_counter() - self.clock)

    def _nan_rows(self, proposal: Proposal | Draw | None) -> Tensor:
        floating = [t for t in flatten(self.state).values() if t.ndim and t.is_floating_point()]
        if proposal is not None and proposal.score is not None:
            floating.append(proposal.score.loss)
        broken = torch.zeros_like(self.ledger.held, dtype=torch.bool)
        for tensor in floating:
            nan = tensor.isnan()
            broken = broken | (nan.flatten(1).any(1) if nan.ndim > 1 else nan)
        return broken

    # -- limits ----------------------------------------------------------------------------------

    @property
    def step_cost(self) -> float:
        """The most evaluations that the next step, or any after it, costs per row."""
        return self.method.whole_step_cost(self.objective, self.state)

    def _enforce_limits(self) -> bool:
        """End the rows that may not take another step; whether any can have ended."""
        over = [b for b, limit in enumerate(self.limits["steps"]) if self.number >= limit]
        if math.isfinite(min(self.limits["seconds"])):
            elapsed = time.perf_counter() - self.clock
            over += [b for b, limit in enumerate(self.limits["seconds"]) if elapsed >= limit]
        if over:
            hit = torch.zeros(self.ledger.problems, dtype=torch.bool, device=self.ledger.held.device)
            hit[over] = True
            self.ledger.end(hit[self.ledger.problem], Status.BUDGET)
        unpaid = self.ledger.budget is not None and self.number >= self.paid_until
        if unpaid:
            self.ledger.end(self.ledger.left < self.step_cost, Status.BUDGET)
        return bool(over) or unpaid

    def _compact(self) -> bool:
        """Drop the rows that have ended; False if none is left. The one place where the host waits."""
        alive = self.ledger.alive
        if self.number < self.paid_until and bool(alive.all()):
            return True
        held = alive.nonzero()[:, 0]
        if not len(held):
            return False
        least = float(self.ledger.left[held].min())
        self.paid_until = self.number + (int(least // self.step_cost) if math.isfinite(least) else 1 << 62)
        if self.settings.compile:
            held = _padded(held, alive)
        if len(held) < len(alive):
            self.state = map_rows(self.state, lambda t: t[held])
            self.ledger.hold(held)
        return True

    # -- what comes out --------------------------------------------------------------------------

    def _describe(self, proposal: Proposal | Draw | None) -> Step:
        """What a callback sees: copies, so that it may do with them what it likes."""
        ledger, best = self.ledger, self.incumbents.held
        score = None if proposal is None else proposal.score
        return Step(
            number=self.number,
            seconds=self.incumbents.course.seconds,
            row=ledger.held.clone(),
            problem=ledger.problem,
            alive=ledger.alive,
            latent=None if proposal is None else proposal.latent.clone(),
            loss=None if score is None else score.loss.clone(),
            best_latent=best.latent.clone(),
            best_loss=best.loss.clone(),
            best_satisfied=best.satisfied.clone(),
            state=self.state,
            restarts=self.method.restarts,
        )

    def _result(self) -> SearchResult:
        ledger = self.ledger
        winners, latent = self._answers()
        output, score, terms = self.objective.report(latent)
        self._compare(winners, score)
        return SearchResult(
            latent=latent,
            output=output,
            score=score,
            terms=terms,
            status=tuple(Status(value) for value in ledger.status[winners].tolist()),
            evaluations=ledger.by_problem(ledger.spent).sum(1),
            steps=self.number,
            seconds=self.elapsed,
            candidates=self.incumbents.candidates(),
            trace=self.incumbents.trace(),
        )

    def _compare(self, winners: Tensor, score: Score) -> None:
        """Warn if latents have other losses now than when they were found: the decoder is another, or mixes rows."""
        found = self.incumbents.best.loss[winners]
        known = found.isfinite() & score.loss.isfinite()
        if self.objective.per_problem.augmentation is None and not same_losses(score.loss[known], found[known]):
            _log.warning(
                "%s: the answers have losses %s, and had %s when they were found: does the decoder draw noise, keep a "
                "state, or depend on how many rows there are?",
                type(self.method).__name__,
                score.loss.tolist(),
                found.tolist(),
            )

    def _answers(self) -> tuple[Tensor, Tensor]:
        """The row of each problem whose latent is the answer, ``(B,)``, and it: the best; of samples the first."""
        if not self.method.samples:
            rows, answers = self.incumbents.answers()
            return rows, answers.latent
        if not self.incumbents.scored:
            self.incumbents.score(self.objective.rescore(self.incumbents.best.latent), self.elapsed)
        rows = self.incumbents.firsts()
        return rows, self.incumbents.best.latent[rows]

    # -- progress --------------------------------------------------------------------------------

    def _whole_way(self) -> tuple[float | None, str]:
        """How far it is to where a limit ends the search, if one does, and what that is counted in."""
        for name in ("evaluations", "steps"):
            if math.isfinite(most := max(self.limits[name])):
                return most, name
        return None, "steps"

    def _way_done(self) -> float:
        """How far the search has come in what `_whole_way` counts in."""
        if not math.isfinite(max(self.limits["evaluations"])):
            return self.number
        return float(self.ledger.by_problem(self.ledger.spent).sum(1).max())

    def _failure(self, error: BaseException) -> SearchFailed:
        _, answers = self.incumbents.answers()
        message = f"{type(error).__name__} after {self.number} steps: {error}"
        return SearchFailed(message, latent=answers.latent, loss=self._known(answers))

    def _known(self, answers: Best) -> Tensor:
        """``(B,)``: the goal's own loss of answers; where it is not known, infinity."""
        if self.objective.per_problem.augmentation is None:
            return answers.loss
        return torch.where(answers.satisfied, answers.loss, torch.inf)


def _padded(held: Tensor, alive: Tensor) -> Tensor:
    """Live rows filled up to a power of two with ended ones, so that compiled shapes stay few."""
    size = min(1 << (len(held) - 1).bit_length(), len(alive))
    spare = (~alive).nonzero()[: size - len(held), 0]
    return torch.cat([held, spare]).sort().values
