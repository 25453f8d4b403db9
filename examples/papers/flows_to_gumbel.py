"""Section 5.4 of *Exploring Test Time Optimization for Discrete Neural Representation Learners*, measured again.

    python examples/papers/flows_to_gumbel.py run       # some minutes of one core; writes the log
    python examples/papers/flows_to_gumbel.py draw      # docs/results/img/flows_to_gumbel.png, as the paper's Figure 6
    python examples/papers/flows_to_gumbel.py report    # the tables; --write puts them into docs/results/

Sixteen affine coupling blocks are to carry a Gaussian onto Gumbel-softmax codes by minimising the reverse KL
divergence, in the paper's four configurations: (1) N(0, I), temperature 0.1, Adam; (2) N(5, I), 0.1, SGD with
Nesterov's momentum; (3) N(5, I), 1.0, the same; (4) N(0, I), 0.1, the same. Five seeds each, 256 samples a step.

*As published*: K numbers a position come out of the flow, of which the density on the simplex has no use for one.
What the paper evaluates there it does not say, so both readings are run: the numbers *as they are* in the formula of
its appendix, whose logarithms are NaN below 0 and which has infinite mass above (see
`Target.log_prob_published`); and their *softmax*, which has no determinant. Neither is a KL divergence, and neither is
bounded below. The paper gives no step sizes either: three are run.

*Mended*: log-ratio coordinates, of which there are K - 1 and in which the density is finite everywhere; the blocks
begin as the identity behind the Gaussian of the target's moments, have log-scales of at most 1, and turn their latents;
gradients are path gradients, clipped; the rate decays and weights are averaged.

`--fast` tries all of it in few steps. Everything is seeded; one thread.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch

ROOT = Path(__file__).parents[2]
sys.path[:0] = [path for path in map(str, Path(__file__).parents[:2]) if path not in sys.path]
from flows.figures import draw  # noqa: E402
from flows.measure import measured  # noqa: E402
from flows.recipes import CAUSES, Recipe, mended, published, train, with_cause  # noqa: E402
from flows.tables import tables  # noqa: E402
from flows.targets import Target  # noqa: E402

LOG = ROOT / "examples" / "logs" / "flows_to_gumbel.json"
PAGE = ROOT / "docs" / "results" / "flows_to_gumbel.md"
IMAGE = ROOT / "docs" / "results" / "img" / "flows_to_gumbel.png"
MARK = "<!-- tables -->"
SEEDS = [0, 1, 2, 3, 4]
# Base mean, temperature and optimiser.
CONFIGURATIONS = {
    1: (0.0, 0.1, "Adam"),
    2: (5.0, 0.1, "Nesterov"),
    3: (5.0, 1.0, "Nesterov"),
    4: (0.0, 0.1, "Nesterov"),
}
POSITIONS, CODES = 2, 4
RATES = (1e-3, 1e-4, 1e-5)
STEPS = {"published": 400, "mended": 300, "causes": 150, "sizes": 250}

Run = tuple[str, dict[str, Any], Target, Recipe]


def runs() -> Iterator[Run]:
    """(part, what it is, target, recipe) of everything that is trained."""
    for number, (_, temperature, optimizer) in CONFIGURATIONS.items():
        for correlated in (False, True):
            target = Target.make(POSITIONS, CODES, temperature, correlated=correlated)
            yield "mended", {"configuration": number, "correlated": correlated}, target, mended(optimizer)
    for number, (mean, temperature, optimizer) in CONFIGURATIONS.items():
        target = Target.make(POSITIONS, CODES, temperature, correlated=False)
        for reading in ("softmax", "as they are"):
            for lr in RATES:
                about = {"configuration": number, "reading": reading, "lr": lr}
                yield "published", about, target, published(mean, optimizer, reading, lr)  # type: ignore[arg-type]
    target = Target.make(POSITIONS, CODES, 0.1, correlated=False)
    for cause in CAUSES:
        yield "causes", {"mended": "with", "cause": cause}, target, with_cause(mended("Adam"), cause, present=True)
        # Configuration 2 has all five.
        without = with_cause(published(5.0, "Nesterov", "softmax", 1e-4), cause, present=False)
        yield "causes", {"published": "without", "cause": cause}, target, without
    for codes in (2, 10):
        target = Target.make(POSITIONS, codes, 0.1, correlated=False)
        yield "sizes", {"codes": codes}, target, mended("Adam")


def run(log: Path, fast: bool) -> None:
    found: dict[str, list[dict[str, Any]]] = {part: [] for part in STEPS}
    for part, about, target, recipe in runs():
        began = time.process_time()
        # Mended, 2 and 4 are one recipe, as the shift is whitened away: other seeds make them other runs.
        seeds = [10 * about.get("configuration", 0) + seed for seed in (SEEDS[:2] if fast else SEEDS)]
        outcome = train(target, recipe, seeds, 10 if fast else STEPS[part])
        figures = measured(outcome, target, recipe, 1000 if fast else 100_000)
        entry = about | figures | {"seconds": round(time.process_time() - began, 1)}
        found[part].append(entry)
        print(part, {name: value for name, value in entry.items() if name != "curve"}, flush=True)
        log.parent.mkdir(parents=True, exist_ok=True)
        log.write_text(_compact({"seeds": SEEDS, "steps": STEPS, "positions": POSITIONS, "codes": CODES} | found))


def _compact(value: Any) -> str:
    """JSON with one line a run."""
    parts = []
    for name, part in value.items():
        lines = ",\n  ".join(json.dumps(line) for line in part) if isinstance(part, list) and part else ""
        parts.append(f' "{name}": ' + (f"[\n  {lines}\n ]" if lines and name != "seeds" else json.dumps(part)))
    return "{\n" + ",\n".join(parts) + "\n}\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("what", choices=("run", "draw", "report"))
    parser.add_argument("--write", action="store_true", help="the report's tables into docs/results/")
    parser.add_argument("--fast", action="store_true", help="few steps, into runs/fast/")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    log = Path("runs/fast/flows_to_gumbel.json") if arguments.fast else LOG
    image = log.with_suffix(".png") if arguments.fast else IMAGE
    if arguments.what == "run":
        run(log, arguments.fast)
    elif arguments.what == "draw":
        draw(json.loads(log.read_text()), image)
    elif arguments.write:
        above = PAGE.read_text(encoding="utf-8").split(MARK)[0]
        PAGE.write_text(f"{above}{MARK}\n\n{tables(json.loads(log.read_text()))}\n", encoding="utf-8")
    else:
        print(tables(json.loads(log.read_text())))


if __name__ == "__main__":
    main()
