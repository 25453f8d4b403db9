"""What each search reaches on the same pairs for the same number of evaluations.

Losses are divided by the loss of the model's own encoding of the target: 1 is as good as encoding.
"""

from __future__ import annotations

import itertools
import math
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor

import latentsearch as ls
from tto.bench import PAIR_SEED, Bench
from tto.records import Recorder, walk
from tto.reset import ResetSearch
from tto.traversals import PATIENCE

START, RANDOM, RELAXED, PRICED = "the start itself", "random search", "Adam on logits", "spread priced"
ALGORITHM_2, ALGORITHM_3, ADAM = "algorithm 2", "algorithm 3", "straight-through, Adam"
RESET = "algorithm 2, reset"
METHODS = [START, RANDOM, ALGORITHM_2, ALGORITHM_3, RESET, ADAM, RELAXED, PRICED]
UNTUNED = [RANDOM, PRICED]
STARTS = ["encoded", "random"]  # codes of the source image; uniform random codes


@dataclass(frozen=True)
class Scale:
    """How much is spent.

    Attributes:
        budgets: Rows a pair at which losses are read off.
        tuning_evaluations: Evaluations a pair for each candidate; relaxed searches are tuned at the first two budgets.
        candidates: At most so many step sizes are tried.
        block: Pairs searched together.
    """

    budgets: tuple[int, ...] = (100, 500, 1500)
    tuning_evaluations: int = 200
    candidates: int = 9
    block: int = 20


def scale(fast: bool) -> Scale:
    return Scale((12, 20, 30), 12, candidates=1, block=4) if fast else Scale()


CANDIDATES = {
    ALGORITHM_2: [1e3, 3e3, 1e4, 300.0],
    ALGORITHM_3: [1e4, 3e4, 1e5, 3e5],
    RESET: [3e3, 6e3, 1e4, 2e4, 4e4],
    ADAM: [0.03, 0.1, 0.3, 1.0],
    RELAXED: [1.0, 3.0, 10.0, 0.3],
}


def method(name: str, lr: float, budget: int) -> ls.Searcher:
    """The search of that name; the relaxed ones have their schedules set for the evaluations that they may spend."""
    match name:
        case "algorithm 2":
            return ls.StraightThroughSearch(lr=lr, on_repeat="continue")
        case "algorithm 3":
            return ls.SinglePositionSearch(lr=lr)  # as published: once it loops, going on gains next to nothing
        case "algorithm 2, reset":
            return ResetSearch(lr=lr)  # its next grid is a function of the grid: after a repeat nothing is new
        case "straight-through, Adam":
            return ls.StraightThroughSearch(optimizer=partial(torch.optim.Adam, lr=lr), on_repeat="continue")
        case "Adam on logits":
            optimizer = partial(torch.optim.Adam, lr=lr, fused=True)
            return ls.RelaxedSearch(schedule(budget), curvature=0.0, optimizer=optimizer)
        case "spread priced":
            # As it ships, nothing tuned, but for Adam's eps, which was the usual one when this was measured.
            return ls.RelaxedSearch(schedule(budget), optimizer=partial(torch.optim.Adam, lr=0.5, betas=(0.9, 0.9)))
    return ls.RandomSearch(batch=10)


def schedule(budget: int) -> int:
    """The most steps that a relaxed search can finish within a budget.

    A step costs 2 evaluations and every tenth one a check more, the last one is a check alone; and none begins
    with fewer than the 3 evaluations left that a step may cost.
    """
    steps = 1
    while 2 * (steps + 1) + math.ceil((steps + 1) / 10) + 3 <= budget:
        steps += 1
    return steps


def search(bench: Bench, name: str, lr: float, budget: int, start: str, callback: ls.Callback | None = None) -> Any:
    """One search of all pairs of a bench."""
    init = bench.encoded() if start == "encoded" else bench.random_codes()
    run = ls.Run(evaluations=budget, chunk_rows=50, callbacks=[] if callback is None else [callback])
    return method(name, lr, budget).search(bench.generator, bench.goal, init=init, seed=PAIR_SEED, run=run)


# -- tuning -----------------------------------------------------------------------------------------


