"""The incumbents: the best hard latent of every row, and the course of the search."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from latentsearch._rows import per_row
from latentsearch.goal import Score
from latentsearch.loop.course import Course
from latentsearch.objective import Ledger
from latentsearch.result import Candidates, Trace


def improves(new: Tensor, best: Tensor) -> Tensor:
    """Whether a loss is better than the best by more than rounding can explain.

    Identical rows of one batch can differ by several eps, so a bare ``<`` would see improvement
    where there is none; the margin is 64 eps of the dtype, relative to the best, and at most 0.001:
    in half precision 64 eps would hide real progress.
    """
    limits = torch.finfo(best.dtype)
    return new < best - best.abs().clamp(max=limits.max).mul(min(64 * limits.eps, 1e-3))


class Best(NamedTuple):
    """The best of some rows.

    Attributes:
        latent: ``(N, *S)``.
        loss: ``(N,)``; infinity before the first proposal.
        satisfied: ``(N,)`` bool.
    """

    latent: Tensor
    loss: Tensor
    satisfied: Tensor


class Incumbents:
    """The best so far of all N rows, replaced whole at every step: an interrupt never finds half of an update.

    Attributes:
        best: The best of all rows, those no longer held included.
        met: Of rows that are searched by another loss than the goal's own, the best by their own that met its
            thresholds; with infinite losses where none did.
        scored: Whether the scores of all of them are known.
    """

    def __init__(self, z: Tensor, dtype: torch.dtype, ledger: Ledger) -> None:
        self.ledger = ledger
        loss = torch.full((len(z),), torch.inf, dtype=dtype, device=z.device)
        self.best = self.met = Best(z, loss, torch.zeros_like(loss, dtype=torch.bool))
        self.scored = True
        self.course = Course(ledger.problems)

    @property
    def held(self) -> Best:
        """The best of the rows held."""
        return Best(*map(self.ledger.of_held, self.best))

    def replace(self, latent: Tensor, score: Score | None) -> None:
        """Take latents for held rows that are alive, whether or not they are better; those of a NaN loss are not."""
        own, taken = self.held, self.ledger.alive
        if score is None:
            self.scored, loss, satisfied = False, torch.full_like(own.loss, torch.inf), torch.zeros_like(own.satisfied)
        else:
            loss, satisfied = score.loss, score.passed
            taken = taken & ~loss.isnan()
        held = Best(
            torch.where(per_row(taken, latent), latent, own.latent),
            torch.where(taken, loss, own.loss),
            torch.where(taken, satisfied, own.satisfied),
        )
        self.best = Best(*map(self.ledger.with_held, self.best, held))

    def score(self, score: Score, seconds: float) -> None:
        """The scores of what is held of all rows ``(N,)``, now that they are known: one more entry of the trace."""
        self.best = Best(self.best.latent, score.loss.to(self.best.loss.dtype), score.passed)
        self.log(seconds)

    def update(self, latent: Tensor, score: Score) -> None:
        """Take what is better for held rows that are alive; satisfied beats unsatisfied.

        Where a search adds something to the goal's own loss, what it goes by is the sum alone; what meets the goal's
        thresholds is kept beside it, by the goal's own loss.
        """
        best = self._updated(self.best, latent, score.loss, score.passed & ~score.loss.isnan())
        met = self.met
        if score.own is not None:
            met = self._updated(met, latent, score.own, score.own.isfinite() & ~score.loss.isnan())
        self.best, self.met = best, met

    def _updated(self, whole: Best, latent: Tensor, loss: Tensor, satisfied: Tensor) -> Best:
        own = Best(*map(self.ledger.of_held, whole))
        better = improves(loss, own.loss) & (satisfied | ~own.satisfied)
        better = (better | (satisfied & ~own.satisfied)) & self.ledger.alive
        held = Best(
            torch.where(per_row(better, latent), latent, own.latent),
            torch.where(better, loss.to(own.loss.dtype), own.loss),
            torch.where(better, satisfied, own.satisfied),
        )
        return Best(*map(self.ledger.with_held, whole, held))

    def solved(self) -> Tensor:
        """``(M,)`` bool: held rows whose problem is satisfied by any of its restarts."""
        satisfied = self.best.satisfied | self.met.satisfied
        return self.ledger.by_problem(satisfied).any(1)[self.ledger.problem]

    def answers(self) -> tuple[Tensor, Best]:
        """The row of each problem's answer, ``(B,)``, and the answers.

        Where a search adds something to the goal's own loss, that is what met the goal's thresholds, if anything did.
        """
        met = self.ledger.by_problem(self.met.satisfied).any(1)
        own = self.ledger.by_problem(self.met.loss).argmin(1) + self.firsts()
        rows = torch.where(met, own, self.winners())
        best, kept = (Best(*(part[rows] for part in whole)) for whole in (self.best, self.met))
        return rows, Best(*(torch.where(per_row(met, a), b, a) for a, b in zip(best, kept, strict=True)))

    def log(self, seconds: float) -> None:
        """One entry of the trace."""
        by_problem = self.ledger.by_problem
        self.course.add(by_problem(self.best.loss).amin(1), by_problem(self.ledger.spent).sum(1), seconds)

    # -- what comes out --------------------------------------------------------------------------

    def firsts(self) -> Tensor:
        """``(B,)``: the row of each problem's first restart."""
        return torch.arange(self.ledger.problems, device=self.best.loss.device) * self.ledger.restarts

    def winners(self) -> Tensor:
        """``(B,)``: the row of each problem's best restart: satisfied ones first, then the lowest loss."""
        loss, satisfied = map(self.ledger.by_problem, self.best[1:])
        eligible = satisfied == satisfied.any(1, keepdim=True)
        best = torch.where(eligible, loss, torch.inf).argmin(1)
        return best + self.firsts()

    def candidates(self) -> Candidates:
        """The best of every restart."""
        latent, loss, satisfied, status = map(self.ledger.by_problem, (*self.best, self.ledger.status))
        return Candidates(latent, Score(loss, satisfied), status)

    def trace(self) -> Trace:
        """The course of the search, restarts of a problem taken together."""
        return self.course.trace(self.ledger.by_problem(self.best.loss)[:, 0])

    # -- checkpoints -----------------------------------------------------------------------------

    def tensors(self) -> dict[str, Tensor]:
        """Incumbents and trace, for a checkpoint."""
        saved: dict[str, Tensor] = self.best._asdict() | {"scored": torch.tensor(self.scored)}
        saved |= {f"met.{name}": part for name, part in self.met._asdict().items()}
        return saved | {f"course.{name}": column for name, column in self.course.tensors().items()}

    def restore(self, saved: dict[str, Tensor]) -> None:
        """Restore what ``tensors`` gave."""
        self.best, self.scored = Best(*(saved[name] for name in Best._fields)), bool(saved["scored"])
        self.met = Best(*(saved[f"met.{name}"] for name in Best._fields))
        self.course.restore({n.removeprefix("course."): t for n, t in saved.items() if n.startswith("course.")})
