"""Figure 4: what a traversal shows on its way from the source to the target."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

import latentsearch as ls
from tto.bench import PAIR_SEED, Bench
from tto.records import Recorder, walk
from tto.traversals import PATIENCE, Setting

SETTINGS = [
    Setting("algorithm 2", 0.1, budget=400),
    Setting("algorithm 2", 100.0, budget=400),
    Setting("algorithm 3", 0.1, budget=400),
    Setting("algorithm 2", 6e3, budget=160, reading="reset"),
    Setting("algorithm 2", 2e4, budget=100, reading="snapped"),
]
SEARCHED, SHOWN = 8, 11  # pairs to pick from; images of a strip between its source and its target


@dataclass
class Strip:
    """One row of the figure.

    Attributes:
        title: Which search it was.
        source, target: Images (C, H, W).
        images: Reconstructions of unique grids in order, all of them or evenly thinned.
        numbers: Their places in the traversal, from 1.
        back_to: The number of the grid that came back.
        ratio: The last loss over the loss of the target's own encoding.
    """

    title: str
    source: Tensor
    target: Tensor
    images: list[Tensor]
    numbers: list[int]
    back_to: int
    ratio: float


def strips(bench: Bench, settings: list[Setting], each: int = 2) -> list[Strip]:
    """For each setting the pairs with the shortest way to a repeat: those fit on a page."""
    part = bench.part(0, SEARCHED)
    found: list[Strip] = []
    for setting in settings:
        recorder = Recorder(len(part), keep_grids=True)
        run = ls.Run(evaluations=setting.budget, callbacks=[recorder])
        setting.search().search(part.generator, part.goal, init=part.encoded(), seed=PAIR_SEED, run=run)
        ends = [walk(visits, PATIENCE) for visits in recorder.visits]
        order = sorted((w.unique, row) for row, w in enumerate(ends) if w.end == "repeat")
        found += [_strip(part, setting, recorder, row, ends[row].loop) for _, row in order[:each]]
    return found


@torch.no_grad()
def _strip(part: Bench, setting: Setting, recorder: Recorder, row: int, loop: int) -> Strip:
    grids = recorder.grids[row][:-1]  # the last visit is the repeat
    back = len(grids) - loop
    numbers = _thinned(len(grids), back)
    images = part.generator.decode(torch.stack([grids[n] for n in numbers])).clamp(0, 1)
    own = part.own_loss()[row].item()
    return Strip(
        title=setting.name,
        source=part.sources[row],
        target=part.targets[row],
        images=list(images),
        numbers=[n + 1 for n in numbers],
        back_to=back + 1,
        ratio=recorder.visits[row][len(grids) - 1].loss / own,
    )


def _thinned(count: int, back: int) -> list[int]:
    """At most SHOWN of ``count`` places, evenly, always with the first, the last and the one returned to."""
    if count <= SHOWN:
        return list(range(count))
    even = {round(i * (count - 1) / (SHOWN - 2)) for i in range(SHOWN - 1)}
    return sorted(even | {back})


def draw(found: list[Strip], path: Path) -> None:
    """One line a strip, with an arrow from its last grid to the one that came back."""
    import matplotlib.pyplot as plt

    columns = max(len(strip.images) for strip in found) + 2
    figure, axes = plt.subplots(len(found), columns, figsize=(columns * 0.78, len(found) * 1.22), squeeze=False)
    for line, strip in zip(axes, found, strict=True):
        for axis in line:
            axis.set_axis_off()
        _show(line[0], strip.source, "source")
        for axis, image, number in zip(line[1:], strip.images, strip.numbers, strict=False):
            _show(axis, image, str(number))
        _show(line[-1], strip.target, "target")
        caption = f"{strip.title}: no. {strip.numbers[-1] + 1} is no. {strip.back_to} again"
        caption += f" (loss of the last: {strip.ratio:.1f} times encoding's)"
        line[0].text(-0.05, 1.42, caption, transform=line[0].transAxes, fontsize=7.5)
        first, last = line[1 + strip.numbers.index(strip.back_to)], line[len(strip.images)]
        last.annotate(
            "", xy=(0.5, -0.04), xycoords=first.transAxes, xytext=(0.6, -0.04), textcoords=last.transAxes,
            arrowprops={"arrowstyle": "->", "color": "tab:red", "connectionstyle": "arc3,rad=-0.35", "lw": 1.4},
            annotation_clip=False,
        )  # fmt: skip
    figure.subplots_adjust(left=0.01, right=0.99, top=0.95, bottom=0.03, wspace=0.06, hspace=0.75)
    figure.savefig(path, dpi=110)
    plt.close(figure)


def _show(axis: Any, image: Tensor, title: str) -> None:
    image = image.clamp(0, 1).movedim(0, -1).numpy()
    axis.imshow(image if image.shape[-1] == 3 else image[..., 0], cmap="gray", vmin=0, vmax=1, interpolation="nearest")
    axis.set_title(title, fontsize=7, pad=2)
