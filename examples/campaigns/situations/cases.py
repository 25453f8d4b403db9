"""All situations, and a run of them: ``python -m examples.campaigns.situations.cases [words of names]``."""

from __future__ import annotations

import importlib
import json
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

import torch

from .situation import Situation

LIMIT = 20.0
TOPICS = ("decoders", "encoders", "codebooks", "classifiers", "callers", "files")


class TooSlow(BaseException):
    """A situation ran out of time; no ordinary error, so that nothing on the way catches it."""


def cases() -> list[Situation]:
    """Every situation, topic by topic."""
    package = __package__ or "examples.campaigns.situations"
    return [case for topic in TOPICS for case in importlib.import_module(f"{package}.{topic}").SITUATIONS]


@contextmanager
def limited(seconds: float) -> Iterator[None]:
    """Raise TooSlow in the main thread when the time is over."""

    def over(number: int, frame: FrameType | None) -> None:
        raise TooSlow(f"no end after {seconds:g} seconds")

    before = signal.signal(signal.SIGALRM, over)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def _outcome(case: Situation) -> str | None:
    try:
        with limited(LIMIT):
            case.play()
    except TooSlow as error:
        return str(error)
    except (Exception, KeyboardInterrupt) as error:
        return str(error) if isinstance(error, AssertionError) else f"raised {type(error).__name__}: {error}"
    return None


def run(words: tuple[str, ...] = (), verbose: bool = False) -> dict[str, Any]:
    """Play all situations, or those whose names have all the words.

    Returns:
        ``total``, ``holds``, and ``fails``: by name what happened, and the source.
    """
    torch.set_num_threads(1)
    chosen = [case for case in cases() if all(word in case.name for word in words)]
    fails: dict[str, dict[str, str]] = {}
    for case in chosen:
        start = time.perf_counter()
        happened = _outcome(case)
        if happened is not None:
            fails[case.name] = {"source": case.source, "happened": happened}
        if verbose:
            print(f"{time.perf_counter() - start:5.1f}s {'holds' if happened is None else 'FAILS'} {case.name}")
            if happened is not None:
                print("         " + happened)
    return {"total": len(chosen), "holds": len(chosen) - len(fails), "fails": fails}


if __name__ == "__main__":
    print(json.dumps(run(tuple(sys.argv[1:]), verbose=True), indent=1))
