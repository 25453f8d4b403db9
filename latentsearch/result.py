"""What a search gives back: always hard latents, always the best seen, always with a reason."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from enum import IntEnum
from importlib import import_module
from numbers import Real
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from latentsearch import _checkpoint
from latentsearch.errors import BrokenFile, InvalidArgument
from latentsearch.goal import Score

if TYPE_CHECKING:
    from matplotlib.figure import Figure


class Status(IntEnum):
    """Why the search for one problem ended.

    Attributes:
        RUNNING: It has not ended; never in a result.
        SATISFIED: The constraint is fulfilled.
        BUDGET: The next step could not be paid for.
        STALLED: A stopping rule: the method made no progress for as long as its patience lasts. It proves nothing.
        REPEATED: A grid of codes came back, so a method without memory would cycle.
        NONFINITE: NaN in the state or the score; a loss of minus infinity counts as such, or it would win for ever.
        INTERRUPTED: Ctrl-C, or a callback that returned True.
        FINISHED: The method came to the end of its schedule.
        OPTIMAL: Proven that nothing is better among what the method covers. Of swap methods that is a 1-swap local
            optimum: no grid that differs in one code is better. Some methods cover the whole space, and say so.
    """

    RUNNING = 0
    SATISFIED = 1
    BUDGET = 2
    STALLED = 3
    REPEATED = 4
    NONFINITE = 5
    INTERRUPTED = 6
    FINISHED = 7
    OPTIMAL = 8

    # As a name in texts: that of a number would say nothing.
    def __str__(self) -> str:
        return self.name

    def __format__(self, format_spec: str) -> str:
        return format(self.name, format_spec)


@dataclass(frozen=True)
class Trace:
    """How the search went, one entry a step; of thousands of steps every second, fourth, eighth ..., and the last.

    Attributes:
        loss: ``(T, B)``: the best hard loss so far; ``inf`` before the first proposal.
        evaluations: ``(T, B)`` float64: evaluations so far, all restarts together.
        seconds: ``(T,)`` float64: time since the start, resumed time included.
    """

    loss: Tensor
    evaluations: Tensor
    seconds: Tensor

    def __repr__(self) -> str:
        steps, problems = self.loss.shape
        return f"Trace({steps} steps, {problems} problems)"

    def loss_at(self, evaluations: float) -> Tensor:
        """``(B,)``: the best loss of each problem after at most ``evaluations`` evaluations."""
        if not isinstance(evaluations, Real) or isinstance(evaluations, bool):
            raise InvalidArgument("Trace.loss_at", got=repr(evaluations), expected="a number of evaluations")
        affordable = torch.where(self.evaluations <= evaluations, self.loss, torch.inf)
        if not len(affordable):
            return torch.full(self.loss.shape[1:], torch.inf, dtype=self.loss.dtype, device=self.loss.device)
        return affordable.amin(0)


@dataclass(frozen=True)
class Candidates:
    """The best of every restart.

    Attributes:
        latent: ``(B, R, *S)`` hard latents.
        score: ``(B, R)``, as scored during the search.
        status: ``(B, R)`` int64, values of [Status][latentsearch.Status].
    """

    latent: Tensor
    score: Score
    status: Tensor

    def __repr__(self) -> str:
        problems, restarts = self.status.shape
        return f"Candidates({problems} problems, {restarts} restarts)"


@dataclass(frozen=True)
class SearchResult:
    """The best latents found for B problems, and how they were found.

    Attributes:
        latent: ``(B, *S)``, hard for discrete spaces; of a sampler its first chain's, as good a draw as any other.
        output: ``(B, *O)``: ``latent`` decoded.
        score: ``(B,)``, computed anew from ``output``.
        terms: Each term's weighted score, ``(B,)``.
        status: Why each problem ended: B values; that of its winning restart.
        evaluations: ``(B,)`` float64: a value is one evaluation, a value with its gradient two, and a
            grid decoded again where one code changed that share of one.
        steps: Steps taken.
        seconds: Wall time.
        candidates: The best of each restart.
        trace: The course of the search.
    """

    latent: Tensor
    output: Tensor
    score: Score
    terms: Mapping[str, Score]
    status: tuple[Status, ...]
    evaluations: Tensor
    steps: int
    seconds: float
    candidates: Candidates
    trace: Trace

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write a safetensors file with a JSON header; never a pickle."""
        tensors = {
            "latent": self.latent,
            "output": self.output,
            "evaluations": self.evaluations,
            "candidates.latent": self.candidates.latent,
            "candidates.status": self.candidates.status,
            "trace.loss": self.trace.loss,
            "trace.evaluations": self.trace.evaluations,
            "trace.seconds": self.trace.seconds,
        }
        scores = {"score": self.score, "candidates.score": self.candidates.score}
        scores |= {f"terms.{name}": score for name, score in self.terms.items()}
        for name, score in scores.items():
            tensors |= {f"{name}.loss": score.loss, f"{name}.satisfied": score.passed}
        header = {
            "kind": "result",
            "terms": list(self.terms),
            "status": [status.name for status in self.status],
            "steps": self.steps,
            "seconds": self.seconds,
        }
        _checkpoint.save(path, tensors, header)

    @staticmethod
    def load(path: str | os.PathLike[str], device: torch.device | str = "cpu") -> SearchResult:
        """Read what ``save`` wrote.

        Raises:
            BrokenFile: If the file is cut short, damaged or not there, or holds something else.
        """
        tensors, header = _checkpoint.load(path, kind="result", device=device)
        try:
            return SearchResult._of(tensors, header)
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise BrokenFile(
                f"{path} is no result that this package writes ({type(error).__name__}: {error})"
            ) from error

    @staticmethod
    def _of(tensors: Mapping[str, Tensor], header: Mapping[str, Any]) -> SearchResult:
        def score(name: str) -> Score:
            return Score(tensors[f"{name}.loss"], tensors[f"{name}.satisfied"])

        return SearchResult(
            latent=tensors["latent"],
            output=tensors["output"],
            score=score("score"),
            terms={name: score(f"terms.{name}") for name in header["terms"]},
            status=tuple(Status[name] for name in header["status"]),
            evaluations=tensors["evaluations"],
            steps=header["steps"],
            seconds=header["seconds"],
            candidates=Candidates(
                tensors["candidates.latent"], score("candidates.score"), tensors["candidates.status"]
            ),
            trace=Trace(tensors["trace.loss"], tensors["trace.evaluations"], tensors["trace.seconds"]),
        )

    def plot(self) -> Figure:
        """Draw the best loss so far by evaluations, a line a problem; at most 16 of them.

        Returns:
            A matplotlib figure, for ``figure.savefig("search.png")``; the extra ``plot`` has the package.

        Raises:
            Unsupported: If matplotlib is not installed.
        """
        # By name: results are the ground that reports stand on, and know nothing of these until one is asked for.
        figure: Figure = import_module("latentsearch.report").search_figure(self)
        return figure

    def save_report(
        self,
        path: str | os.PathLike[str],
        *,
        targets: Tensor | None = None,
        title: str = "A search",
        value_range: tuple[float, float] | None = None,
    ) -> Path:
        """Write a page of HTML: the answers, how the search went, and how each problem ended.

        The page is one file, which opens in a browser without a network.

        Args:
            path: Where to; folders are made.
            targets: ``(B, C, H, W)``: images to show beside the answers, such as what was asked for.
            title: The heading.
            value_range: What is shown black and white; where the outputs lie if not given.

        Returns:
            The path.

        Raises:
            InvalidArgument: If there are not as many targets as problems.
            Unsupported: If matplotlib is not installed.

        Example:
            >>> import tempfile
            >>> import latentsearch as ls
            >>> from latentsearch.testing import toys
            >>> toy, folder = toys.bowl(), tempfile.mkdtemp()
            >>> ls.search(toy.generator, toy.constraint, seed=0).save_report(f"{folder}/search.html").name
            'search.html'
        """
        page = import_module("latentsearch.report").search_page(
            self, targets=targets, title=title, value_range=value_range
        )
        written: Path = page.write(path)
        return written

    def __repr__(self) -> str:
        problems = [
            f"  {b}: loss {loss:.6g}, {_in_words(status, passed)}, {round(spent, 2):.12g} evaluations"
            for b, (loss, passed, status, spent) in enumerate(
                zip(
                    self.score.loss.tolist(),
                    self.score.passed.tolist(),
                    self.status,
                    self.evaluations.tolist(),
                    strict=True,
                )
            )
        ]
        if len(problems) > 8:
            problems = [*problems[:7], f"  ... and {len(problems) - 7} more"]
        head = f"SearchResult of {len(self.status)} problems, {self.steps} steps, {self.seconds:.2f} s"
        return "\n".join([head, *problems])


def _in_words(status: Status, passed: bool) -> str:
    """How a problem ended, and whether it is satisfied where its status does not say so."""
    return f"{status.name}, satisfied" if passed and status is not Status.SATISFIED else status.name
