"""All wrong calls, and what becomes of each: ``python -m examples.campaigns.wrong_calls.cases``."""

from __future__ import annotations

import re
import signal
import time
import warnings
from collections import Counter
from types import FrameType
from typing import Any

import torch

from examples.campaigns.wrong_calls import (
    constraints,
    generators,
    goals,
    judging,
    models,
    priors,
    runs,
    searchers,
)
from examples.campaigns.wrong_calls.kit import Case, Decodes
from latentsearch.errors import LatentSearchError

AREAS = (generators, constraints, goals, searchers, runs, priors, models, judging)
CASES: tuple[Case, ...] = tuple(case for area in AREAS for case in area.CASES)
SLOW, STUCK = 5.0, 20


class _Stuck(BaseException):
    """A call that does not come back."""


def _stop(_number: int, _frame: FrameType | None) -> None:
    raise _Stuck


def outcome(case: Case) -> tuple[str, str]:
    """What becomes of a call, in a word or two, and the error that it ended with."""
    Decodes.rows = 0
    begun = time.perf_counter()
    kind, detail = _answer(case)
    if time.perf_counter() - begun > SLOW:
        return f"took > {SLOW:g} s", detail
    if kind in ("ok", "error lacks words") and Decodes.rows > case.looks:
        return "decoded first", f"{Decodes.rows} rows; {detail}"
    return kind, detail


def _answer(case: Case) -> tuple[str, str]:
    signal.alarm(STUCK)
    try:
        got = case.call()
    except LatentSearchError as error:
        said = f"{type(error).__name__}: {error}"
        lacks = [word for word in case.tells if not re.search(word, str(error), re.IGNORECASE)]
        return ("error lacks words", f"{lacks} in {said}") if lacks else ("ok", said)
    except _Stuck:
        return "raw error (stuck)", ""
    except Exception as error:
        return f"raw error ({type(error).__name__})", str(error)
    finally:
        signal.alarm(0)
    return "no error", f"gave {_short(got)}"


def _short(got: Any) -> str:
    try:
        said = type(got).__name__ if isinstance(got, torch.Tensor) else repr(got)
    except Exception as error:
        said = f"{type(got).__name__}, whose repr raises {type(error).__name__}: {error}"
    return said.split("\n")[0][:100]


def run() -> dict[str, Any]:
    """Makes every wrong call.

    Returns:
        ``total``; ``counts`` of each kind of outcome; and ``cases``, the kind and the error of each by its name.
    """
    before = signal.signal(signal.SIGALRM, _stop)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            cases = {case.name: outcome(case) for case in CASES}
    finally:
        signal.signal(signal.SIGALRM, before)
    return {"total": len(cases), "counts": dict(Counter(kind for kind, _ in cases.values())), "cases": cases}


def main() -> None:
    """Prints what is not ok, and how much is."""
    torch.set_num_threads(1)
    found = run()
    for name, (kind, detail) in found["cases"].items():
        if kind != "ok":
            print(f"{kind}: {name}\n    {detail}")
    print(found["total"], found["counts"])


if __name__ == "__main__":
    main()
