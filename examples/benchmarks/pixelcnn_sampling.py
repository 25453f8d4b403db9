"""How much faster a PixelCNN draws than by a pass a code, and that it draws the same grids.

    python examples/benchmarks/pixelcnn_sampling.py    # half a minute on one core

A gated PixelCNN of its default size, with weights drawn at random, over grids of 16 x 16 codes of 512. The plain method
takes a whole pass for each code. Both are given the same noise, so that grids can be compared one by one: if none
differs, the two laws are one. Figures go to `examples/logs/pixelcnn_sampling.json`. Seeded; one thread; the
best of the rounds.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor, nn

import latentsearch as ls
from latentsearch import training
from latentsearch.priors import PixelCNN

LOG = Path(__file__).parents[1] / "logs" / "pixelcnn_sampling.json"


def network(side: int) -> PixelCNN:
    """With weights of a size that makes codes depend on those before them."""
    with training.initialised(0):
        found = PixelCNN(ls.Discrete((side, side), codebook_size=512))
        for parameter in found.codes.parameters():
            nn.init.normal_(parameter, 0, 0.3)
    return found.eval()


@torch.no_grad()
def plainly(prior: PixelCNN, noise: ls.Noise) -> Tensor:
    """``(N, *S)`` draws with a pass a code."""
    z = torch.zeros(len(noise), prior.space.positions, dtype=torch.int64)
    for position in range(prior.space.positions):
        logits = prior.causal_logits(z.view(-1, *prior.space.shape)).flatten(1, -2)[:, position]
        z[:, position] = noise.fold(position).categorical(logits)
    return z.view(-1, *prior.space.shape)


def timed(draw: Callable[[], Tensor], rounds: int) -> tuple[Tensor, float]:
    """What is drawn, and the shortest of the processor times that it took."""
    seconds = []
    for _ in range(rounds):
        start = time.process_time()
        found = draw()
        seconds.append(time.process_time() - start)
    return found, min(seconds)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--side", type=int, default=16)
    parser.add_argument("--draws", type=int, default=4)
    parser.add_argument("--rounds", type=int, default=3, help="of the fast method; a third of them of the plain one")
    parser.add_argument("--out", type=Path, default=LOG)
    options = parser.parse_args()
    torch.set_num_threads(1)
    prior, noise = network(options.side), ls.Noise.from_seed(0, options.draws)
    fast, quick = timed(lambda: prior.sample(noise), options.rounds)
    plain, slow = timed(lambda: plainly(prior, noise), max(options.rounds // 3, 1))
    log = {
        "grid": [options.side, options.side],
        "draws": options.draws,
        "torch": torch.__version__,
        "seconds": round(quick, 3),
        "seconds, a pass a code": round(slow, 3),
        "times faster": round(slow / quick, 1),
        "codes that differ": int((fast != plain).sum()),
        "different codes drawn": len(fast.unique()),
    }
    options.out.write_text(json.dumps(log, indent=1) + "\n")
    print(log)


if __name__ == "__main__":
    main()
