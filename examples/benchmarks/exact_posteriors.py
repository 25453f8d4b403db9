"""Posteriors over grids of codes of which every probability is known, and how close to them draws are.

    python examples/benchmarks/exact_posteriors.py run         # writes examples/logs/exact_posteriors.json
    python examples/benchmarks/exact_posteriors.py run 0       # the first case alone, into the same log
    python examples/benchmarks/exact_posteriors.py report      # the tables of the log

Grids of 2x2 and 2x3 codes with a prior that has a probability of its own for each, and a window of 2x2 codes in a digit
of the package's VQ-VAE, with five codes that its prior deems likely there; a measurement of the size of a random
projection without its sign, so that there are two modes. **Distances**: the law of the last state of many chains,
counted, against the posterior, enumerated; beside it what as many exact draws would be off by chance. Chains of
`GibbsSearch` start at draws of the prior, each position is a block, and the candidates are those of the prior; those of
`SplitGibbsSearch` draw two thirds of the grid anew, a code a pass, and those of `SMCSearch` all of it.
**Calibration**: truths are drawn from the prior, decoded and measured with noise; where each ranks among draws of its
posterior, and whether draws are spread as widely as what is not known. Where the measurement is sharp, moves of one
code cannot leave a mode: chains keep the share of the modes that they began with, and ranks show it.
Seeded; one thread.
"""

from __future__ import annotations

import argparse
import itertools
import json
import math
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

import latentsearch as ls
from latentsearch import judge, zoo
from latentsearch.noise import Noise
from latentsearch.priors import UniformCodes
from latentsearch.testing import toys

LOG = Path(__file__).parents[1] / "logs" / "exact_posteriors.json"
BUDGETS = (100, 300, 1000, 3000)
CALIBRATED = 1000  # evaluations a draw
PROBLEMS, DRAWS = 256, 15


@dataclass(frozen=True)
class Case:
    """A posterior.

    Attributes:
        shape: Of the grids.
        size: K.
        noise: Standard deviation of the measurement, whose largest value is about 1.
        chains: So many that exact draws would be off by less than 0.05.
        most: The largest budget.
        digits: Whether a window of a digit is decoded.
    """

    shape: tuple[int, int]
    size: int
    noise: float
    chains: int
    most: int = 1000
    digits: bool = False


CASES = (
    Case((2, 2), 4, 0.2, 6000),
    Case((2, 2), 4, 0.05, 1500),
    Case((2, 3), 3, 0.05, 3000, most=3000),
    Case((2, 2), 5, 0.01, 1500, digits=True),
)
METHODS: dict[str, ls.GibbsSearch | ls.SplitGibbsSearch | ls.SMCSearch] = {
    "GibbsSearch": ls.GibbsSearch(explore=0, reveals=0, probes=1, trust=0.0, refills=0, spacing=8),
    "SplitGibbsSearch": ls.SplitGibbsSearch(
        explore=0, reveals=0, probes=1, trust=0.0, masked=(0.7, 0.7), passes=6, candidates=8
    ),
    "SMCSearch": ls.SMCSearch(particles=32, trust=None),
}


