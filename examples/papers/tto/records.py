"""What a traversal went through: the grids of codes of every row, in order, and how long each was held."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

import latentsearch as ls


@dataclass
class Visit:
    """One grid that a row passed through.

    Attributes:
        key: A hash of the grid.
        loss: Its loss.
        wait: Steps of the step size until a code changed (or until the search gave up).
    """

    key: int
    loss: float
    wait: int


class Recorder:
    """A callback that writes down every grid that StraightThroughSearch or SinglePositionSearch visits.

    Rows that have ended are dropped by the search as it goes, so everything is filed under `step.row`.

    Attributes:
        visits: For each row its visits, consecutive ones never of the same grid.
        grids: The same as codes, if `keep_grids`.
    """

    def __init__(self, rows: int, keep_grids: bool = False) -> None:
        self.visits: list[list[Visit]] = [[] for _ in range(rows)]
        self.grids: list[list[Tensor]] = [[] for _ in range(rows)]
        self._keep = keep_grids
        self._ended: set[int] = set()
        self._taken = [0] * rows
        self._words: Tensor | None = None

    def __call__(self, step: ls.Step) -> None:
        assert step.latent is not None and step.loss is not None
        keys, taken = self._hash(step.latent).tolist(), step.state.steps.tolist()
        losses, alive = step.loss.tolist(), step.alive.tolist()
        for index, row in enumerate(step.row.tolist()):
            if row in self._ended:  # it waits to be dropped, and is carried along idly
                continue
            self._add(row, Visit(keys[index], losses[index], taken[index] - self._taken[row]), step.latent[index])
            self._taken[row] = taken[index]
            if not alive[index]:
                self._ended.add(row)

    def _add(self, row: int, visit: Visit, grid: Tensor) -> None:
        visits = self.visits[row]
        if visits and visits[-1].key == visit.key:
            # The foreseen flip can miss by rounding; the grid is then scored again, and is the same visit.
            visits[-1].wait += visit.wait
            return
        visits.append(visit)
        if self._keep:
            self.grids[row].append(grid.clone())

    def _hash(self, z: Tensor) -> Tensor:
        """A wrapping sum of one random word for each (position, code)."""
        flat = z.flatten(1)
        if self._words is None:
            draw = torch.Generator().manual_seed(0)
            self._words = torch.randint(1 << 62, (flat.shape[1], 1 << 14), generator=draw)
        return self._words.gather(1, flat.T).sum(0)


@dataclass
class Walk:
    """What became of one row.

    Attributes:
        end: "repeat" (a grid came back), "stall" (no code changed within the patience) or "cap".
        unique: Different grids, the source's included, before the first repeat or the end.
        loop: Moves from the first visit of the grid that came back to its return; 0 without one.
        loop_steps: The same in steps of the step size.
        waits: Steps held at each of the unique grids that was left again.
        best: The lowest loss among the unique grids.
    """

    end: str
    unique: int
    loop: int
    loop_steps: int
    waits: list[int]
    best: float


def walk(visits: list[Visit], patience: int) -> Walk:
    """Follow one row up to its first repeat."""
    first: dict[int, int] = {}
    for index, visit in enumerate(visits):
        if visit.key in first:
            start = first[visit.key]
            waits = [v.wait for v in visits[:index]]
            best = min(v.loss for v in visits[:index])
            return Walk("repeat", index, index - start, sum(waits[start:]), waits, best)
        first[visit.key] = index
    stalled = visits[-1].wait > patience
    waits = [v.wait for v in visits[: len(visits) - stalled]]
    return Walk("stall" if stalled else "cap", len(visits), 0, 0, waits, min(v.loss for v in visits))


def unique_within(visits: list[Visit], patience: int) -> int:
    """Unique grids if the search had given up after `patience` steps without a change.

    In the published pseudocode a grid left by patience is still in the set of grids seen, so that
    ends the outer loop just as a true repeat does.
    """
    seen: set[int] = set()
    for visit in visits:
        if visit.key in seen:
            break
        seen.add(visit.key)
        if visit.wait > patience:
            break
    return len(seen)


@dataclass
class Afterwards:
    """What follows the first repeat.

    Attributes:
        repeat: Index of the visit that was the first repeat.
        moves: Visits that follow it.
        new: How many of them are grids not seen before.
        last_new: Moves after the first repeat until the last of these; 0 if there is none.
        period: Smallest period of which the record ends with three whole rounds; 0 if there is none.
        follows_loop: Whether all that follows is the first loop over and over.
    """

    repeat: int
    moves: int
    new: int
    last_new: int
    period: int
    follows_loop: bool


def afterwards(visits: list[Visit]) -> Afterwards | None:
    """What a row that carried on did after its first repeat; None if it had none."""
    keys = [visit.key for visit in visits]
    seen: dict[int, int] = {}
    repeat = None
    fresh = []
    for index, key in enumerate(keys):
        if key not in seen:
            seen[key] = index
            if repeat is not None:
                fresh.append(index)
        elif repeat is None:
            repeat, period = index, index - seen[key]
    if repeat is None:
        return None
    follows = all(keys[i] == keys[i - period] for i in range(repeat, len(keys)))
    last_new = fresh[-1] - repeat if fresh else 0
    return Afterwards(repeat, len(keys) - repeat - 1, len(fresh), last_new, _period(keys), follows)


def _period(keys: list[int]) -> int:
    for period in range(1, len(keys) // 3 + 1):
        if keys[-period:] == keys[-2 * period : -period] == keys[-3 * period : -2 * period]:
            return period
    return 0
