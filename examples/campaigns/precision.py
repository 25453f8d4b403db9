"""Every searcher with every constraint, in every precision and in every context of the caller's.

A search runs, or refuses in words. Inside the caller's autocast, inference mode, no_grad, default dtype or default
device it finds, to the last bit, what it finds without. What it reports of a decoder in half precision is what the same
decoder says in float64 of the same latents, up to the rounding of that precision.
"""

from __future__ import annotations

import contextlib
import itertools
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace

import torch

import latentsearch as ls
from examples.campaigns.problems import problems, searchers
from latentsearch.errors import InvalidArgument
from latentsearch.goal import Unlimited

DTYPES = (torch.float32, torch.float64, torch.float16, torch.bfloat16)
RUN = ls.Run(evaluations=60)


@contextlib.contextmanager
def default_dtype(dtype: torch.dtype) -> Iterator[None]:
    before = torch.get_default_dtype()
    torch.set_default_dtype(dtype)
    try:
        yield
    finally:
        torch.set_default_dtype(before)


CONTEXTS: dict[str, Callable[[], AbstractContextManager[object]]] = {
    "plain": contextlib.nullcontext,
    "autocast": lambda: torch.autocast("cpu", torch.bfloat16),
    "inference mode": torch.inference_mode,
    "no_grad": torch.no_grad,
    "default float64": lambda: default_dtype(torch.float64),
    "default bfloat16": lambda: default_dtype(torch.bfloat16),
    "default device": lambda: torch.device("meta"),
}


@dataclass(frozen=True)
class Found:
    """What became of one search: a result, a refusal, or another error."""

    result: ls.SearchResult | None = None
    refusal: str = ""
    error: str = ""


def searched(searcher: ls.Searcher, generator: ls.Generator, goal: ls.goal.Goal, context: str) -> Found:
    try:
        with CONTEXTS[context]():
            return Found(searcher.search(generator, goal, seed=3, run=RUN))
    except InvalidArgument as refusal:
        return Found(refusal=str(refusal))
    except Exception as error:
        return Found(error=f"{type(error).__name__}: {error}")


def same(a: Found, b: Found) -> bool:
    """Whether two searches found the same, to the last bit."""
    if a.result is None or b.result is None:
        return a.result is b.result and bool(a.refusal) == bool(b.refusal)
    pairs = (
        (a.result.latent, b.result.latent),
        (a.result.output, b.result.output),
        (a.result.score.loss, b.result.score.loss),
        (a.result.evaluations, b.result.evaluations),
        (a.result.trace.loss, b.result.trace.loss),
    )
    return all(x.dtype == y.dtype and torch.equal(x.nan_to_num(), y.nan_to_num()) for x, y in pairs)


def agrees(result: ls.SearchResult, exact: ls.Generator, goal: ls.goal.Goal, dtype: torch.dtype) -> bool:
    """Whether the loss of what was found is what the same decoder in float64 says of it, up to rounding."""
    # Without its limit: what is at the edge in one precision is beyond it in another.
    known = replace(goal.goal, limit=Unlimited()).to("cpu", exact.dtype)
    z = result.latent if not result.latent.is_floating_point() else result.latent.to(exact.dtype)
    expected = known(exact.decode(z), z).loss.double()
    # Rounding of the outputs, of values up to 1, moves a loss by its slope: as much as 1 / noise.
    slack = 64 * torch.finfo(dtype).eps
    return torch.allclose(result.score.loss.double(), expected, rtol=slack, atol=slack)


def run(dtypes: tuple[torch.dtype, ...] = DTYPES, contexts: tuple[str, ...] = tuple(CONTEXTS)) -> dict[str, object]:
    counts: Counter[str] = Counter()
    faults: list[str] = []
    exact = {name: (generator, goal) for name, generator, goal in problems(torch.float64)}
    for dtype in dtypes:
        for (method, searcher), (name, generator, goal) in itertools.product(searchers().items(), problems(dtype)):
            plain = searched(searcher, generator, goal, "plain")
            what = f"{method} on {name} in {dtype}"
            counts["ran" if plain.result is not None else "refused" if plain.refusal else "failed"] += 1
            if plain.error:
                faults.append(f"{what}: {plain.error}")
            if plain.result is not None:
                if "NONFINITE" in {status.name for status in plain.result.status}:
                    faults.append(f"{what}: NONFINITE")
                if not agrees(plain.result, *exact[name], dtype):
                    faults.append(f"{what}: loss {plain.result.score.loss.tolist()}")
            for context in contexts:
                if context == "plain":
                    continue
                other = searched(searcher, generator, goal, context)
                counts[context] += 1
                if not same(plain, other):
                    faults.append(f"{what}, {context}: {other.error or other.refusal or 'another result'}")
    return {"searches": sum(counts.values()), "counts": dict(counts), "faults": faults}


if __name__ == "__main__":
    import json
    import logging
    import sys

    torch.set_num_threads(1)
    logging.disable()
    found = run(tuple(getattr(torch, name) for name in sys.argv[1].split(",")), tuple(sys.argv[2].split(",")))
    print(json.dumps(found, indent=1))
