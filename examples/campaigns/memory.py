"""Searches of many thousand steps, and what they hold.

What is held is measured as the memory of the process in the middle and at the end, and as the size of a checkpoint. A
trace of every step would show in both.
"""

from __future__ import annotations

import gc
import os
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch

import latentsearch as ls
from examples.campaigns.problems import codes, image, vectors

PAGE = os.sysconf("SC_PAGE_SIZE")


def methods(steps: int) -> dict[str, tuple[ls.Searcher, ls.Generator]]:
    """Methods that have no end of their own before so many steps."""
    grids, line = codes(), vectors()
    return {
        "random": (ls.RandomSearch(batch=1), line),
        "gradient": (ls.GradientSearch(partial(torch.optim.SGD, lr=1e-5), tolerance=0.0), line),
        "langevin": (ls.LangevinSearch(steps=2 * steps), line),
        "cmaes": (ls.CMAESSearch(population=4), line),
        "evolution": (ls.EvolutionSearch(population=4, children=3), grids),
        "straight-through": (ls.StraightThroughSearch(lr=0.5, on_repeat="continue", patience=10**9), grids),
    }


def run(steps: int = 20_000, rows: int = 4) -> dict[str, Any]:
    """Take so many steps with each method.

    Returns:
        Of each method the steps that it took, how much memory grew by in the second half, in MB, and the sizes of a
        checkpoint in the middle and at the end, in kB.
    """
    found = {}
    goal = ls.Matches(image(torch.float32).expand(rows, -1, -1, -1).clone(), noise=0.3)
    for name, (searcher, generator) in methods(steps).items():
        with TemporaryDirectory() as folder:
            found[name] = _measured(searcher, generator, goal, steps, Path(folder) / "search.safetensors")
    return {"steps": steps, "methods": found}


def _measured(
    searcher: ls.Searcher, generator: ls.Generator, goal: ls.goal.Goal, steps: int, path: Path
) -> dict[str, float]:
    held: dict[int, tuple[float, float]] = {}

    def watch(step: ls.Step) -> None:
        if step.number in (steps // 2 + 1, steps):
            gc.collect()
            size = path.stat().st_size / 1e3 if path.exists() else 0.0
            held[step.number] = _resident(), size

    run = ls.Run(evaluations=None, steps=steps, checkpoint=path, checkpoint_every=steps // 4, callbacks=[watch])
    result = searcher.search(generator, goal, seed=0, run=run)
    (first, middle), (last, _) = held.get(steps // 2 + 1, (0.0, 0.0)), held.get(steps, (0.0, 0.0))
    return {
        "steps": result.steps,
        "grown MB": round(last - first, 2),
        "checkpoint kB": round(middle, 1),
        "checkpoint kB at the end": round(path.stat().st_size / 1e3, 1),
        "entries": len(result.trace.seconds),
    }


def _resident() -> float:
    """Of this process, in MB."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * PAGE / 1e6
