"""Table 1: how many different grids Algorithms 2 and 3 pass through before one comes back."""

from __future__ import annotations

import statistics
from collections import Counter
from collections.abc import Container, Iterator
from dataclasses import dataclass, replace
from typing import Any

import latentsearch as ls
from tto.bench import PAIR_SEED, Bench
from tto.records import Recorder, Visit, afterwards, unique_within, walk
from tto.reset import ResetSearch

SEARCHES = {"algorithm 2": ls.StraightThroughSearch, "algorithm 3": ls.SinglePositionSearch}
PATIENCE = 1_000_000
PATIENCES = (10, 30, 100, 300, 1_000, 3_000, 10_000, 100_000)
BLOCK = 50  # pairs searched together: memory and cache, no effect on results


@dataclass(frozen=True)
class Setting:
    """One traversal experiment.

    Attributes:
        algorithm: "algorithm 2" or "algorithm 3".
        lr: The step size.
        budget: The most evaluations a pair.
        reading: What becomes of the embedding: it goes on accumulating ("", as published), it is put
            back on the codebook after every step ("snapped"), or whenever codes change ("reset").
    """

    algorithm: str
    lr: float
    budget: int
    reading: str = ""

    @property
    def name(self) -> str:
        return f"{self.algorithm}{self.reading and ' ' + self.reading}, step {self.lr:g}"

    def search(self, on_repeat: str = "stop") -> ls.Searcher:
        if self.reading == "reset":
            return ResetSearch(lr=self.lr, patience=PATIENCE, on_repeat=on_repeat)
        snap = self.reading == "snapped"
        return SEARCHES[self.algorithm](lr=self.lr, patience=PATIENCE, snap=snap, on_repeat=on_repeat)


# 0.1 is the paper's step if its loss was a mean over pixels, 307.2 if it was a sum over 3,072 of them.
SWEEP = [
    *(Setting("algorithm 2", lr, budget=800) for lr in (0.1, 30.0, 100.0, 307.2)),
    Setting("algorithm 2", 1e3, budget=300),
    *(Setting("algorithm 2", lr, budget=160) for lr in (3e3, 1e4, 3e4)),
    *(Setting("algorithm 3", lr, budget=400) for lr in (0.1, 30.0, 307.2, 3e3, 3e4)),
    *(Setting("algorithm 2", lr, budget=160, reading="snapped") for lr in (307.2, 1e3, 1.5e3, 3e3, 1e4, 2e4, 3e4, 5e4)),
    *(Setting("algorithm 3", lr, budget=300, reading="snapped") for lr in (3e3, 3e4)),
    *(Setting("algorithm 2", lr, budget=200, reading="reset") for lr in (3e3, 6e3, 1e4, 2e4)),
]
CARRY_ON = [
    Setting("algorithm 2", 0.1, budget=1000),
    Setting("algorithm 2", 307.2, budget=1000),
    Setting("algorithm 3", 0.1, budget=500),
    Setting("algorithm 2", 2e4, budget=300, reading="snapped"),
    Setting("algorithm 2", 1e4, budget=200, reading="reset"),
    Setting("algorithm 3", 5e4, budget=300, reading="snapped"),
]
CARRY_ON_PAIRS = 30


def traverse(bench: Bench, setting: Setting, on_repeat: str = "stop") -> list[list[Visit]]:
    """The visits of every pair, from the encoded source."""
    visits: list[list[Visit]] = []
    for start in range(0, len(bench), BLOCK):
        part = bench.part(start, start + BLOCK)
        recorder = Recorder(len(part))
        run = ls.Run(evaluations=setting.budget, callbacks=[recorder])
        setting.search(on_repeat).search(part.generator, part.goal, init=part.encoded(), seed=PAIR_SEED, run=run)
        visits += recorder.visits
    return visits


