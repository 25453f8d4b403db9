"""Is the advice of an examination any good? Held against what other examinations found, of other images and seeds.

    python examples/benchmarks/examine_advice.py run              # 15 minutes of two cores
    python examples/benchmarks/examine_advice.py run --only gan   # models with this in their name; the others stay
    python examples/benchmarks/examine_advice.py report --write   # the table of the log, into the manual

`ls.examine` sees 500 test images of each model and names a method. Two more examinations, each of 500 other test images
with another seed, try all methods: there the advised one is compared with the best. The models are those of the package
and of its benchmarks, and a VAE that was trained by others. Seeded; seconds are of the machine at hand.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

import latentsearch as ls
from latentsearch.examination import Examination

sys.path.insert(0, str(Path(__file__).parents[1]))
import continuous
import wrap_pretrained
from codes_bench import generators
from codes_bench.pages import put, table
from data import cifar10_subset, mnist
from safetensors.torch import load_file

from latentsearch import zoo

LOG = Path(__file__).parents[1] / "logs" / "examine_advice.json"
PAGE = Path(__file__).parents[2] / "docs" / "howto" / "searchable.md"
IMAGES, OTHERS = 500, 2  # of each examination, and how many hold it to account
MODELS = ("pretrained-vae", "mnist-vae", "mnist-gan", "mnist-512", "mnist-40", "cifar10-8x8", "cifar10-16x16")
COLUMNS = {
    "method": ("method", "{}"),
    "its loss, over the best method's": ("loss", "{:.3f}"),
    "prior": ("prior", "{}"),
    "seconds": ("seconds", "{:.0f}"),
}


def generator_of(name: str) -> ls.Generator:
    if name == "pretrained-vae":
        vae = wrap_pretrained.VAE().eval().requires_grad_(False)
        vae.load_state_dict(load_file(wrap_pretrained.MODELS / "mnist_vae.safetensors"))
        return ls.ContinuousGenerator(vae.decode, (20,), encode=vae.encode, output_range=(0, 1))
    if name == "mnist-vae":
        return ls.wrap(zoo.load(name))
    return continuous.generator_of(name) if name == "mnist-gan" else generators.load(name)[0]


def images_of(name: str) -> Tensor:
    return cifar10_subset("test")[0] if name.startswith("cifar10") else mnist("test")[0]


def measured(name: str) -> dict[str, Any]:
    """The advice of one examination, and how it fares in the others."""
    generator, images = generator_of(name), images_of(name)
    found = [ls.examine(generator, images[IMAGES * n :][:IMAGES], seed=n) for n in range(1 + OTHERS)]
    first, others = found[0], found[1:]
    method = next(trial.name for trial in first.trials if trial.searcher is first.searcher)
    return {
        "method": method,
        "loss": statistics.mean(over_best(losses(each), method) for each in others),
        "prior": first.prior,
        "verdict": first.verdict,
        "seconds": statistics.mean(each.seconds for each in found),
    }


def losses(found: Examination) -> dict[str, float]:
    return {trial.name: trial.loss for trial in found.trials if not trial.refused}


def over_best(figures: Any, name: str) -> float:
    return float(figures[name] / min(figures.values()))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("command", choices=("run", "report"))
    parser.add_argument("--only", default="", help="models with this in their name")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--write", action="store_true", help="put the table into the manual")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    log = json.loads(LOG.read_text()) if LOG.exists() else {"rows": {}}
    if options.command == "run":
        log["settings"] = {"images": IMAGES, "threads": options.threads, "torch": torch.__version__}
        for name in MODELS:
            if options.only in name:
                log["rows"][name] = measured(name)
                print(name, log["rows"][name], flush=True)
                log["rows"] = {row: log["rows"][row] for row in MODELS if row in log["rows"]}
                LOG.write_text(json.dumps(log, indent=1) + "\n")
    text = table("model", log["rows"], COLUMNS)
    print(text)
    if options.write:
        put(PAGE, "advice", f"\n{text}\n\n")


if __name__ == "__main__":
    main()
