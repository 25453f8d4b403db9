"""Posteriors over grids of codes of which every probability is known, and how close to them draws are.

    python examples/benchmarks/exact_posteriors.py run     # writes examples/logs/exact_posteriors.json
    python examples/benchmarks/exact_posteriors.py report  # the tables of the log

Grids of 2x2 and 2x3 codes, a prior with a probability of its own for each grid, and a measurement of the size of a
random projection without its sign, so that there are two modes. **Distances**: the law of the last state of many
chains, counted, against the posterior, enumerated; beside it what as many exact draws would be off by chance. Chains
start at draws of the prior, each position is a block, and the candidates are those of the prior.
**Calibration**: truths are drawn from the prior, decoded and measured with noise; where each ranks among draws of its
posterior, and whether draws are spread as widely as what is not known. Where the measurement is sharp, moves of one
code cannot leave a mode: chains keep the share of the modes that they began with, and ranks show it.
Seeded; one thread.
"""

from __future__ import annotations

import argparse
import json
import math
import time
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from torch import Tensor

import latentsearch as ls
from latentsearch import judge
from latentsearch.noise import Noise
from latentsearch.testing import toys

LOG = Path(__file__).parents[1] / "logs" / "exact_posteriors.json"
BUDGETS = (100, 300, 1000, 3000)
CHAINS, PROBLEMS, DRAWS = 1500, 256, 15


@dataclass(frozen=True)
class Case:
    """A posterior.

    Attributes:
        shape: Of the grids.
        size: K.
        noise: Standard deviation of the measurement; outputs are in [0, 1].
    """

    shape: tuple[int, int]
    size: int
    noise: float


CASES = (Case((2, 2), 6, 0.2), Case((2, 2), 6, 0.05), Case((2, 3), 4, 0.2), Case((2, 3), 4, 0.05))
SAMPLER = ls.GibbsSearch(explore=0, reveals=0, probes=1, trust=0.0, spacing=8)


def parts(case: Case) -> tuple[toys.CodeGenerator, toys.ListedPrior, Tensor]:
    """The decoder, the prior, and the projection ``(P,)``."""
    positions = case.shape[0] * case.shape[1]
    prior = toys.ListedPrior(Noise.from_seed(0).normal(*(case.size,) * positions)[0], case.shape, cost=0.25)
    return toys.CodeGenerator(case.shape, case.size), prior, Noise.from_seed(1).normal(positions)[0]


def signed(x: Tensor, weights: Tensor) -> Tensor:
    """``(N, 1)``: the projection, of which the size is measured."""
    return ((x.flatten(1) - 0.5) @ weights)[:, None]


def counted(z: Tensor, size: int) -> Tensor:
    """How often each grid is there."""
    powers = size ** torch.arange(z[0].numel() - 1, -1, -1)
    return (z.flatten(1) * powers).sum(1).bincount(minlength=size ** z[0].numel())


def distances(case: Case) -> list[dict[str, float]]:
    """A row a budget."""
    generator, prior, weights = parts(case)
    level = 0.5 * float(signed(generator.decode(prior.grids), weights).abs().max())
    measured = ls.Observed(torch.tensor([[level]]), lambda x: signed(x, weights).abs(), noise=case.noise)
    goal = measured + ls.LogPrior(prior)
    exact = (-goal(generator.decode(prior.grids), prior.grids).loss.double()).softmax(0)
    upper = signed(generator.decode(prior.grids), weights)[:, 0] > 0
    rows = []
    for budget in BUDGETS:
        method = ls.GibbsSearch(**asdict(SAMPLER) | {"restarts": CHAINS})
        start = time.process_time()
        result = method.search(generator, goal, seed=0, run=ls.Run(evaluations=budget * CHAINS))
        z = result.candidates.latent[0]
        drawn = counted(z, case.size)
        rows.append(
            {
                "evaluations": float(result.evaluations[0]) / CHAINS,
                "total_variation": judge.total_variation(exact, drawn),
                "floor": judge.total_variation_floor(exact, CHAINS),
                "hellinger": judge.hellinger(exact, drawn),
                "upper_mode": float((signed(generator.decode(z), weights) > 0).double().mean()),
                "upper_mode_exact": float(exact[upper].sum()),
                "grids_in_effect": math.exp(float(-(exact * exact.clamp(min=1e-300).log()).sum())),
                "seconds": round(time.process_time() - start, 2),
            }
        )
        print(case, {name: round(value, 4) for name, value in rows[-1].items()}, flush=True)
    return rows


