"""Latent Constraints on digits: classes on demand, edits, and samples that look like data, from one unconditional VAE.

    python examples/papers/latent_constraints.py run               # 40 minutes on one core; fits are kept
    python examples/papers/latent_constraints.py run --tables edits
    python examples/papers/latent_constraints.py report --write    # tables and pictures of the log, into the manual

Engel, Hoffman and Roberts, *Latent Constraints: Learning to Generate Conditionally from Unconditional Generative
Models* (ICLR 2018), <https://arxiv.org/abs/1711.05772>. The VAE and the LeNet that reads the answers were trained by
others (see wrap_pretrained.py); critics and actors see latents alone, and no decoder runs before a search ends. Seeded;
one thread.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

import torch

sys.path.insert(0, str(Path(__file__).parents[1]))
sys.path.insert(0, str(Path(__file__).parents[1] / "benchmarks"))
from codes_bench.pages import put, table
from constraints import attributes, codes, conditional, edits, realism, turns
from constraints.fits import Fits
from constraints.setting import Setting

from latentsearch import plots

LOG = Path(__file__).parents[1] / "logs" / "latent_constraints.json"
PAGE = Path(__file__).parents[2] / "docs" / "results" / "latent_constraints.md"
PICTURE = PAGE.parent / "img" / "latent_constraints.png"
KEPT = Path(__file__).parents[1] / "logs" / "latent_constraints"
TABLES = {
    "conditional": conditional,
    "edits": edits,
    "attributes": attributes,
    "codes": codes,
    "realism": realism,
    "turns": turns,
}


def run(options: argparse.Namespace) -> None:
    setting = Setting()
    fits = Fits(setting, options.kept)
    log = json.loads(LOG.read_text()) if LOG.exists() else {"seconds of fits": {}}
    for name in options.tables:
        found: list[dict[str, Any]] = []
        for row in TABLES[name].rows(setting, fits):
            found.append({key: rounded(value) for key, value in row.items()})
            print(name, found[-1], flush=True)
            log |= {"torch": torch.__version__, name: found}
            log["seconds of fits"] |= fits.seconds
            LOG.write_text(json.dumps(log, indent=1) + "\n")


def rounded(value: float | str) -> float | str:
    return value if isinstance(value, str) else float(f"{value:.5g}")


def report(log: dict[str, Any]) -> dict[str, str]:
    """The tables by name."""
    return {
        name: "\n" + table("method", {row["method"]: row for row in log[name]}, part.COLUMNS) + "\n\n"
        for name, part in TABLES.items()
    }


def draw(options: argparse.Namespace) -> None:
    """Samples of all digits by some methods, edits of test digits, each into another, and sevens made of codes."""
    setting = Setting()
    fits = Fits(setting, options.kept)
    nothing, edited, sevens = conditional.strips(setting, fits), edits.strips(setting, fits), codes.strips()
    rows = nothing | edited | sevens
    titles = {0: "from nothing: 0 to 9", len(nothing): "edits: each into the next digit"}
    titles[len(nothing) + len(edited)] = "codes: sevens"
    labels = [name.replace("λ", "lambda") for name in rows]  # the font has no Greek
    plots.save_grid(PICTURE, list(rows.values()), labels, titles=titles, scale=2)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("command", choices=("run", "report"))
    parser.add_argument("--tables", nargs="*", default=list(TABLES), choices=list(TABLES))
    parser.add_argument("--kept", type=Path, default=KEPT, help="where fitted networks are kept")
    parser.add_argument("--write", action="store_true", help="put tables and pictures into the manual")
    options = parser.parse_args()
    torch.set_num_threads(1)
    if options.command == "run":
        run(options)
        return
    for name, text in report(json.loads(LOG.read_text())).items():
        print(name, text)
        if options.write:
            put(PAGE, name, text)
    if options.write:
        draw(options)


if __name__ == "__main__":
    main()
