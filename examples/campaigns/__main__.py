"""Seven campaigns that try to break the package, and a page of what they found.

    python -m examples.campaigns run                       # 30 minutes of one core
    python -m examples.campaigns run kills files --seed 1  # some of them, with another seed
    python -m examples.campaigns report --write            # the table of the log, into the manual

Faults are listed in the log, each by what was tried. Seeded, but for where in a step a process is killed.
"""

from __future__ import annotations

import argparse
import json
import logging
import time
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from examples.benchmarks.codes_bench.pages import put, table
from examples.campaigns import faults, files, kills, memory, precision
from examples.campaigns.situations import cases as situations
from examples.campaigns.wrong_calls import cases as wrong_calls

LOG = Path(__file__).parents[1] / "logs" / "campaigns.json"
PAGE = Path(__file__).parents[2] / "docs" / "results" / "campaigns.md"
COLUMNS = {
    "tried": ("tried", "{:,}"),
    "asked": ("asked", "{}"),
    "found": ("found", "{}"),
}

Found = Mapping[str, Any]


@dataclass(frozen=True)
class Campaign:
    """One way of trying to break the package.

    Attributes:
        name: What is tried, in the table.
        asked: What is asked of it.
        run: Does it, from a seed.
        tried: How many there were, of what it found.
        faults: Which were not as asked.
        found: What to say of them.
    """

    name: str
    asked: str
    run: Callable[[int], Found]
    tried: Callable[[Found], int]
    faults: Callable[[Found], list[str]]
    found: Callable[[Found, int], str]


def _calls(_: int) -> Found:
    found = wrong_calls.run()
    wrong = [f"{kind}: {name}: {said}" for name, (kind, said) in found["cases"].items() if kind != "ok"]
    return {"total": found["total"], "counts": found["counts"], "faults": wrong}


def _situations(_: int) -> Found:
    found = situations.run()
    return {"total": found["total"], "faults": [f"{name}: {said['happened']}" for name, said in found["fails"].items()]}


def _grown(found: Found) -> list[str]:
    return [f"{name}: {row['grown MB']} MB" for name, row in found["methods"].items() if row["grown MB"] > 1]


CAMPAIGNS = {
    "kills": Campaign(
        "searches killed (−9) at any moment, and begun again",
        "all end bit-identical",
        lambda seed: kills.run(1000, seed),
        lambda found: int(found["kills"]),
        lambda found: list(found["faults"]),
        lambda found, wrong: f"{found['searches']} searches, {wrong} that differ",
    ),
    "files": Campaign(
        "results, checkpoints, priors and models damaged or edited",
        "none accepted with another result, no raw error",
        lambda seed: files.run(1000, seed),
        lambda found: int(found["mutants"]),
        lambda found: list(found["faults"]),
        lambda found, wrong: (
            f"{found['counts'].get('refused in words', 0)} refused in words, "
            f"{found['counts'].get('as the whole file', 0)} unharmed, {wrong} others"
        ),
    ),
    "calls": Campaign(
        "wrong calls of the public names",
        "98 % told what was got, expected and the right hint, before any decode",
        _calls,
        lambda found: int(found["total"]),
        lambda found: list(found["faults"]),
        lambda found, wrong: f"{100 * (1 - wrong / found['total']):.2f} %",
    ),
    "faults": Campaign(
        "faults in users' code in mid-search",
        "none loses the best",
        lambda seed: faults.run(600, seed),
        lambda found: int(found["faults"]),
        lambda found: list(found["wrong"]),
        lambda found, wrong: f"{wrong} lose it",
    ),
    "precision": Campaign(
        "searchers × constraints × 4 dtypes × 7 contexts of the caller's",
        "all run or refuse in words; contexts change no bit; dtypes agree up to rounding",
        lambda _: precision.run(),
        lambda found: int(found["searches"]),
        lambda found: list(found["faults"]),
        lambda found, wrong: (
            f"{found['counts']['ran']} ran, {found['counts']['refused']} refused in words, "
            f"{wrong} others; in another context {wrong} differ"
        ),
    ),
    "memory": Campaign(
        "searches of 20,000 steps",
        "memory flat",
        lambda _: memory.run(20_000),
        lambda found: len(found["methods"]),
        _grown,
        lambda found, _: (
            f"{max(row['grown MB'] for row in found['methods'].values()):.2f} MB more at the end than in "
            "the middle, at most"
        ),
    ),
    "situations": Campaign(
        "situations from public bug reports, with foreign decoders",
        "right, or refused with the right remedy",
        _situations,
        lambda found: int(found["total"]),
        lambda found: list(found["faults"]),
        lambda found, wrong: f"{found['total'] - wrong} hold",
    ),
}


def row_of(name: str, found: Found) -> dict[str, Any]:
    """The line of a campaign in the table."""
    campaign = CAMPAIGNS[name]
    wrong = len(campaign.faults(found))
    return {"tried": campaign.tried(found), "asked": campaign.asked, "found": campaign.found(found, wrong)}


def rows(log: Mapping[str, Found]) -> dict[str, dict[str, Any]]:
    """The table: a line a campaign that is in the log."""
    return {CAMPAIGNS[name].name: row_of(name, log[name]["found"]) for name in CAMPAIGNS if name in log}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("command", choices=("run", "report"))
    parser.add_argument("names", nargs="*", help=f"of {', '.join(CAMPAIGNS)}; all if none is given")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--write", action="store_true", help="put the table into the manual")
    options = parser.parse_args()
    torch.set_num_threads(1)
    logging.disable()
    warnings.simplefilter("ignore")
    if options.command == "run":
        for name in options.names or CAMPAIGNS:
            begun = time.perf_counter()
            found = CAMPAIGNS[name].run(options.seed)
            seconds = round(time.perf_counter() - begun)
            log = json.loads(LOG.read_text()) if LOG.exists() else {}
            log[name] = {"seed": options.seed, "torch": torch.__version__, "seconds": seconds, "found": found}
            LOG.write_text(json.dumps({each: log[each] for each in CAMPAIGNS if each in log}, indent=1) + "\n")
            print(name, row_of(name, found), *CAMPAIGNS[name].faults(found), sep="\n  ", flush=True)
    text = table("thrown at it", rows(json.loads(LOG.read_text())), COLUMNS)
    print(text)
    if options.write:
        put(PAGE, "campaigns", f"\n{text}\n\n")


if __name__ == "__main__":
    main()
