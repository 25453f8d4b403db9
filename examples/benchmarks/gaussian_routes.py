"""Normals onto codes: a flow onto embeddings beside the exact autoregressive map, and searches on their spheres.

    python examples/benchmarks/gaussian_routes.py train       # the flow and the PixelCNN; some minutes on one core
    python examples/benchmarks/gaussian_routes.py run
    python examples/benchmarks/gaussian_routes.py report --write    # the tables of docs/howto/gaussian_codes.md

The decoder is that of the package's VQ-VAE of digits. Both routes are of the first 38,000 training images; the judge,
its band and the tasks are those of posterior.py. The flow's network starts at the weights of `mnist-512-masked`, and
the PixelCNN from nothing. Weights go to `runs/` (kept out of git), figures to
`examples/logs/gaussian_routes.json`. Seeded; one thread.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

sys.path.append(str(Path(__file__).parent))
sys.path.append(str(Path(__file__).parents[1]))
import posterior
from codes_bench import generators, priors
from codes_bench.generators import digest
from data import mnist
from train_priors import bits, codes_of, groups_of, warm_cosine

import latentsearch as ls
from latentsearch import _checkpoint, plots, training
from latentsearch.adapters import Quantiles
from latentsearch.priors import CategoricalFlow, HistogramPrior, MaskedDiffusion, PixelCNN

LOG = Path(__file__).parents[1] / "logs" / "gaussian_routes.json"
PAGE = Path(__file__).parents[2] / "docs" / "howto" / "gaussian_codes.md"
PICTURE = PAGE.parents[1] / "assets" / "gaussian_routes.png"
TRAINED, HELD_OUT = slice(38_000), slice(38_000, 39_000)
STEPS = {"flow": 700, "pixelcnn": 700}
LEARNING_RATE = {"flow": 1e-3, "pixelcnn": 2e-3}
ROUND_TRIPS = slice(200, 400)  # test images
MARK = "<!-- tables -->\n"

Route = ls.GaussianCodes | ls.GaussianEmbeddings
Network = CategoricalFlow | PixelCNN


# -- the networks ------------------------------------------------------------------------------------


def untrained(name: str, generator: ls.CodebookGenerator, codes: Tensor) -> Network:
    """The network at the histogram of the codes, and the flow at what a masked model knows."""
    histogram = priors.histogram_of(codes).logits
    with training.initialised(0):
        if name == "pixelcnn":
            plain = PixelCNN(generator.space, codebook=generator.codebook, histogram=histogram, blocks=5)
            return plain.to(memory_format=torch.channels_last)
        flow = CategoricalFlow(generator.space, generator.codebook, histogram=histogram, dropout=0.05)
    masked = priors.load("mnist-512-masked", generator)
    assert isinstance(masked, MaskedDiffusion)
    # The two share their trunk and their table of codes.
    flow.codes.load_state_dict(masked.codes.state_dict())
    flow.trunk.load_state_dict(masked.trunk.state_dict())
    return flow.to(memory_format=torch.channels_last)


def train(name: str, options: argparse.Namespace) -> dict[str, Any]:
    """Train a network, write its weights, of half precision, and give its row of the log."""
    generator, sha = generators.load("mnist-512")
    (codes, test), start = codes_of("mnist-512", generator, options.runs), time.process_time()
    codes = codes[:, 0]
    model = untrained(name, generator, codes[TRAINED])

    def report(entry: training.Entry) -> None:
        print(name, entry.step, entry.history.validation["nats_per_code"][-1], flush=True)

    plan = ls.Fit(
        options.steps or STEPS[name],
        batch_size=32,
        optimizer=training.Group(
            partial(groups_of, 0.02), partial(torch.optim.AdamW, lr=LEARNING_RATE[name], betas=(0.9, 0.98))
        ),
        schedule=warm_cosine,
        clip=1.0,
        average=0.995,
        autocast=torch.bfloat16,
        log_every=100,
        callbacks=[report],
        checkpoint=options.runs / f"{name}.fit.safetensors",
    )
    history = ls.fit(model, (codes[TRAINED],), plan, validation=(codes[HELD_OUT],), seed=0)
    figures = {"decoder_sha256": sha, "weights": sum(p.numel() for p in model.parameters()), "steps": history.step[-1]}
    figures |= {"seconds": round(time.process_time() - start)}
    if isinstance(model, PixelCNN):
        figures |= {"test_bits": bits(model.eval(), test[: options.grids]), "test_grids": options.grids}
    header = {"kind": "prior", "class": type(model).__name__, "settings": model.settings, "figures": {}}
    _checkpoint.save(options.runs / f"mnist-512-{name}.safetensors", model.state_dict(), header)
    return figures | {"sha256": digest(model.state_dict())}


# -- the routes --------------------------------------------------------------------------------------


def network(name: str, generator: ls.CodebookGenerator, options: argparse.Namespace, steps: int) -> Network:
    """A trained network, if it is the one in the log."""
    tensors, _ = _checkpoint.load(options.runs / f"mnist-512-{name}.safetensors", kind="prior")
    found, logged = digest(tensors), json.loads(options.out.read_text())["trained"][name]["sha256"]
    if found != logged:
        raise SystemExit(f"the weights of {name} are not the log's: run gaussian_routes.py train {name}")
    with training.initialised(0):
        if name == "pixelcnn":
            made: Network = PixelCNN(generator.space, codebook=generator.codebook, blocks=5)
        else:
            made = CategoricalFlow(generator.space, generator.codebook, steps=steps)
    made.load_state_dict(tensors)
    return made.to(memory_format=torch.channels_last).eval().requires_grad_(False)


def route_of(name: str, generator: ls.CodebookGenerator, options: argparse.Namespace, steps: int) -> Route:
    """A decoder of normals; a flow takes so many steps."""
    if name == "flow":
        flow = network("flow", generator, options, steps)
        assert isinstance(flow, CategoricalFlow)
        return ls.GaussianEmbeddings(generator, flow, spread=flow.spread)
    if name == "histogram":
        return ls.GaussianCodes(generator, HistogramPrior(priors.load("mnist-512-masked", generator).frequencies))
    prior = network("pixelcnn", generator, options, steps)
    return ls.GaussianCodes(generator, prior, by=Quantiles.of(generator.codebook) if name == "quantiles" else None)


ROUTES = ("flow", "histogram", "gumbel-max", "quantiles")


@torch.no_grad()
def of_draws(route: Route, given: posterior.Given, count: int, found_at: Path) -> dict[str, float]:
    """Unconditional draws, by the judge; their codes go to a file."""
    start = time.process_time()
    eps = route.prior.sample(ls.Noise.from_seed(0, count))
    codes = torch.cat([route.codes(part) for part in eps.split(64)])
    seconds = (time.process_time() - start) / count
    _checkpoint.save(found_at, {"codes": codes}, {"kind": "codes"})
    found = ls.judge.report(codes[:, None], given.reference)
    figures = {name: round(found[name].answers, 4) for name in ("in band", "bits per code", "Fréchet distance")
               if name in found}  # fmt: skip
    return {"draws": count, **figures, "milliseconds a draw": round(1000 * seconds, 1)}


@torch.no_grad()
def of_round_trips(route: Route, given: posterior.Given, count: int) -> dict[str, float]:
    """Codes of test images to normals and back."""
    images = mnist("test")[0][ROUND_TRIPS][:count]
    codes = given.generator.encode(images)
    eps = route.to_gaussian(codes, ls.Noise.from_seed(1, len(codes)))
    off = (route.codes(eps) != codes).flatten(1)
    return {
        "grids": len(codes),
        "codes off": round(float(off.float().mean()), 5),
        "grids off": round(float(off.any(1).float().mean()), 4),
        "mean square of the normals": round(float(eps.square().mean()), 4),
    }


def of_search(
    route: Route, given: posterior.Given, task: posterior.Task, budget: int, found_at: Path
) -> dict[str, Any]:
    """PULSE's search on the sphere of the normals, for what is seen alone; the codes go to a file."""
    start = time.process_time()
    result = ls.SphericalSearch().search(route, task.plain, seed=0, run=ls.Run(evaluations=budget))
    codes = route.codes(result.latent)
    _checkpoint.save(found_at, {"codes": codes}, {"kind": "codes"})
    seconds = round(time.process_time() - start, 1)
    return {"digits": len(codes), "evaluations": budget, "seconds": seconds} | posterior.judged(codes, given, task)


