"""The demonstration behind ``python -m latentsearch demo``: four goals, in two kinds of latent space.

``examples/quickstart.py`` is the same job as one would write it by hand.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor

from latentsearch import plots, zoo
from latentsearch.adapters import CodebookGenerator, ContinuousGenerator, wrap
from latentsearch.constraints import Classified, Downscales, LogPrior, Matches
from latentsearch.goal import AnyGoal
from latentsearch.priors import FittedPrior, fitted
from latentsearch.protocols import Searcher
from latentsearch.result import SearchResult
from latentsearch.run import Run
from latentsearch.searchers import GibbsSearch, GradientSearch, RelaxedSearch

IMAGES = (4, 7, 9, 17, 18)  # of those in the zoo: a 2, a 3, a 4, an 8 and a 9
EVALUATIONS = 900  # the most for one answer

_DESCENT = GradientSearch(optimizer=partial(torch.optim.Adam, lr=0.1), restarts=4)
# Chains that end at temperature 0: each in an answer that is likely, where at 1 it would be a draw.
_COMPLETE = GibbsSearch(temperature=(1.0, 0.0), restarts=3)
_REFINE = replace(_COMPLETE, explore=0, reveals=0, trust=0.0, refills=0, restarts=1)  # sweeps from where it starts


@dataclass(frozen=True)
class Task:
    """One goal about several images.

    Attributes:
        title: What it is, in words.
        given: ``(B, 1, h, w)``: what the search may know, to look at.
        goal: What should come out, for B problems.
        in_codes: How to search grids of codes.
        descent: How to search continuous latents.
        open: Whether the goal leaves something open, so that a prior counts; its loss is in nats then.
        edits: Whether the search of continuous latents starts at the images' own.
        refines: Whether the search of codes starts at the codes of what the other found.
    """

    title: str
    given: Tensor
    goal: AnyGoal
    in_codes: Searcher
    descent: Searcher = _DESCENT
    open: bool = True
    edits: bool = False
    refines: bool = False


@dataclass(frozen=True)
class Outcome:
    """What became of one task in one space.

    Attributes:
        task: The task.
        space: ``"VQ-VAE"`` or ``"VAE"``.
        method: The searcher's name.
        result: The search's result.
        answers: ``(B, R, 1, 28, 28)``: what to show, R answers to each problem.
        encoder_loss: ``(B,)``: the same goal's loss where the encoder puts the original images.
        frames: ``(T, B, 1, 28, 28)``: the search as it went.
    """

    task: Task
    space: str
    method: str
    result: SearchResult
    answers: Tensor
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
    # A likelihood so wide that the digit may become another one.
    seven = Matches(images, noise=1.5) + 30 * Classified(zoo.load("mnist-classifier"), 7, threshold=None)
    # A mean over 784 pixels has small gradients, hence the sharp mixtures.
    relaxed = RelaxedSearch(steps=119, check_every=3, sharpness=3.0)
    return [
        Task("match an image", images, Matches(images), relaxed, open=False),
        Task("super-resolution x4", small, Downscales(small, 4, mode="area", noise="decoder"), _REFINE, refines=True),
        Task("inpaint the right half", hidden, Matches(images, mask=left, noise="decoder"), _COMPLETE),
        # A search that starts at given latents has no use for other starts.
        Task("make it a 7", images, seven, _REFINE, replace(_DESCENT, restarts=1), edits=True, refines=True),
    ]


def spaces(images: Tensor) -> dict[str, tuple[CodebookGenerator | ContinuousGenerator, FittedPrior]]:
    """The two decoders, each with what is known of its latents, and of how far it is off.

    Args:
        images: ``(n, 1, 28, 28)``, of which the VAE's errors are measured.
    """
    codes, vae = wrap(zoo.load("mnist-vqvae-512")), wrap(zoo.load("mnist-vae"))
    assert isinstance(codes, CodebookGenerator) and isinstance(vae, ContinuousGenerator)
    residuals = vae.decode(vae.encode(images)) - images
    return {"VAE": (vae, fitted(vae.prior, residuals, {})), "VQ-VAE": (codes, zoo.prior("mnist-vqvae-512"))}


def run_task(
    task: Task,
    space: str,
    generator: CodebookGenerator | ContinuousGenerator,
    prior: FittedPrior,
    images: Tensor,
    *,
    start: Tensor | None = None,
    seed: int = 0,
    evaluations: int = EVALUATIONS,
    progress: bool = False,
) -> Outcome:
    """Search for one goal in one space, and film it.

    Args:
        task: The goal.
        space: What to call the generator.
        generator: Where to search.
        prior: Which latents are likely, and how far the decoder is off.
        images: ``(B, 1, 28, 28)``: the original images.
        start: ``(B, 1, 28, 28)``: images at whose latents to start; None for draws.
        seed: The search's seed.
        evaluations: The budget for one answer.
        progress: Whether to show progress on stderr.
    """
    film, latents = plots.Film(every=3), generator.encode(images)
    goal = task.goal + LogPrior(prior) if task.open else task.goal.goal
    descends = isinstance(generator, ContinuousGenerator)
    searcher = task.descent if descends else task.in_codes
    chains = searcher.restarts if isinstance(searcher, GibbsSearch) else 1
    result = searcher.search(
        generator,
        goal,
        init=None if start is None else generator.encode(start),
        seed=seed,
        run=Run(evaluations=chains * evaluations, progress=progress, callbacks=[film]),
    )
    # Chains end in different answers; of restarts that descend, the best is the answer.
    answers = result.candidates.latent if chains > 1 else result.latent[:, None]
    decoded = generator.decode(answers.flatten(0, 1)).unflatten(0, answers.shape[:2])
    encoder_loss = goal.calibrated(prior.residuals)(generator.decode(latents), latents).loss
    return Outcome(task, space, type(searcher).__name__, result, decoded, encoder_loss, film.decode(generator))


def run_demo(
    out: str | os.PathLike[str] = "latentsearch-demo",
    *,
    seed: int = 0,
    evaluations: int = EVALUATIONS,
    progress: bool = False,
    report: Callable[[str], None] = print,
) -> list[Outcome]:
    """Run all tasks on the embedded VQ-VAE and VAE, print a table, write ``grid.png`` and ``search.gif``.

    Args:
        out: The folder to write to.
        seed: One for all searches.
        evaluations: The budget for one answer.
        progress: Whether to show progress on stderr.
        report: Takes each line of the table.

    Returns:
        The outcomes: each task on the VAE, then on the VQ-VAE.
    """
    images, outcomes = zoo.images()[0][list(IMAGES)], []
    report(_HEAD)
    search = partial(run_task, images=images, seed=seed, evaluations=evaluations, progress=progress)
    for task in tasks(images):
        start = images if task.edits else None
        for space, (generator, prior) in spaces(images).items():
            outcomes.append(search(task, space, generator, prior, start=start))
            start = outcomes[-1].result.output if task.refines else None
            report(table_row(outcomes[-1]))
    report(_MORAL)
    for path in write_images(Path(out).expanduser(), outcomes):
        report(str(path))
    return outcomes


_HEAD = f"{'task':<24}{'space':<8}{'method':<16}{'loss':>10}{'encoder':>10}{'evaluations':>13}{'seconds':>9}  status"

_MORAL = (
    "Losses are means over the images; 'encoder' is the same goal at the latents that the encoder gives for the\n"
    "true images. To match is a mean of squares. What leaves something open is in nats, the prior's included:\n"
    "for codes a learnt one, which proposes. Small images and 7s in codes start at what the VAE found, and a hidden\n"
    "half is completed from nothing, three times."
)


def table_row(outcome: Outcome) -> str:
    """One line of the table; losses are means over the images.

    Args:
        outcome: Of one task in one space.
    """
    result = outcome.result
    status = ", ".join(f"{count} {status.name}" for status, count in Counter(result.status).items())
    return (
        f"{outcome.task.title:<24}{outcome.space:<8}{outcome.method:<16}"
        f"{_figure(result.score.loss):>10}{_figure(outcome.encoder_loss):>10}"
        f"{int(result.evaluations.sum()):>13}{result.seconds:>9.1f}  {status}"
    )


def _figure(loss: Tensor) -> str:
    """A mean with four digits."""
    return f"{float(loss.mean()):.4g}"


def write_images(folder: Path, outcomes: list[Outcome]) -> tuple[Path, Path]:
    """``grid.png`` and ``search.gif``: of each task what was given, and what was found in each space.

    Args:
        folder: Where to.
        outcomes: As [run_demo][latentsearch.demo.run_demo] gives them.

    Returns:
        Both paths.
    """
    still, moving = _Rows([], [], {}), _Rows([], [], {})
    for pair in zip(outcomes[::2], outcomes[1::2], strict=True):
        for rows in (still, moving):
            rows.titles[len(rows.labels)] = pair[0].task.title
            rows.add("given", pair[0].task.given)
        for outcome in pair:
            for answer in outcome.answers.unbind(1):
                still.add(outcome.space, answer)
            moving.add(outcome.space, outcome.frames)
    grid = plots.save_grid(folder / "grid.png", still.images, still.labels, titles=still.titles)
    return grid, plots.save_gif(folder / "search.gif", moving.images, moving.labels, titles=moving.titles, scale=2)


@dataclass(frozen=True)
class _Rows:
    """Rows of a figure as they come."""

    images: list[Tensor]
    labels: list[str]
    titles: dict[int, str]

    def add(self, label: str, images: Tensor) -> None:
        self.images.append(images)
        self.labels.append(label)
