"""Faults in users' code in mid-search, and whether the best that had been found is there afterwards.

A decoder, a rule, a classifier's function, a prior or a callback does something wrong at one of its calls. The search
ends with a result or with `SearchFailed`, and either holds a latent as good as the best that callbacks had seen.
"""

from __future__ import annotations

import copy
import itertools
import random
from collections import Counter
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

import latentsearch as ls
from examples.campaigns.problems import codes, image, searchers, vectors

_CHECKS = 12  # calls that checks before a run make, at most


def _raising(error: Callable[[], BaseException]) -> Callable[[Tensor], Any]:
    def fault(_: Tensor) -> Any:
        raise error()

    return fault


# What a function that gives one row a row may give instead.
FAULTS: dict[str, Callable[[Tensor], Any]] = {
    "ValueError": _raising(lambda: ValueError("of the user's own")),
    "RuntimeError": _raising(lambda: RuntimeError("a kernel failed")),
    "out of memory": _raising(lambda: torch.OutOfMemoryError("CUDA out of memory.")),
    "AssertionError": _raising(AssertionError),
    "StopIteration": _raising(StopIteration),
    "KeyboardInterrupt": _raising(KeyboardInterrupt),
    "NaN": lambda x: torch.full_like(x, torch.nan),
    "infinity": lambda x: torch.full_like(x, torch.inf),
    "minus infinity": lambda x: torch.full_like(x, -torch.inf),
    "float64": lambda x: x.double(),
    "float16": lambda x: x.half(),
    "whole numbers": lambda x: x.long(),
    "a row less": lambda x: x[:-1],
    "one row": lambda x: x[:1],
    "a sum": lambda x: x.sum(),
    "another axis": lambda x: x[..., None],
    "a number": lambda x: float(x.detach().sum()),
    "nothing": lambda x: None,
    "a list": lambda x: x.tolist(),
    "no gradient": lambda x: x.detach(),
}


class Faulty:
    """A function that goes wrong at one of its calls.

    Args:
        function: What it is otherwise.
        fault: What it gives instead.
        at: Which call that is, from 0.
    """

    def __init__(self, function: Callable[..., Tensor], fault: Callable[[Tensor], Any], at: int) -> None:
        self.function, self.fault, self.at, self.calls = function, fault, at, 0

    def __call__(self, *arguments: Tensor) -> Any:
        self.calls += 1
        found = self.function(*arguments)
        return self.fault(found) if self.calls == self.at + 1 else found


def run(faults: int = 300, seed: int = 0) -> dict[str, Any]:
    """Plant so many faults; what became of the searches, and which lost the best."""
    chance, counts, wrong = random.Random(seed), Counter[str](), list[str]()
    every = list(itertools.product(searchers().items(), FAULTS, ("decoder", "rule", "callback"), ("vectors", "codes")))
    chance.shuffle(every)
    for (method, searcher), fault, where, kind in itertools.cycle(every):
        if counts["faults"] >= faults:
            break
        at = chance.randrange(1, 20)
        outcome, said = _tried(searcher, fault, where, kind, at)
        if outcome:
            counts["faults"] += 1
            counts[outcome] += 1
        if outcome in ("lost", "raw"):
            wrong.append(f"{method}, {fault} in a {where} of {kind} at call {at}: {said}")
    return {"faults": counts["faults"], "counts": dict(counts), "wrong": wrong}


def _tried(searcher: ls.Searcher, fault: str, where: str, kind: str, at: int) -> tuple[str, str]:
    """What became of a search with a fault, if it was reached, and what was said."""
    base = vectors() if kind == "vectors" else codes()
    rule = ls.Satisfies(lambda x: (x - image(torch.float32)).square().mean((1, 2, 3)), name="rule")
    best, reached = [torch.inf], [False]
    planted: Faulty | None = None

    def watch(step: ls.Step) -> bool:
        # Of samplers the answer is where a chain stands, not the best it has been.
        best[0] = float(step.best_loss.min())
        if where == "callback" and step.number == at:
            reached[0] = True
            FAULTS[fault](step.best_loss)
        return False

    generator: Any = base
    if where == "decoder":
        planted = Faulty(base.decode if kind == "vectors" else base.decode_embedding, FAULTS[fault], _CHECKS + at)
        generator = _with_decode(base, planted)
    if where == "rule":
        planted = Faulty(rule.function, FAULTS[fault], _CHECKS + at)
        rule = ls.Satisfies(planted, name="rule")
    try:
        result = searcher.search(generator, rule, seed=1, run=ls.Run(evaluations=60, callbacks=[watch]))
    except ls.SearchFailed as failed:
        held = float(failed.loss.min())
        return ("kept by SearchFailed" if held <= best[0] else "lost"), f"{failed} ({held} for {best[0]})"
    except ls.InvalidArgument as refusal:
        return "", str(refusal)
    except BaseException as error:
        return "raw", f"{type(error).__name__}: {error}"
    if not (reached[0] or (planted is not None and planted.calls > planted.at)):
        return "", ""
    # A fault in the last decode, of the answer, spoils its score, and not the latent, which has one of its own; and
    # what was scored in half precision once has another score when it is scored again.
    held = float(result.candidates.score.loss.min())
    kept = best[0] == torch.inf or held <= best[0] * (1 + 1e-2) + 1e-6
    return ("kept in a result" if kept else "lost"), f"{held} for {best[0]}"


def _with_decode(generator: Any, planted: Faulty) -> Any:
    """The generator with another decoder, in an object of its own."""
    other = copy.copy(generator)
    if isinstance(generator, ls.ContinuousGenerator):
        other.decode = planted
    else:
        other.decode_embedding = planted
    return other
