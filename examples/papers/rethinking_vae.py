"""Rethinking VAE on digits: centres in the place of a divergence, one, many, and a codebook; each claim with a verdict.

    python examples/papers/rethinking_vae.py sweep                   # λ1 and M: 3 minutes
    python examples/papers/rethinking_vae.py run --seeds 0 1 2 3 4   # 35 minutes a seed on a busy core; fits are kept
    python examples/papers/rethinking_vae.py report --write          # tables and pictures of the log, into the manual

Shi, *Rethinking VAE: From Continuous to Discrete Representations Without Probabilistic Assumptions* (2025). MNIST in
full; where collapse is what is looked at also the CIFAR-10 subset in grey, in the place of Fashion-MNIST. Answers are
read by a LeNet that was trained by others (see wrap_pretrained.py). Seeded; one thread.
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
from rethinking import claims, grids, pictures, spaces, sweep, tables, use
from rethinking.fits import GREY, GRIDS, MODELS, SEARCHED, ZERO, Fits, images
from rethinking.judge import Judge

from latentsearch.models import CentreAutoencoder

LOGS = Path(__file__).parents[1] / "logs" / "rethinking_vae"
PAGE = Path(__file__).parents[2] / "docs" / "results" / "rethinking_vae.md"
KEPT = Path(__file__).parents[2] / "runs" / "rethinking_vae"


def rounded(value: Any) -> Any:
    """Numbers with five digits, however deep."""
    match value:
        case float():
            return float(f"{value:.5g}")
        case dict():
            return {key: rounded(each) for key, each in value.items()}
        case list():
            return [rounded(each) for each in value]
    return value


def write(name: str, found: Any) -> None:
    LOGS.mkdir(exist_ok=True)
    (LOGS / f"{name}.json").write_text(json.dumps(rounded(found), indent=1) + "\n")


def fit(options: argparse.Namespace) -> None:
    for seed in options.seeds:
        fits = Fits(options.kept, seed)
        for data, names in (("mnist", MODELS | ZERO), ("cifar10", GREY)):
            for name in names:
                if options.models in name:
                    fits.fitted(data, name)


def run(options: argparse.Namespace) -> None:
    judge = Judge()
    for seed in options.seeds:
        path = LOGS / f"seed-{seed}.json"
        log = json.loads(path.read_text()) if path.exists() else {}
        log |= {"torch": torch.__version__, "floor": judge.floor, "constant": constant_error()}
        fits = Fits(options.kept, seed)
        for data, names in (("mnist", MODELS | ZERO), ("cifar10", GREY)):
            for name in names:
                if options.models in name:
                    known = log.setdefault(data, {}).get(name, {})
                    log[data][name] = known | row(fits, judge, data, name, options.measures)
                    write(f"seed-{seed}", log)
                    print(seed, data, name, flush=True)


def constant_error() -> float:
    """The squared error of the mean training image on test images."""
    train, test = (images("mnist", split)[0] for split in ("train", "test"))
    return float((test - train.mean(0)).square().flatten(1).sum(1).mean())


def row(fits: Fits, judge: Judge, data: str, name: str, measures: list[str]) -> dict[str, Any]:
    """All that is measured of a model."""
    model, epochs = fits.fitted(data, name)
    found: dict[str, Any] = {"epochs": epochs}
    if isinstance(model, CentreAutoencoder):
        found["use"] = use.measured(model, data)
    if data == "cifar10":
        return found
    parts = grids.MEASURES if name in GRIDS else spaces.MEASURES
    for each in measures:
        if each in parts and (each != "search" or name in SEARCHED):
            found |= parts[each](model, judge, fits.seed)
    return found


def report(options: argparse.Namespace) -> None:
    logs = [json.loads(path.read_text()) for path in sorted(LOGS.glob("seed-*.json"))]
    texts = tables.report(logs) | {"claims": claims.table(logs), "sweep": sweep_table()}
    for name, text in texts.items():
        print(f"{name}\n{text}\n")
        if options.write:
            put(PAGE, name, f"\n{text}\n\n")
    if options.write:
        pictures.draw(Fits(options.kept, 0), PAGE.parent / "img")


def sweep_table() -> str:
    rows = json.loads((LOGS / "sweep.json").read_text())
    return table("", {str(number): row for number, row in enumerate(rows, 1)}, sweep.COLUMNS)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("command", choices=("sweep", "fit", "run", "report"))
    parser.add_argument("--seeds", nargs="*", type=int, default=[0, 1, 2, 3, 4])
    parser.add_argument("--models", default="", help="those with this in their name")
    kinds = list(grids.MEASURES | spaces.MEASURES)
    parser.add_argument("--measures", nargs="*", default=kinds, choices=kinds, help="the others stay as logged")
    parser.add_argument("--kept", type=Path, default=KEPT, help="where fitted networks are kept")
    parser.add_argument("--write", action="store_true", help="put tables and pictures into the manual")
    options = parser.parse_args()
    torch.set_num_threads(1)
    if options.command == "sweep":
        write("sweep", list(sweep.rows(Fits(options.kept, 0), Judge())))
    if options.command == "fit":
        fit(options)
    if options.command == "run":
        run(options)
    if options.command == "report":
        report(options)


if __name__ == "__main__":
    main()
