"""One method on all problems of a kind: losses at every budget, what it took, and how far answers are from data."""

from __future__ import annotations

import statistics
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import torch
from torch import Tensor, nn

import latentsearch as ls
from codes_bench import generators, methods
from codes_bench.logs import digits
from codes_bench.tasks import Problem, cifar10_subset, mnist

_BATCH = 64  # rows decoded at once, in searches as in plain batches


@dataclass(frozen=True)
class Stage:
    """A part of the plan: which budgets, on the first how many problems, with how many seeds."""

    name: str
    budgets: tuple[int, ...]
    count: int
    seeds: int


def plan(task: str, seeds: int, count: int | None) -> list[Stage]:
    """What is measured of a task; ``count`` makes it fewer problems."""
    short = (100, 300, 500, 1000, 1500)
    if task in ("match", "x4"):
        stages = [Stage("short", short, 64, seeds), Stage("long", (5000,), 16, 1)]
        stages += [Stage("proof", (40_000,), 16, 1)] if task == "match" else []
    elif task == "planted":
        stages = [Stage("all", (*short, 5000, 10_000), 16, 1)]
    else:
        stages = [Stage("all", (*short, 5000), 16, 1)]
    if count is None:
        return stages
    return [Stage(s.name, s.budgets, min(s.count, count), s.seeds) for s in stages]


def search(problem: Problem, searcher: ls.Searcher, evaluations: int, seed: int) -> ls.SearchResult:
    run = ls.Run(evaluations=evaluations, chunk_rows=_BATCH)
    return searcher.search(problem.generator, problem.constraint, init=problem.init, seed=seed, run=run)


def measure(problem: Problem, name: str, step: float | None, seed: int, budgets: Sequence[int], data: str) -> Any:
    """The record of one method and seed."""
    searcher, ratios, runs = methods.method(name, step), {}, {}
    plain = plain_seconds(problem)
    for rows in budgets if name in methods.FITTED else budgets[-1:]:
        start = time.perf_counter()
        result = search(problem, searcher, rows, seed)
        wall = time.perf_counter() - start
        own = [rows] if name in methods.FITTED else budgets
        ratios |= {str(r): digits((result.trace.loss_at(r) / problem.yardstick).tolist()) for r in own}
        spent = float(result.evaluations.sum())
        runs[str(rows)] = {
            "ends": dict(Counter(status.name for status in result.status)),
            "seconds": round(wall, 2),
            "rows": round(spent),
            "overhead": round(wall / max(spent * plain, 1e-9), 2),
        }
    return {
        "problems": len(problem.yardstick),
        "step": step,
        "ratio": ratios,
        "reached": reached(result.trace, problem.yardstick),
        "runs": runs,
        "answers": distance(problem, result.output, data) | recovered(problem, result.latent),
        "threads": torch.get_num_threads(),
        "milliseconds a plain row": round(1000 * plain, 4),
    }


def plain_seconds(problem: Problem) -> float:
    """Seconds a row that is decoded and scored by nobody, in batches; now, as a machine may be busy."""
    z = problem.init[torch.arange(_BATCH) % len(problem.init)]
    times = []
    for _ in range(7):
        start = time.perf_counter()
        problem.generator.decode(z)
        times.append(time.perf_counter() - start)
    return statistics.median(times[1:]) / _BATCH


def reached(trace: ls.Trace, yardstick: Tensor) -> dict[str, Any]:
    """Where the trace comes down to the yardstick: the share of problems, and medians over these.

    Seconds are of the run of all problems together.
    """
    good = trace.loss <= yardstick
    hit = good.any(0)
    first = good.int().argmax(0)[hit]
    if not bool(hit.any()):
        return {"share": 0.0, "rows": None, "seconds": None}
    rows = trace.evaluations[first, hit.nonzero()[:, 0]]
    return {
        "share": round(hit.float().mean().item(), 4),
        "rows": round(statistics.median(rows.tolist())),
        "seconds": round(statistics.median(trace.seconds[first].tolist()), 2),
    }


@cache
def _train_images(data: str) -> tuple[Tensor, Tensor]:
    """All training images as vectors, and their squared lengths."""
    flat = (mnist("train") if data == "mnist" else cifar10_subset("train"))[0].flatten(1)
    return flat, flat.square().sum(1)


@cache
def _judge(data: str) -> nn.Module:
    return generators.judge(data)


def nearest(images: Tensor, data: str) -> Tensor:
    """``(N,)``: root mean square difference to the nearest training image."""
    flat, lengths = _train_images(data)
    own = images.flatten(1).contiguous()
    squares = (lengths - 2 * own @ flat.T).amin(1) + own.square().sum(1)
    return (squares.clamp(min=0) / own.shape[1]).sqrt()


@torch.no_grad()
def distance(problem: Problem, output: Tensor, data: str, judge: Callable[[str], nn.Module] = _judge) -> Any:
    """How far images are from the data, and what a classifier that no search has seen thinks of them."""
    output = output.clamp(0, 1)
    sure = judge(data)(output.contiguous()).softmax(1)
    found = {
        "nearest": round(nearest(output, data).mean().item(), 4),
        "confidence": round(sure.amax(1).mean().item(), 4),
    }
    if problem.label is not None:
        target = sure.gather(1, problem.label[:, None])[:, 0]
        agreed = (sure.argmax(1) == problem.label).float()
        found |= {"wanted": round(target.mean().item(), 4), "judged": round(agreed.mean().item(), 4)}
    return found


def recovered(problem: Problem, latent: Tensor) -> dict[str, float]:
    """The share of codes, and of whole grids, that are the planted ones; nothing where none were planted."""
    if problem.truth is None:
        return {}
    same = (latent == problem.truth).flatten(1)
    return {"codes": round(same.float().mean().item(), 4), "grids": round(same.all(1).float().mean().item(), 4)}


def baselines(problem: Problem, data: str) -> dict[str, Any]:
    """The same distances of the images behind the constraints, and of the model's own codes of them."""
    with torch.no_grad():
        own = problem.generator.decode(problem.generator.encode(problem.images))
    return {"pictures": distance(problem, problem.images, data), "encoder": distance(problem, own, data)}