def sweep(bench: Bench, settings: list[Setting], done: Container[str]) -> Iterator[tuple[str, dict[str, Any]]]:
    """One entry of the log for each setting that is not done yet."""
    own = bench.own_loss().tolist()
    for setting in settings:
        if setting.name in done:
            continue
        visits = traverse(bench, setting)
        walks = [walk(v, PATIENCE) for v in visits]
        loops = [w.loop for w in walks if w.loop]
        waits = [wait for w in walks for wait in w.waits]
        yield setting.name, {
            "algorithm": setting.algorithm, "reading": setting.reading, "lr": setting.lr, "cap_rows": setting.budget,
            "pairs": len(walks),
            "ends": dict(Counter(w.end for w in walks)),
            "unique": _statistics([w.unique for w in walks]),
            "unique_of_repeats": _statistics([w.unique for w in walks if w.end == "repeat"]),
            "loop": _statistics(loops) | {"of_length_2": sum(n == 2 for n in loops)},
            "loop_steps": _statistics([w.loop_steps for w in walks if w.loop]),
            "waits": _quantiles(waits),
            "wait_deviation_over_mean": statistics.pstdev(waits) / statistics.mean(waits) if waits else None,
            "best_over_own": _mean_ratio([w.best for w in walks], own),
            "within_patience": {str(p): _statistics([unique_within(v, p) for v in visits]) for p in PATIENCES},
            "each_end": "".join(w.end[0] for w in walks),
            "each_unique": [w.unique for w in walks],
            "each_loop": [w.loop for w in walks],
        }  # fmt: skip


def carry_on(bench: Bench, settings: list[Setting], done: Container[str]) -> Iterator[tuple[str, dict[str, Any]]]:
    """The same with on_repeat="continue": what happens after the first repeat."""
    own = bench.own_loss().tolist()
    for setting in settings:
        if setting.name in done:
            continue
        visits = traverse(bench, setting, "continue")
        found = [afterwards(v) for v in visits]
        after = [a for a in found if a is not None]
        news = [a for a in after if a.new]
        yield setting.name, {
            "algorithm": setting.algorithm, "reading": setting.reading, "lr": setting.lr, "cap_rows": setting.budget,
            "pairs": len(found),
            "repeated": len(after),
            "visit_new_grids": len(news),
            "new_grids": _statistics([a.new for a in after]),
            "moves_after": _statistics([a.moves for a in after]),
            "new_share_of_moves": sum(a.new for a in after) / max(sum(a.moves for a in after), 1),
            "new_in_last_tenth": sum(a.last_new > 0.9 * a.moves for a in news),
            "end_periodic": sum(a.period > 0 for a in after),
            "periods": sorted(a.period for a in after if a.period),
            "best_at_repeat": _mean_ratio([walk(v, PATIENCE).best for v in visits], own),
            "best_at_end": _mean_ratio([min(visit.loss for visit in v) for v in visits], own),
            "only_the_first_loop": sum(a.follows_loop for a in after),
        }  # fmt: skip


def _mean_ratio(losses: list[float], own: list[float]) -> float:
    return round(statistics.mean(loss / o for loss, o in zip(losses, own, strict=True)), 4)


def _statistics(values: list[int]) -> dict[str, float]:
    if not values:
        return {}
    return {
        "mean": round(statistics.mean(values), 3),
        "std": round(statistics.pstdev(values), 3),
        "min": min(values),
        "median": statistics.median(values),
        "max": max(values),
    }


def _quantiles(values: list[int]) -> dict[str, int]:
    if not values:
        return {}
    ordered = sorted(values)
    shares = {"10%": 0.1, "50%": 0.5, "90%": 0.9, "99%": 0.99, "max": 1.0}
    return {name: ordered[int(share * (len(ordered) - 1))] for name, share in shares.items()}


def quick(settings: list[Setting]) -> list[Setting]:
    """The same settings with a budget for a few moves only."""
    return [replace(setting, budget=24) for setting in settings[::6]]