def file_of(name: str, part: str, options: argparse.Namespace) -> Path:
    """Where the codes are kept that a part of the benchmark found."""
    return Path(options.runs / f"routes-{name}-{part}.safetensors")


def measure(name: str, given: posterior.Given, options: argparse.Namespace) -> Iterator[tuple[str, dict[str, Any]]]:
    generator = given.generator
    route = route_of(name, generator, options, options.ode_steps)
    steps = f", {options.ode_steps} steps" if name == "flow" else ""
    if "draws" in options.parts:
        yield f"draws{steps}", of_draws(route, given, options.draws, file_of(name, "draws", options))
    if "round" in options.parts:
        yield f"round trip{steps}", of_round_trips(route, given, options.round_trips)
    quick = route_of(name, generator, options, options.search_steps)
    for task in options.tasks:
        wanted, found_at = posterior.task_of(given, task, 0.5), file_of(name, task, options)
        yield task, of_search(quick, given, wanted, options.evaluations, found_at)


# -- the report --------------------------------------------------------------------------------------

COLUMNS = {
    "in band": ("in band", "{:.0%}"),
    "bits": ("bits per code", "{:.2f}"),
    "ms": ("milliseconds a draw", "{:.0f}"),
    "codes off": ("codes off", "{:.1%}"),
    "within ε": ("within tolerance", "{:.0%}"),
    "both": ("both", "{:.0%}"),
    "hidden error": ("hidden error", "{:.4f}"),
    "read right": ("read right", "{:.0%}"),
    "seconds": ("seconds", "{:.0f}"),
}


