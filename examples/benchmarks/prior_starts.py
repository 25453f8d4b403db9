"""Does it help a search that a learnt prior is at hand, where the goal does not ask for one?

    python examples/benchmarks/prior_starts.py          # two minutes on one core

The package's VQ-VAE of digits and its prior, 16 of MNIST's test images, to match them or their left halves. Searches
with a gradient start at draws of the uniform prior or of the learnt one; evolution has the one or the other to mutate
by, and pays for its passes. Mean losses and bits a code go to `examples/logs/prior_starts.json`. One thread, seed 0.
"""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import torch
from torch import Tensor

sys.path.append(str(Path(__file__).parents[1]))
from data import mnist

import latentsearch as ls
from latentsearch import zoo

LOG = Path(__file__).parents[1] / "logs" / "prior_starts.json"
NAME, FIRST, COUNT, BUDGET = "mnist-vqvae-512", 1000, 16, 1000

Search = Callable[..., ls.SearchResult]


class Proposing:
    """A prior that proposes as another does, and has no say in the loss."""

    def __init__(self, prior: ls.ConditionalPrior) -> None:
        self.space, self.cost, self.sample = prior.space, prior.cost, prior.sample
        self.conditionals, self.resample, self.passes = prior.conditionals, prior.resample, prior.passes

    def log_prob(self, z: Tensor) -> Tensor:
        return torch.zeros(len(z))


def searches(
    generator: ls.Generator, goal: ls.Constraint, prior: ls.ConditionalPrior
) -> Iterator[tuple[str, str, Search]]:
    """Of each its name, its prior, and what to call."""
    noise = ls.Noise.from_seed(0, COUNT)
    starts = {"uniform": generator.prior.sample(noise), "learnt": prior.sample(noise)}
    for method in (ls.RelaxedSearch(), ls.AutoSearch()):
        for kind, init in starts.items():
            yield type(method).__name__, kind, partial(method.search, generator, goal, init=init)
    for kind, asked in {"uniform": goal, "learnt": goal + ls.LogPrior(Proposing(prior))}.items():
        yield "EvolutionSearch", kind, partial(ls.EvolutionSearch().search, generator, asked)


def main() -> None:
    torch.set_num_threads(1)
    generator, images = ls.wrap(zoo.load(NAME), prior=None), mnist("test")[0][FIRST : FIRST + COUNT]
    prior = zoo.prior(NAME)
    assert isinstance(prior, ls.ConditionalPrior)
    left = (torch.arange(28) < 14).float().expand(1, 1, 28, 28)
    rows = []
    for task, goal in {"match": ls.Matches(images), "inpaint": ls.Matches(images, mask=left)}.items():
        for method, kind, search in searches(generator, goal, prior):
            latent = search(seed=0, run=ls.Run(evaluations=BUDGET)).latent
            bits = -prior.log_prob(latent) / prior.space.positions / math.log(2)
            loss = goal(generator.decode(latent), latent).loss.mean()
            row = {"task": task, "method": method, "prior": kind, "evaluations": BUDGET}
            rows.append(row | {"loss": float(f"{loss:.3g}"), "bits": round(float(bits.mean()), 2)})
            print(json.dumps(rows[-1]), flush=True)
    LOG.write_text("[\n" + ",\n".join(f" {json.dumps(row)}" for row in rows) + "\n]\n")


if __name__ == "__main__":
    main()