def tune(bench: Bench, scale: Scale, starts: list[str], done: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """The mean ratio of every candidate that has none yet; one step size for all images, the lowest mean."""
    own = bench.own_loss()
    for name, candidates in CANDIDATES.items():
        budgets = scale.budgets[:2] if name == RELAXED else (scale.tuning_evaluations,)
        for start, budget in itertools.product(starts[:1] if name == RELAXED else starts, budgets):
            key = f"{name}, {start}, {budget} rows"
            means = dict(done[key]["means"]) if key in done else {}
            few = 3 if budget > scale.tuning_evaluations else scale.candidates  # where each costs a good deal
            missing = [lr for lr in candidates[:few] if f"{lr:g}" not in means]
            for lr in missing:
                loss = search(bench, name, lr, budget, start).score.loss
                means[f"{lr:g}"] = round((loss / own).mean().item(), 4)
            if missing:
                means = dict(sorted(means.items(), key=lambda item: float(item[0])))
                yield key, {
                    "method": name, "start": start, "rows": budget, "pairs": len(bench),
                    "means": means, "best": float(min(means, key=lambda lr: means[lr])),
                }  # fmt: skip


def chosen(log: dict[str, Any]) -> Callable[[str, str, int], float]:
    """From a method, a start and a budget to the tuned step size; that of the nearest tuned budget and start."""

    def lr(name: str, start: str, budget: int) -> float:
        found = [entry for entry in log.values() if entry["method"] == name]
        same = [entry for entry in found if entry["start"] == start] or found
        if not same:
            return CANDIDATES[name][1]
        below = [entry for entry in same if entry["rows"] <= budget] or same
        return max(below, key=lambda entry: entry["rows"])["best"]

    return lr


# -- comparing --------------------------------------------------------------------------------------


def compare(
    bench: Bench, lr: Callable[[str, str, int], float], scale: Scale, done: dict[str, Any], starts: list[str]
) -> Iterator[tuple[str, dict[str, Any]]]:
    """The log's entries, block of pairs by block, so that a run cut short has compared the same pairs."""
    for first in range(0, len(bench), scale.block):
        part = bench.part(first, first + scale.block)
        own = part.own_loss()
        for start in starts:
            for name in METHODS:
                if name == RANDOM and start != starts[-1]:
                    continue  # but for its first draw it is the same search whatever the start
                key = f"{name}, {start}"
                entry = done.get(key, {"method": name, "start": start, "pairs": 0, "ratio": {}})
                if entry["pairs"] < first + len(part):
                    found = _block(part, name, start, lr, scale, own, done)
                    done[key] = _joined(entry, found, len(part))
                    yield key, done[key]


def _block(
    part: Bench, name: str, start: str, lr: Callable[[str, str, int], float], scale: Scale, own: Tensor, done: Any
) -> dict[str, Any]:
    if name == START:
        init = part.encoded() if start == "encoded" else part.random_codes()
        loss = part.goal(part.generator.decode(init), init).loss / own
        return {"ratio": {str(budget): loss.tolist() for budget in scale.budgets}}
    if name in (RELAXED, PRICED):
        lrs = [0.0 if name in UNTUNED else lr(name, start, budget) for budget in scale.budgets]
        results = {budget: search(part, name, lr, budget, start) for budget, lr in zip(scale.budgets, lrs, strict=True)}
        losses = {budget: result.score.loss for budget, result in results.items()}
        steps = [result.steps - 1 for result in results.values()]
        return _found(losses, own, results[scale.budgets[-1]]) | {"lr": lrs, "steps": steps}
    recorder = Recorder(len(part)) if name in (ALGORITHM_2, ALGORITHM_3, RESET) else None
    step = 0.0 if name in UNTUNED else lr(name, start, scale.budgets[-1])
    result = search(part, name, step, scale.budgets[-1], start, recorder)
    found = _found({budget: result.trace.loss_at(budget) for budget in scale.budgets}, own, result) | {"lr": step}
    if recorder is not None:
        # As published, algorithm 2 ends where this one goes on: at the first repeat.
        walks = [walk(visits, PATIENCE) for visits in recorder.visits]
        found["ratio"]["to the first repeat"] = [w.best / o for w, o in zip(walks, own.tolist(), strict=True)]
        found["repeats"] = sum(w.end == "repeat" for w in walks)
    return found


def _found(losses: dict[int, Tensor], own: Tensor, result: ls.SearchResult) -> dict[str, Any]:
    ratio = {str(budget): (loss / own).tolist() for budget, loss in losses.items()}
    return {"ratio": ratio, "ends": dict(Counter(status.name for status in result.status))}


def _joined(entry: dict[str, Any], found: dict[str, Any], pairs: int) -> dict[str, Any]:
    """An entry with the figures of one more block."""
    joined = entry | found | {"pairs": entry["pairs"] + pairs}
    joined["ratio"] = {
        budget: entry["ratio"].get(budget, []) + [float(f"{value:.5g}") for value in values]
        for budget, values in found["ratio"].items()
    }
    if "ends" in entry:
        joined["ends"] = dict(Counter(entry["ends"]) + Counter(found["ends"]))
    if "repeats" in entry:
        joined["repeats"] = entry["repeats"] + found["repeats"]
    return joined