def report(log: dict[str, Any]) -> str:
    """The table: a line a route and what was measured of it."""
    lines = [f"| route | {' | '.join(COLUMNS)} |", f"| --- |{' ---: |' * len(COLUMNS)}"]
    for name in (name for name in ROUTES if name in log["routes"]):
        for part, row in log["routes"][name].items():
            cells = (shape.format(row[key]) if key in row else "" for key, shape in COLUMNS.values())
            lines.append(f"| {name}, {part} | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


@torch.no_grad()
def draw(options: argparse.Namespace, count: int = 12) -> None:
    """Draws of each route, and what its search made of left halves."""
    generator, _ = generators.load("mnist-512")
    images = mnist("test")[0][:count]
    mask = posterior.seen_half(images)
    rows, labels = [images * mask + 0.35 * (1 - mask)], ["given"]
    for name in ROUTES:
        for part in ("inpaint", "draws"):
            if file_of(name, part, options).exists():
                codes = _checkpoint.load(file_of(name, part, options), kind="codes")[0]["codes"][:count]
                rows, labels = [*rows, generator.decode(codes)], [*labels, f"{name}, {part}"]
    plots.save_grid(PICTURE, rows, labels, scale=2)


def record(options: argparse.Namespace, part: str, name: str, row: dict[str, Any]) -> None:
    """One more row of the log."""
    log: dict[str, Any] = json.loads(options.out.read_text()) if options.out.exists() else {}
    log.setdefault(part, {}).setdefault(name, {}).update(row)
    options.out.write_text(json.dumps(log, indent=1, ensure_ascii=False) + "\n")
    print(part, name, row, flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("command", choices=("train", "run", "report"))
    parser.add_argument("names", nargs="*", help="of networks to train, or of routes to measure")
    parser.add_argument("--runs", type=Path, default=Path("runs"))
    parser.add_argument("--out", type=Path, default=LOG)
    parser.add_argument("--steps", type=int, help="train: other than the recipe's")
    parser.add_argument("--grids", type=int, default=500, help="train: test grids whose bits are measured")
    parser.add_argument("--ode-steps", type=int, default=16, help="run: midpoint steps of the flow")
    parser.add_argument("--search-steps", type=int, default=4, help="run: those while it is searched through")
    parser.add_argument("--parts", nargs="*", default=["draws", "round"], choices=["draws", "round"])
    parser.add_argument("--tasks", nargs="*", default=["inpaint"], choices=posterior.TASKS)
    parser.add_argument("--draws", type=int, default=500)
    parser.add_argument("--round-trips", type=int, default=200)
    parser.add_argument("--count", type=int, default=48, help="run: digits searched for")
    parser.add_argument("--evaluations", type=int, default=1000)
    parser.add_argument("--write", action="store_true", help="report: into the manual, with the picture")
    options = parser.parse_args()
    torch.set_num_threads(1)
    # Cold softmaxes are full of denormal numbers, with which a CPU is several times slower.
    torch.set_flush_denormal(True)
    options.runs.mkdir(exist_ok=True)
    if options.command == "train":
        for name in options.names or STEPS:
            record(options, "trained", name, train(name, options))
        return
    if options.command == "report":
        table = report(json.loads(options.out.read_text()))
        print(table)
        if options.write:
            before, _, rest = PAGE.read_text().partition(MARK)
            PAGE.write_text(before + MARK + "\n" + table + "\n" + rest[rest.index("<!-- end -->") :])
            draw(options)
        return
    given = posterior.given_of("mnist-512", 0, options.count)
    for name in options.names or ROUTES:
        for part, row in measure(name, given, options):
            record(options, "routes", name, {part: row})


if __name__ == "__main__":
    main()
