"""The demonstration behind ``python -m latentsearch demo``: four goals, in two kinds of latent space.

``examples/quickstart.py`` is the same job as one would write it by hand.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor

from latentsearch import plots, zoo
from latentsearch.adapters import CodebookGenerator, ContinuousGenerator, wrap
from latentsearch.constraints import Classified, Downscales, LogPrior, Matches
from latentsearch.errors import InvalidArgument
from latentsearch.goal import AnyGoal
from latentsearch.protocols import Searcher
from latentsearch.result import SearchResult
from latentsearch.run import Run
from latentsearch.searchers import (
    GradientSearch,
    RandomSearch,
    RelaxedSearch,
    SinglePositionSearch,
    StraightThroughSearch,
)

IMAGES = (4, 7, 9, 17, 18)  # of those in the zoo: a 2, a 3, a 4, an 8 and a 9
EVALUATIONS, STEPS = 480, 120  # the most for one image

# Methods for the grid of codes. A mean over 784 pixels has small gradients, hence the large steps.
SEARCHERS: Mapping[str, Searcher] = {
    "relaxed": RelaxedSearch(steps=STEPS - 1, check_every=3, sharpness=3.0),
    "straight-through": StraightThroughSearch(lr=100.0, on_repeat="continue"),
    "single-position": SinglePositionSearch(lr=100.0, on_repeat="continue"),
    "random": RandomSearch(),
}


@dataclass(frozen=True)
class Task:
    """One goal about several images.

    Attributes:
        title: What it is, in words.
        given: ``(B, 1, h, w)``: what the search may know, to look at.
        goal: What should come out, for B problems.
        likelihood: The weight of the log prior where latents are continuous.
        edits: Whether the search starts at the images' own latents.
    """

    title: str
    given: Tensor
    goal: AnyGoal
    likelihood: float = 0.0
    edits: bool = False


@dataclass(frozen=True)
class Outcome:
    """What became of one task in one space.

    Attributes:
        task: The task.
        space: ``"VQ-VAE"`` or ``"VAE"``.
        method: The searcher's name.
        result: The search's result.
        encoder_loss: ``(B,)``: the same constraint's loss where the encoder puts the original images.
        frames: ``(T, B, 1, 28, 28)``: the best so far as the search went.
    """

    task: Task
    space: str
    method: str
    result: SearchResult
    encoder_loss: Tensor
    frames: Tensor


def tasks(images: Tensor) -> list[Task]:
    """The four goals about images ``(B, 1, 28, 28)``.

    Args:
        images: Digits in [0, 1].

    Example:
        >>> from latentsearch import zoo
        >>> from latentsearch.demo import tasks
        >>> [task.title for task in tasks(zoo.images()[0])]
        ['match an image', 'super-resolution x4', 'inpaint the right half', 'make it a 7']
    """
    small = F.avg_pool2d(images, 4)
    left = torch.zeros(1, 1, 28, 28)
    left[..., :14] = 1
    hidden = images * left + 0.35 * (1 - left)
    seven = Matches(images) + 0.05 * Classified(zoo.load("mnist-classifier"), 7, threshold=None)
    return [
        Task("match an image", images, Matches(images)),
        Task("super-resolution x4", small, Downscales(small, 4, mode="area"), likelihood=1e-4),
        Task("inpaint the right half", hidden, Matches(images, mask=left), likelihood=3e-4),
        Task("make it a 7", images, seven, likelihood=3e-3, edits=True),
    ]


def run_task(
    task: Task,
    space: str,
    generator: CodebookGenerator | ContinuousGenerator,
    searcher: Searcher,
    images: Tensor,
    *,
    seed: int = 0,
    run: Run = Run(evaluations=EVALUATIONS, steps=STEPS),
) -> Outcome:
    """Search for one goal in one space, and film it.

    Args:
        task: The goal.
        space: What to call the generator.
        generator: Where to search.
        searcher: How to search.
        images: ``(B, 1, 28, 28)``: the original images.
        seed: The search's seed.
        run: Its budget.
    """
    film, latents = plots.Film(every=3), generator.encode(images)
    goal = task.goal.goal
    if space == "VAE" and task.likelihood:
        goal = goal + task.likelihood * LogPrior(generator.prior)
    result = searcher.search(
        generator,
        goal,
        init=latents if task.edits else None,
        seed=seed,
        run=replace(run, callbacks=[*run.callbacks, film]),
    )
    encoder_loss = goal(generator.decode(latents), latents).loss
    return Outcome(task, space, type(searcher).__name__, result, encoder_loss, film.decode(generator))


def run_demo(
    out: str | os.PathLike[str] = "latentsearch-demo",
    *,
    seed: int = 0,
    searcher: str = "relaxed",
    evaluations: int = EVALUATIONS,
    progress: bool = False,
    report: Callable[[str], None] = print,
) -> list[Outcome]:
    """Run all tasks on the embedded VQ-VAE and VAE, print a table, write ``grid.png`` and ``search.gif``.

    Args:
        out: The folder to write to.
        seed: One for all searches.
        searcher: The method for the grid of codes, a key of ``SEARCHERS``.
        evaluations: The budget, in evaluations an image.
        progress: Whether to show progress on stderr.
        report: Takes each line of the table.

    Returns:
        The outcomes: each task on the VQ-VAE, then on the VAE.

    Raises:
        InvalidArgument: If there is no such searcher.
    """
    if searcher not in SEARCHERS:
        raise InvalidArgument("demo.searcher", got=repr(searcher), expected="one of " + ", ".join(SEARCHERS))
    images = zoo.images()[0][list(IMAGES)]
    codes, vae = wrap(zoo.load("mnist-vqvae-512")), wrap(zoo.load("mnist-vae"))
    descent = GradientSearch(optimizer=partial(torch.optim.Adam, lr=0.1))
    budget = Run(evaluations=evaluations, steps=STEPS, progress=progress)
    outcomes = []
    report(_HEAD)
    for task in tasks(images):
        # A search that starts at given latents has no use for other starts.
        restarts = replace(descent, restarts=1 if task.edits else 4)
        for space, generator, method in (("VQ-VAE", codes, SEARCHERS[searcher]), ("VAE", vae, restarts)):
            outcomes.append(run_task(task, space, generator, method, images, seed=seed, run=budget))
            report(table_row(outcomes[-1]))
    report(_MORAL)
    for path in write_images(Path(out), outcomes):
        report(str(path))
    return outcomes


_HEAD = (
    f"{'task':<24}{'space':<8}{'method':<22}{'loss':>10}{'encoder':>10}{'ratio':>7}"
    f"{'evaluations':>12}{'seconds':>9}  status"
)

_MORAL = (
    "Losses are means over the images; 'encoder' is the same goal at the latents that the encoder gives for the\n"
    "true images. The codes fit what is given and make up the rest: no prior says which grids are likely.\n"
    "The VAE has one, and its goals include it."
)


def table_row(outcome: Outcome) -> str:
    """One line of the table; losses are means over the images.

    Args:
        outcome: Of one task in one space.
    """
    result = outcome.result
    loss, encoder = float(result.score.loss.mean()), float(outcome.encoder_loss.mean())
    status = ", ".join(f"{count} {status.name}" for status, count in Counter(result.status).items())
    return (
        f"{outcome.task.title:<24}{outcome.space:<8}{outcome.method:<22}{loss:>10.5f}{encoder:>10.5f}"
        f"{loss / encoder:>7.2f}{int(result.evaluations.sum()):>12}{result.seconds:>9.1f}  {status}"
    )


def write_images(folder: Path, outcomes: list[Outcome]) -> tuple[Path, Path]:
    """``grid.png`` and ``search.gif``: of each task what was given, and what was found in each space.

    Args:
        folder: Where to.
        outcomes: As [run_demo][latentsearch.demo.run_demo] gives them.

    Returns:
        Both paths.
    """
    still: list[Tensor] = []
    moving: list[Tensor] = []
    labels: list[str] = []
    titles = {}
    for codes, vae in zip(outcomes[::2], outcomes[1::2], strict=True):
        titles[len(labels)] = codes.task.title
        labels += ["given", codes.space, vae.space]
        still += [codes.task.given, codes.result.output, vae.result.output]
        moving += [codes.task.given, codes.frames, vae.frames]
    grid = plots.save_grid(folder / "grid.png", still, labels, titles=titles)
    return grid, plots.save_gif(folder / "search.gif", moving, labels, titles=titles, scale=2)
