"""What a swap of one code costs when only what it reaches is decoded again, by the size of the grid.

    python examples/benchmarks/patch_decode.py         # some minutes; writes examples/logs/patch_decode.json

Three decoders from embeddings of width 32 to colour images four times as large as the grid: a
*near* one of one 3x3 convolution and an upsampling, a *local* one of three and two, and that of the
package's VQ-VAE. For
each size of the grid, `Objective.swaps` scores single swaps against a target image, by patches
and by full decodes in turn. Times are per swap, the constraint and the one decode of the grid before the
swaps included, and medians over the repeats; multiply-adds are counted by torch. The full decode
gets the chunk of rows that suits it best here.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

import latentsearch as ls
from latentsearch import models, training
from latentsearch.objective import Objective

LOG = Path(__file__).parents[1] / "logs" / "patch_decode.json"
GRIDS = (7, 8, 16, 32, 64)
WIDTH, CODES = 32, 512


def near_decoder(side: int) -> nn.Module:
    del side
    return nn.Sequential(
        nn.Conv2d(WIDTH, 128, 3, padding=1),
        nn.ReLU(),
        nn.Conv2d(128, 128, 1),
        nn.ReLU(),
        nn.ConvTranspose2d(128, 3, 4, stride=4),
    )


def local_decoder(side: int) -> nn.Module:
    del side
    return nn.Sequential(
        nn.Conv2d(WIDTH, 64, 3, padding=1),
        nn.ReLU(),
        nn.Conv2d(64, 64, 3, padding=1),
        nn.ReLU(),
        nn.Upsample(scale_factor=2),
        nn.Conv2d(64, 32, 3, padding=1),
        nn.ReLU(),
        nn.ConvTranspose2d(32, 3, 4, stride=2, padding=1),
    )


def vqvae_decoder(side: int) -> nn.Module:
    return models.VQVAE((3, 4 * side, 4 * side), codebook_size=CODES, width=WIDTH, channels=64).decoder


DECODERS: dict[str, Callable[[int], nn.Module]] = {
    "near": near_decoder,
    "local": local_decoder,
    "VQ-VAE": vqvae_decoder,
}


class Swaps:
    """Single swaps of one grid, scored one way or the other."""

    def __init__(self, generator: ls.CodebookGenerator, side: int) -> None:
        self.generator = generator
        noise = ls.Noise.from_seed(0)
        self.goal = ls.Matches(noise.uniform(3, 4 * side, 4 * side))
        self.z = noise.fold(1).integers(CODES, side, side)
        self.position, self.code = (noise.fold(n).integers(high, 4096) for n, high in ((2, side**2), (3, CODES)))

    def score(self, count: int, run: ls.Run) -> tuple[torch.Tensor, float]:
        """The losses of the first swaps, and the seconds that each took."""
        objective = Objective(self.generator, self.goal, run)
        begin = time.perf_counter()
        loss = objective.swaps(self.z, self.position[:, :count], self.code[:, :count]).loss
        return loss, (time.perf_counter() - begin) / count

    def multiply_adds(self) -> tuple[float, float]:
        """Of a full decode, and of a patch."""
        z, position = self.z, self.position[:, 0]
        output = self.generator.decode(z)
        counted = []
        for decode in (partial(self.generator.decode, z), partial(self.generator.redecode, z, position, output)):
            with FlopCounterMode(display=False) as counter:
                decode()
            counted.append(counter.get_total_flops() / 2)
        return counted[0], counted[1]


def measure(name: str, side: int, options: argparse.Namespace) -> dict[str, Any]:
    with training.initialised(0):
        decoder = DECODERS[name](side).eval().requires_grad_(False)
    generator = ls.CodebookGenerator(decoder, ls.Noise.from_seed(1).normal(CODES, WIDTH)[0], (side, side))
    begin = time.perf_counter()
    patches = generator.patches
    found = time.perf_counter() - begin
    swaps = Swaps(generator, side)
    full, patch = swaps.multiply_adds()
    rows: dict[str, Any] = {
        "decoder": name,
        "grid": side,
        "why": patches.why,
        "crop": patches.crop,
        "error": patches.error,
        "seconds to find": round(found, 3),
        "multiply-adds of a decode": full,
        "multiply-adds of a patch": patch,
    }
    if patches.why:
        return rows
    few = max(options.swaps // 8, 1)
    whole = {rows: partial(swaps.score, few, ls.Run(patches=False, chunk_rows=rows)) for rows in (1, 4, 16)}
    rows["chunk of full decodes"] = best = min(whole, key=lambda chunk: min(whole[chunk]()[1] for _ in range(2)))
    times: dict[str, list[float]] = {"patch": [], "full": []}
    for _ in range(options.repeats):
        by_patch, seconds = swaps.score(options.swaps, ls.Run())
        times["patch"].append(seconds)
        by_decode, seconds = whole[best]()
        times["full"].append(seconds)
    rows["largest difference of a loss"] = float((by_patch[:, :few] / by_decode - 1).abs().max())
    rows |= {f"milliseconds, {way}": round(1000 * statistics.median(values), 3) for way, values in times.items()}
    ratios = [a / b for a, b in zip(times["full"], times["patch"], strict=True)]
    return rows | {"times as fast": round(statistics.median(ratios), 2)}


def table(rows: list[dict[str, Any]]) -> str:
    lines = [
        "| decoder | grid | cells decoded again | multiply-adds | full, ms a swap | patch, ms a swap | times as fast |",
        "|---|---|---|---|---|---|---|",
    ]
    for row in rows:
        grid, crop = f"{row['grid']}x{row['grid']}", "x".join(map(str, row["crop"]))
        if row["why"]:
            lines.append(f"| {row['decoder']} | {grid} | {crop} | given up | | | 1 |")
            continue
        share = row["multiply-adds of a patch"] / row["multiply-adds of a decode"]
        lines.append(
            f"| {row['decoder']} | {grid} | {crop} | {share:.1%} (÷ {1 / share:.1f}) | {row['milliseconds, full']:.2f} "
            f"| {row['milliseconds, patch']:.2f} | {row['times as fast']:.1f} |"
        )
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=9)
    parser.add_argument("--swaps", type=int, default=128)
    parser.add_argument("--grids", type=int, nargs="+", default=GRIDS)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--log", type=Path, default=LOG)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    rows = []
    for name in DECODERS:
        for side in options.grids:
            rows.append(measure(name, side, options))
            print({key: value for key, value in rows[-1].items() if key in ("decoder", "grid", "why", "times as fast")})
    print(table(rows))
    log = {"repeats": options.repeats, "swaps": options.swaps, "threads": options.threads, "torch": torch.__version__}
    options.log.parent.mkdir(parents=True, exist_ok=True)
    options.log.write_text(json.dumps(log | {"rows": rows}, indent=1))


if __name__ == "__main__":
    main()