def calibration(case: Case) -> dict[str, float]:
    """P-values of ranks, and the ratio of errors, over planted problems."""
    generator, prior, weights = parts(case)
    noise = Noise.from_seed(3, PROBLEMS)
    truth = prior.sample(noise)
    seen = signed(generator.decode(truth), weights).abs() + case.noise * noise.fold(1).normal(1)
    measured = ls.Observed(seen, lambda x: signed(x, weights).abs(), noise=case.noise)
    method = ls.GibbsSearch(**asdict(SAMPLER) | {"restarts": DRAWS})
    run = ls.Run(evaluations=1000 * DRAWS)
    z = method.search(generator, measured + ls.LogPrior(prior), seed=4, run=run).candidates.latent
    flat = torch.cat([truth[:, None], z], 1).flatten(0, 1)
    outputs = generator.decode(flat)
    row = torch.arange(PROBLEMS).repeat_interleave(DRAWS + 1)
    statistics = {
        "prior": -prior.log_prob(flat),
        "likelihood": measured.select(row)(outputs, flat).loss,
        "projection": signed(outputs, Noise.from_seed(9).normal(weights.numel())[0])[:, 0],
    }
    found: dict[str, float] = {}
    for number, (name, values) in enumerate(statistics.items()):
        each = values.view(PROBLEMS, DRAWS + 1)
        ranks = judge.sbc_ranks(each[:, 1:], each[:, 0], noise.fold(10 + number))
        found[f"p_{name}"] = judge.uniformity(ranks, DRAWS)
    answers = outputs.view(PROBLEMS, DRAWS + 1, -1)
    found |= judge.posterior_spread(answers[:, 1:], answers[:, 0])._asdict()
    print(case, {name: round(value, 4) for name, value in found.items()}, flush=True)
    return found


def run() -> None:
    """Everything, into the log."""
    torch.set_num_threads(1)
    log = [{**asdict(case), "distances": distances(case), "calibration": calibration(case)} for case in CASES]
    LOG.write_text(json.dumps({"chains": CHAINS, "problems": PROBLEMS, "draws": DRAWS, "cases": log}, indent=1) + "\n")


def report() -> None:
    """The tables of the log."""
    log = json.loads(LOG.read_text())
    print("| grid | K | noise | evaluations | total variation | of exact draws | upper mode | exactly |")
    print("|---|---|---|---|---|---|---|---|")
    for case in log["cases"]:
        for row in case["distances"]:
            shape = "x".join(map(str, case["shape"]))
            numbers = (row[name] for name in ("total_variation", "floor", "upper_mode", "upper_mode_exact"))
            cells = " | ".join(f"{number:.3f}" for number in numbers)
            print(f"| {shape} | {case['size']} | {case['noise']} | {row['evaluations']:.0f} | {cells} |")
    print("\n| grid | noise | p: prior | p: likelihood | p: projection | ratio of errors (95 %) |")
    print("|---|---|---|---|---|---|")
    for case in log["cases"]:
        found = case["calibration"]
        values = " | ".join(f"{found[f'p_{name}']:.3f}" for name in ("prior", "likelihood", "projection"))
        spread = f"{found['ratio']:.2f} ({found['low']:.2f} to {found['high']:.2f})"
        print(f"| {'x'.join(map(str, case['shape']))} | {case['noise']} | {values} | {spread} |")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("command", choices=("run", "report"))
    {"run": run, "report": report}[parser.parse_args().command]()
