"""Searches that are killed in mid-step, again and again, and end as if nothing had happened.

A search with a checkpoint runs in a process of its own, which is killed (SIGKILL) after a random time and begun again
with the same call, until it ends. What it ends with is compared, to the last bit, with a search that was left alone.
"""

from __future__ import annotations

import itertools
import os
import random
import signal
import time
import traceback
from collections import Counter
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch

import latentsearch as ls
from examples.campaigns.problems import problems, searchers

PROBLEMS = ("noise of vectors", "prior of codes", "near of few codes", "within of vectors")
_MOST = 6  # kills of one search: the next call is left alone


def run(kills: int = 1000, seed: int = 0) -> dict[str, Any]:
    """Kill searches so many times; how many searches these were, and which did not end as they should."""
    chance, counts, faults = random.Random(seed), Counter[str](), list[str]()
    goals = {name: (generator, goal) for name, generator, goal in problems(torch.float32) if name in PROBLEMS}
    for turn in itertools.count():
        for (method, searcher), name in itertools.product(searchers().items(), goals):
            if counts["kills"] >= kills:
                return {"kills": counts["kills"], "searches": counts["searches"], "faults": faults}
            with TemporaryDirectory() as folder:
                fault = _killed(searcher, *goals[name], turn + seed, Path(folder), chance, counts)
            if fault:
                faults.append(f"{method} on {name}, seed {turn + seed}: {fault}")
    raise AssertionError  # there are kills without end


def _killed(
    searcher: ls.Searcher,
    generator: ls.Generator,
    goal: Any,
    seed: int,
    folder: Path,
    chance: random.Random,
    counts: Counter[str],
) -> str:
    """What is wrong with a search that was killed; empty where nothing is, or where it is refused."""
    alone, begun = folder / "alone.safetensors", time.perf_counter()
    if _in_a_process(searcher, generator, goal, seed, None, alone, None) != 0:
        return ""
    duration = time.perf_counter() - begun
    counts["searches"] += 1
    checkpoint, found = folder / "search.safetensors", folder / "found.safetensors"
    for left in reversed(range(_MOST + 1)):
        delay = chance.uniform(0, duration) if left else None
        code = _in_a_process(searcher, generator, goal, seed, checkpoint, found, delay)
        if code == 0:
            return _differences(ls.SearchResult.load(alone), ls.SearchResult.load(found))
        if code != -signal.SIGKILL:
            return f"it could not go on after a kill (exit {code})"
        counts["kills"] += 1
    return "it never ended"


def _in_a_process(
    searcher: ls.Searcher,
    generator: ls.Generator,
    goal: Any,
    seed: int,
    checkpoint: Path | None,
    found: Path,
    delay: float | None,
) -> int:
    """The exit status of a search, minus the signal that killed it: after a delay, if one is given."""
    child = os.fork()
    if not child:
        status = 1
        try:
            run = ls.Run(evaluations=60, checkpoint=checkpoint, checkpoint_every=1)
            searcher.search(generator, goal, seed=seed, run=run).save(found)
            status = 0
        except ls.InvalidArgument:
            pass  # it is refused
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(status)
    if delay is not None:
        time.sleep(delay)
        os.kill(child, signal.SIGKILL)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def _differences(a: ls.SearchResult, b: ls.SearchResult) -> str:
    """The names of what differs in any bit, times aside."""
    parts = {
        "latent": (a.latent, b.latent),
        "output": (a.output, b.output),
        "loss": (a.score.loss, b.score.loss),
        "evaluations": (a.evaluations, b.evaluations),
        "trace": (a.trace.loss, b.trace.loss),
        "spending": (a.trace.evaluations, b.trace.evaluations),
        "candidates": (a.candidates.latent, b.candidates.latent),
        "status": (torch.tensor(a.status), torch.tensor(b.status)),
    }
    different = [name for name, (x, y) in parts.items() if not torch.equal(x, y)]
    return f"other {' and '.join(different)}" if different else ""