class Window:
    """A window of codes in a digit, the others as its encoder has them, and only some codes; decoded once and for all.

    Args:
        shape: Of the window.
        size: How many codes: those that the prior deems likeliest there.
    """

    def __init__(self, shape: tuple[int, int], size: int) -> None:
        generator, prior = ls.wrap(zoo.load("mnist-vqvae-512")), zoo.prior("mnist-vqvae-512")
        grid = generator.encode(zoo.images()[0][4:5])
        rows, columns = (slice(3, 3 + side) for side in shape)
        known = torch.ones_like(grid, dtype=torch.bool)
        known[:, rows, columns] = False
        likely = prior.conditionals(grid, known)[0, rows, columns].flatten(0, 1).logsumexp(0)
        codes = likely.topk(size).indices
        self.space, self.prior = ls.Discrete(shape, size), UniformCodes(ls.Discrete(shape, size), torch.float32)
        self.device, self.dtype = torch.device("cpu"), torch.float32
        listed = torch.tensor(list(itertools.product(range(size), repeat=math.prod(shape)))).view(-1, *shape)
        whole = grid.repeat(len(listed), 1, 1)
        whole[:, rows, columns] = codes[listed]
        # A code is four pixels wide, and reaches a little further.
        seen = tuple(slice(4 * 3 - 2, 4 * (3 + side) + 2) for side in shape)
        digits = torch.cat([generator.decode(part) for part in whole.split(512)])
        self._outputs = digits[:, 0, seen[0], seen[1]].flatten(1)
        self.listed = self._by_the_chain_rule(prior, whole, known, listed, codes)

    def _by_the_chain_rule(
        self, prior: ls.ConditionalPrior, whole: Tensor, known: Tensor, listed: Tensor, codes: Tensor
    ) -> toys.ListedPrior:
        """The prior of the window: that of each of its positions given the rest of the grid and those before."""
        positions, size = listed[0].numel(), self.space.codebook_size
        logs = torch.zeros(len(listed), dtype=torch.float64)
        for position, place in enumerate((~known[0]).nonzero()):
            # Grids that agree in the positions before are next to each other, and one pass serves them.
            run = size ** (positions - position)
            first = whole[::run]
            found = prior.conditionals(first, known.expand_as(first))[:, place[0], place[1]][:, codes].log_softmax(-1)
            own = listed.flatten(1)[:, position, None]
            logs += found.double().repeat_interleave(run, 0).gather(1, own)[:, 0]
            known = known.clone()
            known[0, place[0], place[1]] = True
        return toys.ListedPrior(logs.view((size,) * positions), self.space.shape, cost=0.25)

    def decode(self, z: Tensor) -> Tensor:
        """Hard codes ``(N, *S)``, or the expectation over independent soft ones, to pixels ``(N, n)``."""
        if not z.is_floating_point():
            return self._outputs[index_of(z, self.space.codebook_size)]
        shares = torch.ones(len(z), 1, dtype=z.dtype)
        for each in z.flatten(1, -2).unbind(1):
            shares = (shares[..., None] * each[:, None]).flatten(1)
        return shares @ self._outputs


@cache
def parts(case: Case) -> tuple[ls.Generator, toys.ListedPrior, Tensor, float]:
    """The decoder, the prior, the projection, and what it is of outputs in the middle."""
    positions = math.prod(case.shape)
    if not case.digits:
        prior = toys.ListedPrior(Noise.from_seed(0).normal(*(case.size,) * positions)[0], case.shape, cost=0.25)
        weights = Noise.from_seed(1).normal(positions)[0]
        return toys.CodeGenerator(case.shape, case.size), prior, weights, float(0.5 * weights.sum())
    window = Window(case.shape, case.size)
    outputs = window.decode(window.listed.grids)
    weights = Noise.from_seed(1).normal(outputs.shape[1])[0]
    projected = outputs @ weights
    middle = float(window.listed.log_probs.exp() @ projected.double())
    scale = float((projected - middle).abs().max())
    return window, window.listed, weights / scale, middle / scale


def signed(case: Case, x: Tensor) -> Tensor:
    """``(N, 1)``: the projection, of which the size is measured."""
    _, _, weights, middle = parts(case)
    return (x.flatten(1) @ weights - middle)[:, None]


def index_of(z: Tensor, size: int) -> Tensor:
    """``(N,)``: the number of a grid among all."""
    powers = size ** torch.arange(z[0].numel() - 1, -1, -1)
    return (z.flatten(1) * powers).sum(1)


def counted(z: Tensor, size: int) -> Tensor:
    """How often each grid is there."""
    return index_of(z, size).bincount(minlength=size ** z[0].numel())


def distances(case: Case, name: str) -> list[dict[str, float]]:
    """A row a budget."""
    generator, prior, _, _ = parts(case)
    projected = signed(case, generator.decode(prior.grids))
    # Digits are far from the middle by less than the furthest grid is.
    usual = float((prior.log_probs.exp() @ projected.square().double()).sqrt())
    level = usual if case.digits else 0.5 * float(projected.abs().max())
    measured = ls.Observed(torch.tensor([[level]]), lambda x: signed(case, x).abs(), noise=case.noise)
    goal = measured + ls.LogPrior(prior)
    exact = (-goal(generator.decode(prior.grids), prior.grids).loss.double()).softmax(0)
    upper = projected[:, 0] > 0
    rows = []
    method = replace(METHODS[name], restarts=case.chains)
    # What a first pass costs: a chain that has not made one is no draw.
    least = method.evaluations_of(1, prior.space, prior.cost)
    for budget in (each for each in BUDGETS if least <= each <= case.most):
        start = time.process_time()
        result = method.search(generator, goal, seed=0, run=ls.Run(evaluations=budget * case.chains))
        drawn = counted(result.candidates.latent[0], case.size)
        rows.append(
            {
                "evaluations": float(result.evaluations[0]) / case.chains,
                "total_variation": judge.total_variation(exact, drawn),
                "floor": judge.total_variation_floor(exact, case.chains),
                "hellinger": judge.hellinger(exact, drawn),
                "upper_mode": float(drawn[upper].sum()) / case.chains,
                "upper_mode_exact": float(exact[upper].sum()),
                "grids_in_effect": math.exp(float(-(exact * exact.clamp(min=1e-300).log()).sum())),
                "seconds": round(time.process_time() - start, 2),
            }
        )
        print(case, name, {key: round(value, 4) for key, value in rows[-1].items()}, flush=True)
    return rows


