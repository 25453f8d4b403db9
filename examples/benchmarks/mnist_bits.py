"""Digits of 1,024 bits of which only pairs were measured, by XOR or by AND: the benchmark of SGDD.

    python examples/benchmarks/mnist_bits.py run --count 50        # all methods that need no trained weights
    python examples/benchmarks/mnist_bits.py run --methods "messages, one round" --count 1000
    python examples/benchmarks/train_priors.py mnist-bits-masked
    python examples/benchmarks/mnist_bits.py run --methods "messages, masked model"
    python examples/benchmarks/mnist_bits.py report --write        # tables and picture of docs/results/mnist_bits.md

Test digits are padded to 32 x 32, and a pixel is 1 from grey level 128 on. Measured without noise are the XOR of 512
random pairs of bits, or the AND of 4,096, with the pairs that SGDD has (torch's own generator, seed 0). There are two
codes and the decoder is the identity, so an evaluation is one of the likelihood; a pass of the prior is charged as one,
too, and counted apart. The prior is a mixture of 400 products, fitted to 40,000 training digits in a quarter of a
minute. Answers are judged by a LeNet trained by others: whether it reads them as it reads the true bits. Test digits
from the first on; seeded; one thread. Figures go to `examples/logs/mnist_bits.json`, those that are measured again in
the place of the old ones.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

sys.path.append(str(Path(__file__).parent))
sys.path.append(str(Path(__file__).parents[1]))
from codes_bench import bits, generators, pages, priors
from codes_bench.pairs import OPERATORS, Pairs, measured_of, random_pairs
from codes_bench.products import ProductMixture
from codes_bench.split_gibbs import SplitGibbs
from codes_bench.unmasking import Slopes, Unmasking
from data import mnist

import latentsearch as ls
from latentsearch import plots
from latentsearch.priors import HistogramPrior

LOG = Path(__file__).parents[1] / "logs" / "mnist_bits.json"
PAGE = Path(__file__).parents[2] / "docs" / "results" / "mnist_bits.md"
PICTURE = PAGE.parent / "img" / "mnist_bits.png"
PAIRS = {"XOR": 512, "AND": 4096}
AS_RELEASED = 1e4  # nats of a mismatch: SGDD's likelihood has a noise of 0.01


@dataclass(frozen=True)
class Method:
    """How to search.

    Attributes:
        searcher: The method.
        nats: What a mismatch costs it.
        prior: One of PRIORS.
        evaluations: Its budget; None for what it takes.
    """

    searcher: ls.Searcher
    nats: float = 7.0
    prior: str = "mixture"
    evaluations: int | None = None


METHODS = {
    "messages": Method(Unmasking()),
    "messages, greedy": Method(Unmasking(temperature=(0.0, 0.0))),
    "messages, short": Method(Unmasking(stages=16)),
    "messages, short, greedy": Method(Unmasking(stages=16, temperature=(0.0, 0.0))),
    "messages, two more rounds": Method(Unmasking(stages=16, rounds=2)),
    "messages, histogram": Method(Unmasking(stages=16), prior="histogram"),
    "messages, masked model": Method(Unmasking(), prior="masked"),
    "slopes": Method(Unmasking(Slopes(trust=1.0))),
    "GibbsSearch": Method(ls.GibbsSearch(explore=0, reveals=64, candidates=1, trust=1.0), nats=3.0, evaluations=5000),
    "SGDD as released": Method(SplitGibbs(), nats=AS_RELEASED),
}
WITHOUT_WEIGHTS = [name for name, method in METHODS.items() if method.prior != "masked"]


@dataclass(frozen=True)
class Given:
    """Digits, and what searches know beside the measurement.

    Attributes:
        truth: ``(B, 32, 32)`` int64.
        labels: ``(B,)``.
        priors: Of bits, by name: some of PRIORS.
        reader: The classifier that judges.
    """

    truth: Tensor
    labels: Tensor
    priors: dict[str, ls.ConditionalPrior]
    reader: nn.Module

    @torch.no_grad()
    def read(self, grids: Tensor) -> Tensor:
        """``(N,)``: the digits that grids ``(N, 32, 32)`` are read as."""
        return self.reader(bits.digits_of(grids)).argmax(1)  # type: ignore[no-any-return]


class Counted:
    """A prior that counts what it is asked.

    Attributes:
        passes_made: Grids that went through its network.
    """

    def __init__(self, prior: ls.ConditionalPrior) -> None:
        self.prior, self.passes_made = prior, 0
        self.space, self.cost = prior.space, prior.cost
        self.sample, self.log_prob, self.resample, self.passes = (
            prior.sample,
            prior.log_prob,
            prior.resample,
            prior.passes,
        )

    def conditionals(self, z: Tensor, known: Tensor) -> Tensor:
        """As of the prior; a pass a grid."""
        self.passes_made += len(z)
        return self.prior.conditionals(z, known)


def training_bits() -> Tensor:
    """``(40000, 32, 32)``, what priors are fitted to."""
    return bits.bits_of(mnist("train")[0][:40_000])


PRIORS: dict[str, Callable[[], ls.ConditionalPrior]] = {
    "histogram": lambda: HistogramPrior.from_codes(training_bits(), 2),
    "mixture": lambda: ProductMixture.fit(training_bits(), 400),
    "masked": lambda: priors.load("mnist-bits-masked", bits.generator()),
}


def given_of(first: int, count: int, names: Iterable[str]) -> Given:
    """``count`` test digits from the ``first`` on, and priors by name."""
    images, labels = mnist("test")
    part = slice(first, first + count)
    made = {name: PRIORS[name]() for name in names}
    return Given(bits.bits_of(images[part]), labels[part], made, generators.judge("mnist"))


def constraint_of(operator: str, truth: Tensor, nats: float) -> Pairs:
    """What is measured of grids."""
    pairs = random_pairs(PAIRS[operator], truth[0].numel())
    return Pairs(measured_of(truth, pairs, OPERATORS[operator]), pairs, OPERATORS[operator], nats)


def found_by(method: Method, operator: str, given: Given, seed: int) -> tuple[ls.SearchResult, int]:
    """The result, and the passes of the prior in all."""
    prior = Counted(given.priors[method.prior])
    constraint = constraint_of(operator, given.truth, method.nats)
    run = ls.Run(evaluations=method.evaluations)
    return method.searcher.search(bits.generator(prior), constraint, seed=seed, run=run), prior.passes_made


def judged(grids: Tensor, operator: str, given: Given) -> dict[str, float]:
    """Of one answer a digit, ``(B, 32, 32)``."""
    wrong = (grids != given.truth).flatten(1).double().mean(1)
    read, output = given.read(grids), grids[:, None].float()
    missed = constraint_of(operator, given.truth, 1.0).mismatches(output)
    return {
        "agreement": round(float((read == given.read(given.truth)).double().mean()), 4),
        "read right": round(float((read == given.labels).double().mean()), 4),
        "psnr": round(float(-10 * (wrong + 1e-8).log10().mean()), 2),
        "wrong bits": round(1024 * float(wrong.mean()), 2),
        "mismatches": round(float(missed.mean()), 2),
    }


def measure(name: str, operator: str, given: Given, seed: int) -> dict[str, Any]:
    result, passes = found_by(METHODS[name], operator, given, seed)
    spent = {
        "count": len(given.truth),
        "evaluations": round(float(result.evaluations.mean()), 1),
        "passes": round(passes / len(given.truth), 1),
        "seconds": round(result.seconds, 1),
    }
    return {"method": name} | judged(result.latent, operator, given) | spent


def run(options: argparse.Namespace) -> None:
    given = given_of(options.first, options.count, {METHODS[name].prior for name in options.methods})
    log: dict[str, Any] = json.loads(options.out.read_text()) if options.out.exists() else {}
    log |= {"torch": torch.__version__, "seed": options.seed}
    for operator in options.operators:
        part = log.setdefault(operator, {"rows": []})
        part["truth"] = judged(given.truth, operator, given)
        for name in options.methods:
            found = measure(name, operator, given, options.seed)
            print(operator, found, flush=True)
            part["rows"] = [*(row for row in part["rows"] if row["method"] != name), found]
            options.out.write_text(json.dumps(log, indent=1) + "\n")


# -- the report --------------------------------------------------------------------------------------

COLUMNS = {
    "agreement": ("agreement", "{:.1%}"),
    "PSNR": ("psnr", "{:.1f} dB"),
    "wrong bits": ("wrong bits", "{:.1f}"),
    "mismatches": ("mismatches", "{:.1f}"),
    "evaluations": ("evaluations", "{:,.0f}"),
    "passes": ("passes", "{:,.0f}"),
    "digits": ("count", "{:,d}"),
    "seconds": ("seconds", "{:.0f}"),
}
# As its authors report them; evaluations and passes are those of the settings that they released.
PAPER = {
    "XOR": {"agreement": 0.912, "psnr": 20.17, "evaluations": 101_600, "passes": 1600, "count": 1000},
    "AND": {"agreement": 0.794, "psnr": 17.25, "evaluations": 101_600, "passes": 1600, "count": 1000},
}


def table(operator: str, part: dict[str, Any]) -> str:
    """Of one operator: what is published, then a line a method."""
    rows: dict[str, dict[str, Any]] = {"*SGDD, published*": PAPER[operator]}
    rows |= {row["method"]: row for row in sorted(part["rows"], key=lambda row: list(METHODS).index(row["method"]))}
    return pages.table(operator, rows, COLUMNS)


def report(log: dict[str, Any]) -> str:
    return "".join(f"\n{table(operator, log[operator])}\n\n" for operator in PAIRS if operator in log)


DRAWN = ["messages, masked model", "messages", "GibbsSearch"]


def draw(options: argparse.Namespace) -> None:
    """Some digits, and what methods find of them."""
    given = given_of(0, options.pictures, {METHODS[name].prior for name in options.drawn})
    rows, labels, titles = [], [], {}
    for operator in PAIRS:
        titles[len(rows)] = f"{operator} of {PAIRS[operator]:,} pairs"
        for name in options.drawn:
            rows.append(found_by(METHODS[name], operator, given, options.seed)[0].output)
            labels.append(name)
        rows.append(given.truth[:, None].float())
        labels.append("truth")
    plots.save_grid(PICTURE, rows, labels, titles=titles, scale=2)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("command", choices=("run", "report"))
    parser.add_argument("--operators", nargs="*", default=list(PAIRS), choices=list(PAIRS))
    parser.add_argument("--methods", nargs="*", default=WITHOUT_WEIGHTS, choices=list(METHODS))
    parser.add_argument("--first", type=int, default=0, help="test digit")
    parser.add_argument("--count", type=int, default=50)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--pictures", type=int, default=10, help="digits in the picture")
    parser.add_argument("--drawn", nargs="*", default=DRAWN, choices=list(METHODS))
    parser.add_argument("--out", type=Path, default=LOG)
    parser.add_argument("--write", action="store_true", help="report: into docs/results/mnist_bits.md, and the picture")
    options = parser.parse_args()
    torch.set_num_threads(1)
    if options.command == "run":
        run(options)
        return
    text = report(json.loads(options.out.read_text()))
    if not options.write:
        print(text)
        return
    pages.put(PAGE, "bits", text)
    draw(options)


if __name__ == "__main__":
    main()
