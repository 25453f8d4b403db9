"""Make the prior that the wheel carries of the one that the benchmark searches with: `zoo.prior("mnist-vqvae-512")`.

    python examples/benchmarks/publish_prior.py    # two minutes on one core

The network is `mnist-512-masked` of train_priors.py, trained on the first 38,000 images. What is added: its cost as
`ls.fit_prior` counts it, how far the decoder is off on images that it was not trained on, and bits per code on every
twentieth test image, which go to `examples/logs/zoo_prior.json` too. One thread.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
from pathlib import Path

import torch

sys.path.append(str(Path(__file__).parent))
sys.path.append(str(Path(__file__).parents[1]))
from codes_bench import generators, priors
from data import mnist

import latentsearch as ls
from latentsearch.fitting._cost import cost_beside
from latentsearch.priors import Fingerprint, UniformCodes, fitted, save

ROOT = Path(__file__).parents[2]
FILE = ROOT / "latentsearch" / "zoo" / "weights" / "mnist-vqvae-512-prior.safetensors"
LOG = ROOT / "examples" / "logs" / "zoo_prior.json"
TRAINED, OFF, EVERY = slice(38_000), slice(38_000, 38_083), 20


@torch.no_grad()
def published(every: int = EVERY) -> ls.priors.FittedPrior:
    """The benchmark's prior, with what a search and a reader want to know of it."""
    generator, _ = generators.load("mnist-512")
    prior = priors.load("mnist-512-masked", generator)
    images, test = mnist("train")[0], mnist("test")[0][::every]
    grids, codes = generator.encode(test), torch.cat([generator.encode(part) for part in images[TRAINED].split(1000)])
    prior.set_cost(cost_beside(generator, prior, grids[:1]))
    rivals = {"bits": prior, "histogram": priors.histogram_of(codes), "uniform": UniformCodes(generator.space)}
    unit = math.log(2) * generator.space.positions
    temperature = prior.temperature
    prior.set_temperature(1.0)
    figures = {name: -float(rival.log_prob(grids).double().mean()) / unit for name, rival in rivals.items()}
    prior.set_temperature(temperature)
    figures["temperature"] = temperature
    encoded = generator.encode(images[OFF])
    return fitted(prior, generator.decode(encoded) - images[OFF], figures, Fingerprint.of(generator, encoded))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=FILE)
    options = parser.parse_args()
    torch.set_num_threads(1)
    prior = published()
    save(prior, options.out, dtype=torch.float16)
    log = {"test images": f"every {EVERY}th", "cost": prior.cost, **prior.figures}
    LOG.write_text(json.dumps(log, indent=1) + "\n")
    print(log)


if __name__ == "__main__":
    main()
