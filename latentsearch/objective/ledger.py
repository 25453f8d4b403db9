"""Who is searched, what each row has spent, and how it ended: one owner for all three."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from latentsearch.result import Status


class Ledger:
    """Status and spending of all N = B * R rows, and which of them are held in the batch.

    No tensor here is changed in place, and every change is one assignment: an interrupt finds all of a change
    or none of it.

    Args:
        problems: B.
        restarts: R; rows are ordered ``b * R + r``.
        budgets: Evaluations that each problem may spend, restarts together; infinity for no limit.
        device: Where the rows live.

    Attributes:
        held: ``(M,)`` int64, the rows in the batch.
        status: ``(N,)`` int64, values of [Status][latentsearch.Status].
        spent: ``(N,)`` float64, evaluations so far.
    """

    def __init__(
        self,
        problems: int,
        restarts: int = 1,
        budgets: Sequence[float] | None = None,
        device: torch.device | str = "cpu",
    ) -> None:
        self.problems, self.restarts = problems, restarts
        self.held = torch.arange(problems * restarts, device=device)
        self.status = torch.zeros_like(self.held)
        self.spent = torch.zeros_like(self.held, dtype=torch.float64)
        self.budget: Tensor | None = None
        if budgets is not None and any(map(math.isfinite, budgets)):
            self.budget = torch.tensor(list(budgets), dtype=torch.float64, device=device)

    @property
    def problem(self) -> Tensor:
        """``(M,)`` int64: the problem of each held row."""
        return self.held // self.restarts

    @property
    def alive(self) -> Tensor:
        """``(M,)`` bool: held rows that have not ended."""
        return self.of_held(self.status) == Status.RUNNING

    @property
    def whole(self) -> bool:
        """Whether every row is held."""
        return len(self.held) == len(self.status)

    def of_held(self, values: Tensor) -> Tensor:
        """``(N, ...)`` values of all rows to those of the held ones, ``(M, ...)``."""
        return values if self.whole else values[self.held]

    def with_held(self, values: Tensor, held: Tensor) -> Tensor:
        """``(N, ...)`` values of all rows with those of the held ones, ``(M, ...)``, in their places."""
        return held if self.whole else values.index_copy(0, self.held, held)

    def by_problem(self, values: Tensor) -> Tensor:
        """``(N, ...)`` values of all rows as ``(B, R, ...)``."""
        return values.view(self.problems, self.restarts, *values.shape[1:])

    def hold(self, index: Tensor) -> None:
        """Hold only some of the held rows from now on; ``index`` is ascending."""
        self.held = self.held[index]

    # -- how rows end ----------------------------------------------------------------------------

    def end(self, rows: Tensor, status: Status | Tensor) -> None:
        """Give a status to those of the held ``rows``, ``(M,)`` bool, that are still running."""
        held = self.of_held(self.status)
        ended = torch.where(rows & (held == Status.RUNNING), status, held)
        self.status = self.with_held(self.status, ended)

    def interrupt(self) -> None:
        """Say of all rows that a budget ended that they were interrupted."""
        self.status = torch.where(self.status == Status.BUDGET, Status.INTERRUPTED, self.status)

    def revive(self) -> bool:
        """Let held rows go on that a budget or an interrupt had ended; whether there were any."""
        held = self.of_held(self.status)
        halted = (held == Status.BUDGET) | (held == Status.INTERRUPTED)
        self.status = self.with_held(self.status, torch.where(halted, Status.RUNNING, held))
        return bool(halted.any())

    # -- what they spend -------------------------------------------------------------------------

    def charge(self, row: Tensor | None, cost: float | Tensor) -> None:
        """Charge held rows that are alive.

        Args:
            row: ``(n,)`` int64, a charge for each entry; None for one of every row.
            cost: Of each charge; or ``(n,)`` float64, one for each.
        """
        if row is None:
            self.spent = self.with_held(self.spent, self.of_held(self.spent) + cost * self.alive.to(self.spent.dtype))
        else:
            amounts = cost * self.alive[row].to(self.spent.dtype)
            self.spent = self.spent.index_add(0, self.held[row], amounts)

    @property
    def left(self) -> Tensor:
        """``(M,)`` float64: what each held row's problem can still pay for, shared by its live restarts."""
        if self.budget is None:
            return torch.full(self.held.shape, torch.inf, dtype=torch.float64, device=self.held.device)
        problem = self.problem
        live = torch.zeros_like(self.budget).index_add(0, problem, self.alive.to(self.budget.dtype))
        left = self.budget - self.by_problem(self.spent).sum(1)
        return (left / live.clamp(min=1))[problem]
