"""What a gradient says about swapping codes, and what one number for the curvature adds.

    python examples/benchmarks/swap_scores.py            # a few minutes; MNIST alone needs no data
    python examples/benchmarks/swap_scores.py --draw     # the figure of docs/explanation/swaps.md, from the log

At random codes, at the encoder's and at those of a search, random single swaps of codes are decoded,
and their true change of the loss is compared with two predictions: the change to first order ("slope"), and
that with the quadratic term of a curvature fitted on other swaps. Seed 0; figures go to
`examples/logs/swap_scores.json`.
"""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from scipy.stats import spearmanr
from torch import Tensor

sys.path.append(str(Path(__file__).parents[1]))
from data import cifar10_subset

import latentsearch as ls
from latentsearch import _checkpoint, models, zoo
from latentsearch.noise import Noise
from latentsearch.objective import Ledger, Objective
from latentsearch.searchers._curvature import Curvature
from latentsearch.searchers.swaps._quadratic import QuadraticModel

ROOT = Path(__file__).parents[2]
LOG = ROOT / "examples" / "logs" / "swap_scores.json"
FIGURE = ROOT / "docs" / "explanation" / "img" / "swap_scores.png"
IMAGES, SWAPS, TOP = 20, 256, 32
KEPT = 400  # dots in the figure


def generators() -> dict[str, tuple[ls.CodebookGenerator, Tensor]]:
    """By name: a wrapped model, and images."""
    images = zoo.images()[0][:IMAGES]
    found = {name: (ls.wrap(zoo.load(name)), images) for name in ("mnist-vqvae-512", "mnist-vqvae-40")}
    weights = ROOT / "runs" / "cifar10-K512-ema-0.safetensors"
    if weights.exists():
        tensors, header = _checkpoint.load(weights, kind="model")
        model = models.VQVAE(**header["settings"])
        model.load_state_dict(tensors)
        found["cifar10-K512-ema-0"] = (
            ls.wrap(model.eval().requires_grad_(False)),
            cifar10_subset("test")[0][:IMAGES],
        )
    return found  # type: ignore[return-value]


def stages(generator: ls.CodebookGenerator, goal: ls.Matches) -> dict[str, Tensor]:
    """Grids of codes, from bad to good."""
    start = Noise.from_seed(0, IMAGES).integers(generator.space.codebook_size, *generator.space.shape)
    relaxed = ls.RelaxedSearch().search(generator, goal, init=start, seed=0, run=ls.Run(evaluations=100)).latent
    polished = ls.CoordinateSearch().search(generator, goal, init=relaxed, seed=0, run=ls.Run(evaluations=500)).latent
    return {"random": start, "encoder's": generator.encode(goal.target), "relaxed": relaxed, "polished": polished}


def measure(generator: ls.CodebookGenerator, goal: ls.Matches, z: Tensor) -> dict[str, Any]:
    """How well both predictions rank random swaps, and how many of the best that they find do help."""
    objective = Objective(generator, goal, ls.Run(), Ledger(IMAGES))
    model = QuadraticModel.at(objective, z, Curvature.unknown(objective, IMAGES))
    noise, held = Noise.from_seed(1, IMAGES), model.linear.score.loss[:, None]
    position = noise.fold(0).integers(z[0].numel(), 2 * SWAPS)
    code = noise.fold(1).integers(generator.space.codebook_size, 2 * SWAPS)
    change = objective.swaps(z, position, code).loss - held
    first_order, half_distance = predictors(model, position, code)
    # Fitted on the first half, judged on the second.
    first, second = slice(None, SWAPS), slice(SWAPS, None)
    curvature = model.fit.observe((change - first_order)[:, first], half_distance[:, first]).value
    both = first_order + curvature[:, None] * half_distance
    ranks = {
        name: [float(spearmanr(a, b).statistic) for a, b in zip(score[:, second], change[:, second], strict=True)]
        for name, score in {"slope": first_order, "slope and curvature": both}.items()
    }
    result: dict[str, Any] = {"curvature": float(curvature.mean())}
    for name, value in {"slope": torch.zeros(IMAGES), "slope and curvature": curvature}.items():
        best = replace(model, curvature=value).rank(TOP, per_position=4)
        gained = objective.swaps(z, best.position, best.code).loss < held
        result[name] = {
            "rank correlation": sum(ranks[name]) / IMAGES,
            f"of the best {TOP}, help": float(gained.float().mean()),
        }
    sample = slice(SWAPS, SWAPS + KEPT // IMAGES)
    result["dots"] = {
        name: [float(f"{x:.3g}") for x in values[:, sample].flatten().tolist()]
        for name, values in {"true": change, "slope": first_order, "slope and curvature": both}.items()
    }
    return result


def predictors(model: QuadraticModel, position: Tensor, code: Tensor) -> tuple[Tensor, Tensor]:
    """The change to first order and half the squared distance of given swaps, ``(M, C)`` each."""
    before = model.objective.embed(model.z).flatten(1, -2)
    gradient = model.linear.gradient.flatten(1, -2)
    at = position[..., None].expand(-1, -1, before.shape[-1])
    delta = model.objective.codebook.vectors[code] - before.gather(1, at)
    return (gradient.gather(1, at) * delta).sum(-1), 0.5 * delta.square().sum(-1)


def table(log: dict[str, Any]) -> str:
    lines = [
        f"| model | codes | slope: rank correlation | of its best {TOP}, help "
        f"| with curvature | of its best {TOP}, help |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    for model, found in log.items():
        for stage, row in found.items():
            cells = [f"{row[n][k]:.2f}" if "rank" in k else f"{row[n][k]:.0%}"
                     for n in ("slope", "slope and curvature") for k in row[n]]  # fmt: skip
            lines.append("| " + " | ".join([model, stage, *cells]) + " |")
    return "\n".join(lines)


def draw(log: dict[str, Any]) -> None:
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    model = list(log)[-1]
    names = ["random", "encoder's", "polished"]
    figure, axes = pyplot.subplots(2, 3, figsize=(9, 5.6), layout="constrained")
    for column, stage in enumerate(names):
        dots = log[model][stage]["dots"]
        for row, name in enumerate(("slope", "slope and curvature")):
            ax = axes[row][column]
            ax.scatter(dots[name], dots["true"], s=5, alpha=0.5, linewidths=0, color=("tab:red", "tab:blue")[row])
            rho = log[model][stage][name]["rank correlation"]
            ax.set_title(f"{stage} codes: rank correlation {rho:.2f}", fontsize=9)
            ax.set_xlabel(f"predicted by {name}", fontsize=8)
            ax.set_ylabel("true change of loss", fontsize=8)
            ax.tick_params(labelsize=7)
            ax.axhline(0, color="black", linewidth=0.5)
            ax.axvline(0, color="black", linewidth=0.5)
    figure.suptitle(f"Random swaps of one code, {model}", fontsize=10)
    FIGURE.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(FIGURE, dpi=110)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--draw", action="store_true")
    options = parser.parse_args()
    torch.set_num_threads(1)
    if options.draw:
        draw(json.loads(LOG.read_text()))
        return
    log: dict[str, Any] = {}
    for name, (generator, images) in generators().items():
        goal = ls.Matches(images)
        log[name] = {stage: measure(generator, goal, z) for stage, z in stages(generator, goal).items()}
        LOG.write_text(json.dumps(log) + "\n")
    print(table(log))


if __name__ == "__main__":
    main()
