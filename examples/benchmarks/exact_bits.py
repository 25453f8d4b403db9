"""Exact bits a code of the masked priors, on more test grids than their own commands take: a pass a position.

    python examples/benchmarks/exact_bits.py                     # some minutes of one core
    python examples/benchmarks/exact_bits.py zoo --grids 1000    # the one that the wheel carries

Test images are spread evenly over the test set. `examples/logs/exact_bits.json` has the bits of one order, which is
a normalised density, with their standard error over grids, beside those of the histogram. One thread.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
import time
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

sys.path.append(str(Path(__file__).parent))
sys.path.append(str(Path(__file__).parents[1]))
from codes_bench import generators, priors
from data import cifar10_subset, mnist

import latentsearch as ls
from latentsearch import zoo
from latentsearch.priors import HistogramPrior, MaskedDiffusion

LOG = Path(__file__).parents[1] / "logs" / "exact_bits.json"
NAMES = ("zoo", "mnist-512-masked", "cifar10-8x8-masked")
ROWS = 100  # grids at once


def prior_of(name: str, generator: ls.CodebookGenerator) -> MaskedDiffusion:
    found = zoo.prior("mnist-vqvae-512").prior if name == "zoo" else priors.load(name, generator)
    assert isinstance(found, MaskedDiffusion)
    return found


@torch.no_grad()
def each_bits(prior: ls.Prior, grids: Tensor) -> Tensor:
    """``(N,)`` bits a code."""
    found = torch.cat([prior.log_prob(part).double() for part in grids.split(ROWS)])
    return -found / math.log(2) / grids[0].numel()


@torch.no_grad()
def measured(name: str, count: int) -> dict[str, Any]:
    data = "mnist-512" if name == "zoo" else name.removesuffix("-masked")
    generator, _ = generators.load(data)
    images = (mnist if data == "mnist-512" else cifar10_subset)("test")[0]
    some = images[:: max(len(images) // count, 1)][:count]
    grids = torch.cat([generator.encode(part) for part in some.split(500)])
    prior, start = prior_of(name, generator), time.perf_counter()
    bits = each_bits(prior, grids)
    return {
        "test_grids": len(grids),
        "bits": round(float(bits.mean()), 4),
        "standard_error": round(float(bits.std()) / len(bits) ** 0.5, 4),
        "histogram": round(float(each_bits(HistogramPrior(prior.frequencies), grids).mean()), 4),
        "seconds": round(time.perf_counter() - start),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", default=list(NAMES))
    parser.add_argument("--grids", type=int, default=1000)
    parser.add_argument("--out", type=Path, default=LOG)
    options = parser.parse_args()
    torch.set_num_threads(1)
    for name in options.names:
        log = json.loads(options.out.read_text()) if options.out.exists() else {}
        log[name] = measured(name, options.grids)
        print(name, log[name], flush=True)
        options.out.write_text(json.dumps(log, indent=1) + "\n")


if __name__ == "__main__":
    main()
