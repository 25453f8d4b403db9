"""The board: the best hard latent of every row, and how each row ended.

Entries of held rows are updated in every step without asking the device anything; entries of rows
that were dropped wait in the ``final`` tensors, which cover all rows.
"""

from __future__ import annotations

import torch
from torch import Tensor

from latentsearch._rows import per_row
from latentsearch.algebra import Score
from latentsearch.result import Candidates, Status, Trace


def improves(new: Tensor, best: Tensor) -> Tensor:
    """Whether a loss is better than the best by more than rounding can explain.

    Identical rows of one batch can differ by several eps, so a bare ``<`` would see improvement
    where there is none; the margin is 64 eps of the dtype, relative to the best, and at most 0.001:
    in half precision 64 eps would hide real progress.
    """
    limits = torch.finfo(best.dtype)
    return new < best - best.abs().clamp(max=limits.max).mul(min(64 * limits.eps, 1e-3))


class Board:
    """Best so far of the rows held, and of all rows.

    Attributes:
        row: ``(M,)`` int64: the held rows, as ``b * R + r``.
        latent, loss, satisfied, status: The entries of the held rows.
    """

    def __init__(self, z: Tensor, problems: int, restarts: int, dtype: torch.dtype, judges: bool) -> None:
        self.problems, self.restarts, self.judges = problems, restarts, judges
        count, device = len(z), z.device
        self.row = torch.arange(count, device=device)
        self.latent = z
        self.loss = torch.full((count,), torch.inf, dtype=dtype, device=device)
        self.satisfied = torch.zeros(count, dtype=torch.bool, device=device)
        self.status = torch.zeros(count, dtype=torch.int64, device=device)
        self.final_latent, self.final_loss = z.clone(), self.loss.clone()
        self.final_satisfied, self.final_status = self.satisfied.clone(), self.status.clone()
        self.final_spent = torch.zeros_like(self.row, dtype=torch.float64)
        self.history: list[tuple[Tensor, Tensor, Tensor, float]] = []

    @property
    def problem(self) -> Tensor:
        """``(M,)`` int64: the problem of each held row."""
        return self.row // self.restarts

    @property
    def alive(self) -> Tensor:
        """``(M,)`` bool: held rows that have not ended."""
        return self.status == Status.RUNNING

    def offer(self, latent: Tensor, score: Score, alive: Tensor) -> None:
        """Take what is better; where the constraint judges, satisfied beats unsatisfied."""
        loss, satisfied = score.loss, score.satisfied & ~score.loss.isnan()
        better = improves(loss, self.loss)
        if self.judges:
            better = (better & (satisfied | ~self.satisfied)) | (satisfied & ~self.satisfied)
        better = better & alive
        self.loss = torch.where(better, loss, self.loss)
        self.latent = torch.where(per_row(better, self.latent), latent, self.latent)
        if self.judges:
            self.satisfied = torch.where(better, satisfied, self.satisfied)

    def end(self, rows: Tensor, status: Status | Tensor) -> None:
        """Give a status to those of ``rows`` that are still running."""
        self.status = torch.where(rows & (self.status == Status.RUNNING), status, self.status)

    def solved(self) -> Tensor:
        """``(M,)``: rows whose problem is satisfied by any of its restarts."""
        if self.restarts == 1:
            return self.satisfied
        hits = torch.zeros(self.problems, dtype=torch.int64, device=self.row.device)
        return (hits.index_add(0, self.problem, self.satisfied.long()) > 0)[self.problem]

    def log(self, spent: Tensor, seconds: float) -> None:
        """One entry of the trace; the tensors are never changed in place, so no copy is made."""
        self.history.append((self.row, self.loss, spent, seconds))

    def flush(self, spent: Tensor) -> None:
        """Copy the held rows' entries to the tensors of all rows."""
        self.final_latent[self.row] = self.latent
        self.final_loss[self.row] = self.loss
        self.final_satisfied[self.row] = self.satisfied
        self.final_status[self.row] = self.status
        self.final_spent[self.row] = spent

    def hold(self, index: Tensor) -> None:
        """Hold only the rows in ``index``; flush first."""
        self.row, self.status = self.row[index], self.status[index]
        self.latent, self.loss, self.satisfied = self.latent[index], self.loss[index], self.satisfied[index]

    # -- what comes out --------------------------------------------------------------------------

    def winners(self) -> Tensor:
        """``(B,)``: the row of each problem's best restart: satisfied ones first, then the lowest loss."""
        loss, satisfied = self._by_problem(self.final_loss), self._by_problem(self.final_satisfied)
        eligible = satisfied == satisfied.any(1, keepdim=True)
        best = torch.where(eligible, loss, torch.inf).argmin(1)
        return best + torch.arange(self.problems, device=loss.device) * self.restarts

    def candidates(self) -> Candidates:
        """The best of every restart."""
        score = Score(self._by_problem(self.final_loss), self._by_problem(self.final_satisfied))
        return Candidates(self._by_problem(self.final_latent), score, self._by_problem(self.final_status))

    def spent(self) -> Tensor:
        """``(B,)`` float64: rows decoded for each problem."""
        return self._by_problem(self.final_spent).sum(1)

    def trace(self) -> Trace:
        """The course of the search, restarts of a problem taken together."""
        steps, count, device = len(self.history), len(self.final_loss), self.row.device
        loss = torch.full((steps, count), torch.inf, dtype=self.final_loss.dtype, device=device)
        spent = torch.zeros((steps, count), dtype=torch.float64, device=device)
        for t, (row, best, cost, _) in enumerate(self.history):
            if t:  # rows no longer held stay where they were
                loss[t], spent[t] = loss[t - 1], spent[t - 1]
            loss[t, row], spent[t, row] = best, cost
        shape = (steps, self.problems, self.restarts)
        seconds = torch.tensor([entry[3] for entry in self.history], dtype=torch.float64)
        best = loss.view(shape).amin(2)
        # A satisfied latent replaces a better unsatisfied one, so the minimum so far is taken here.
        return Trace(best.cummin(0).values if steps else best, spent.view(shape).sum(2), seconds)

    def _by_problem(self, values: Tensor) -> Tensor:
        return values.view(self.problems, self.restarts, *values.shape[1:])

    # -- checkpoints -----------------------------------------------------------------------------

    _SAVED = (
        "row", "latent", "loss", "satisfied", "status",
        "final_latent", "final_loss", "final_satisfied", "final_status", "final_spent",
    )  # fmt: skip

    def tensors(self) -> dict[str, Tensor]:
        """Everything on the board, for a checkpoint."""
        saved: dict[str, Tensor] = {name: getattr(self, name) for name in self._SAVED}
        columns = zip(*((row, loss, spent) for row, loss, spent, _ in self.history), strict=True)
        for name, column in zip(("row", "loss", "spent"), columns, strict=False):
            saved[f"history.{name}"] = torch.cat(column)
        saved["history.length"] = torch.tensor([len(entry[0]) for entry in self.history], dtype=torch.int64)
        saved["history.seconds"] = torch.tensor([entry[3] for entry in self.history], dtype=torch.float64)
        return saved

    def consistent(self, spent: Tensor) -> bool:
        """Whether all entries are of the same rows; Ctrl-C can come between two assignments."""
        entries = (self.row, self.latent, self.loss, self.satisfied, self.status, spent)
        return len({len(entry) for entry in entries}) == 1

    def restore(self, saved: dict[str, Tensor]) -> bool:
        """Put back what ``tensors`` gave; rows that a budget or Ctrl-C ended, and that are held, go on.

        Returns:
            Whether there were any such rows.
        """
        for name in self._SAVED:
            setattr(self, name, saved[name])
        halted = (self.status == Status.BUDGET) | (self.status == Status.INTERRUPTED)
        self.status = torch.where(halted, Status.RUNNING, self.status)
        lengths = saved["history.length"].tolist()
        columns = (saved[f"history.{name}"].split(lengths) for name in ("row", "loss", "spent"))
        self.history = list(zip(*columns, saved["history.seconds"].tolist(), strict=True)) if lengths else []
        return bool(halted.any())
