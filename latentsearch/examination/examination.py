"""What an examination found, as numbers, as words and as a page."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from typing import Literal

from torch import Tensor

from latentsearch._checks import require_file_path
from latentsearch.protocols import Searcher
from latentsearch.result import Trace

Grade = Literal["good", "fair", "poor"]


@dataclass(frozen=True)
class Reconstruction:
    """How far images are from what their encodings decode to.

    Attributes:
        error: The mean square of a difference, an element of the output.
        explained: The share of the images' variance that is kept: 1 less the error over it.
        noise: What ``Matches(..., noise=)`` takes: the root of the error, or of a thousandth of the variance if that is
            more.
    """

    error: float
    explained: float
    noise: float


@dataclass(frozen=True)
class CodeUse:
    """Which codes occur in encodings.

    Attributes:
        size: K, of the codebook.
        used: The share of it that occurs.
        perplexity: How many codes there would be of equal shares.
        dead: ``(K,)`` bool: those that do not occur.
    """

    size: int
    used: float
    perplexity: float
    dead: Tensor = field(repr=False)


@dataclass(frozen=True)
class Elements:
    """What single elements of continuous latents do, of at most 64.

    Attributes:
        effect: ``(n,)``: the root mean square change of an output as an element is moved by its standard deviation.
        index: ``(n,)`` int64: which elements, counted in the flattened latent.
        active: The share of them whose effect is above a hundredth of the largest.
    """

    effect: Tensor = field(repr=False)
    index: Tensor = field(repr=False)
    active: float


@dataclass(frozen=True)
class Density:
    """How encodings lie beside draws of priors.

    Attributes:
        unit: ``"bits a code"`` or ``"nats an element"``.
        likelihoods: What held-out encodings cost in that unit, by prior: the lower, the better it knows them.
        told_apart: How often a critic tells an encoding from a draw, by prior: 0.5 is never, 1 always (the area under
            its curve). The fitted prior is fitted to one half of the images, and compared with the other.
    """

    unit: str
    likelihoods: Mapping[str, float]
    told_apart: Mapping[str, float]


@dataclass(frozen=True)
class Lines:
    """What lies between encodings, and between draws of the prior.

    Attributes:
        leap: The largest step of the output on a line over the mean step, of eight equal ones: 1 is even, 8 one leap.
            None for codes without embeddings, which must leap.
        slope: The norm of an output's change over that of the latent's, a mean along lines; of codes in embeddings.
        between: The share of latents halfway that are holes: encoded again, their outputs come back worse than those of
            19 encodings in 20. Halfway between grids of codes is one of which each half is of another. 0.05 where
            nothing is wrong; None without an encoder.
        drawn: The same of draws of the generator's prior.
    """

    leap: float | None
    slope: float
    between: float | None
    drawn: float | None


@dataclass(frozen=True)
class Reach:
    """How far a code is felt.

    Attributes:
        share: The share of an output that changes by more than a hundredth of its range as one code is replaced.
        size: The root of the mean squared change of what changes.
    """

    share: float
    size: float


@dataclass(frozen=True)
class Trial:
    """One method, tried on some of the images.

    Attributes:
        name: The method.
        searcher: With its settings.
        loss: The mean square after the budget, a mean over images; infinite where the method refused.
        reached: The share of images that come within a tenth of the encoder's own loss; None without an encoder.
        after: The evaluations that half of the images took to get there; None where they did not.
        evaluations: What it spent, a mean over images.
        seconds: Wall time.
        refused: Why it did not run.
        trace: How it went.
    """

    name: str
    searcher: Searcher
    loss: float
    reached: float | None
    after: float | None
    evaluations: float
    seconds: float
    refused: str = ""
    trace: Trace | None = field(default=None, repr=False)


@dataclass(frozen=True)
class Finding:
    """One question, answered.

    Attributes:
        topic: What it is about, in a word or two.
        question: In plain words.
        answer: With its figure.
        grade: good, fair or poor.
        remedy: What to do about it, if anything.
    """

    topic: str
    question: str
    answer: str
    grade: Grade
    remedy: str = ""


@dataclass(frozen=True)
class Examination:
    """What [examine][latentsearch.examine] found; ``print`` it, or write it as a page.

    Attributes:
        about: The generator, and what it gives.
        images: How many were looked at.
        targets: Of how many of these the methods searched the latents.
        verdict: One sentence.
        findings: Questions and answers.
        advice: Lines to paste, of ``generator``, ``images`` and ``target``.
        reconstruction: None without an encoder.
        codes: None for continuous latents, and without an encoder.
        elements: None for codes.
        density: None without an encoder.
        lines: What lies between latents.
        reach: None for continuous latents.
        trials: Methods that were tried on whole images, each with the same budget.
        prior: The prior that the advice names.
        halves: By prior, the mean square on the half of an image that a search was not shown; beside them the mean of
            the images.
        encoder_loss: The mean square of the encoder's latents on the images of the trials; None without an encoder.
        budget: The evaluations of each trial.
        searcher: The method that the advice names.
        notes: What was left out or cut short, and why.
        seconds: Wall time.
    """

    about: str
    images: int
    targets: int
    verdict: str
    findings: tuple[Finding, ...]
    advice: str
    reconstruction: Reconstruction | None
    codes: CodeUse | None
    elements: Elements | None
    density: Density | None
    lines: Lines
    reach: Reach | None
    trials: tuple[Trial, ...]
    prior: str
    halves: Mapping[str, float]
    encoder_loss: float | None
    budget: int
    searcher: Searcher
    notes: tuple[str, ...]
    seconds: float
    pictures: Mapping[str, Tensor] = field(repr=False)

    def save(self, path: str | os.PathLike[str]) -> Path:
        """Write a page of HTML with its pictures inside: it opens in a browser without a network.

        Args:
            path: Where to; folders are made.

        Returns:
            The path.

        Raises:
            Unsupported: If matplotlib is not installed, which the extra ``plot`` has.
            InvalidArgument: If the path is none of a file.
        """
        require_file_path("Examination.path", path)
        document = import_module("latentsearch.examination.document")
        written: Path = document.page_of(self).write(path)
        return written

    def __str__(self) -> str:
        lines = [f"{self.about}, {self.images} images, {self.seconds:.0f} s", self.verdict, ""]
        for finding in self.findings:
            lines.append(f"{finding.grade:<5} {finding.question} {finding.answer}")
            if finding.remedy:
                lines.append(f"      {finding.remedy}")
        return "\n".join([*lines, *(f"note  {note}" for note in self.notes), "", self.advice])