def calibration(case: Case, name: str) -> dict[str, float]:
    """P-values of ranks, and the ratio of errors, over planted problems."""
    generator, prior, weights, _ = parts(case)
    noise = Noise.from_seed(3, PROBLEMS)
    truth = prior.sample(noise)
    seen = signed(case, generator.decode(truth)).abs() + case.noise * noise.fold(1).normal(1)
    measured = ls.Observed(seen, lambda x: signed(case, x).abs(), noise=case.noise)
    method = replace(METHODS[name], restarts=DRAWS)
    run = ls.Run(evaluations=CALIBRATED * DRAWS)
    z = method.search(generator, measured + ls.LogPrior(prior), seed=4, run=run).candidates.latent
    flat = torch.cat([truth[:, None], z], 1).flatten(0, 1)
    outputs = generator.decode(flat)
    row = torch.arange(PROBLEMS).repeat_interleave(DRAWS + 1)
    other = Noise.from_seed(9).normal(weights.numel())[0]
    statistics = {
        "prior": -prior.log_prob(flat),
        "likelihood": measured.select(row)(outputs, flat).loss,
        "projection": outputs.flatten(1) @ other,
    }
    found: dict[str, float] = {}
    for number, (key, values) in enumerate(statistics.items()):
        each = values.view(PROBLEMS, DRAWS + 1)
        ranks = judge.sbc_ranks(each[:, 1:], each[:, 0], noise.fold(10 + number))
        found[f"p_{key}"] = judge.uniformity(ranks, DRAWS)
    answers = outputs.view(PROBLEMS, DRAWS + 1, -1)
    found |= judge.posterior_spread(answers[:, 1:], answers[:, 0])._asdict()
    print(case, name, {key: round(value, 4) for key, value in found.items()}, flush=True)
    return found


def run(which: Sequence[int]) -> None:
    """Cases, into the log."""
    torch.set_num_threads(1)
    log = json.loads(LOG.read_text()) if LOG.exists() else {}
    cases = log.get("cases", {})
    for number in which:
        case = CASES[number]
        found = {name: {"distances": distances(case, name), "calibration": calibration(case, name)} for name in METHODS}
        cases[str(number)] = {**asdict(case), "methods": found}
    settings = {name: asdict(method) for name, method in METHODS.items()}
    ordered = {key: cases[key] for key in sorted(cases)}
    written = {"problems": PROBLEMS, "draws": DRAWS, "settings": settings, "cases": ordered}
    LOG.write_text(json.dumps(written, indent=1) + "\n")


def report() -> None:
    """The tables of the log."""
    cases = json.loads(LOG.read_text())["cases"].values()
    print("| grid | K | noise | method | evaluations | total variation | of exact draws | upper mode | exactly |")
    print("|---|---:|---:|---|---:|---:|---:|---:|---:|")
    for case in cases:
        for name, found in case["methods"].items():
            for row in found["distances"]:
                numbers = (row[key] for key in ("total_variation", "floor", "upper_mode", "upper_mode_exact"))
                cells = " | ".join(f"{number:.3f}" for number in numbers)
                beginning = f"| {title(case)} | {case['size']} | {case['noise']} | {name}"
                print(f"{beginning} | {row['evaluations']:.0f} | {cells} |")
    print("\n| grid | noise | method | p: prior | p: likelihood | p: projection | ratio of errors (95 %) |")
    print("|---|---:|---|---:|---:|---:|---:|")
    for case in cases:
        for name, entry in case["methods"].items():
            found = entry["calibration"]
            values = " | ".join(f"{found[f'p_{key}']:.3f}" for key in ("prior", "likelihood", "projection"))
            spread = f"{found['ratio']:.2f} ({found['low']:.2f} to {found['high']:.2f})"
            print(f"| {title(case)} | {case['noise']} | {name} | {values} | {spread} |")


def title(case: dict[str, Any]) -> str:
    """What a case is called."""
    shape = "x".join(map(str, case["shape"]))
    return f"{shape}, digits" if case["digits"] else shape


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("command", choices=("run", "report"))
    parser.add_argument("cases", nargs="*", type=int, help="numbers of cases to run; all if none is given")
    arguments = parser.parse_args()
    run(arguments.cases or range(len(CASES))) if arguments.command == "run" else report()
