"""A checkpoint of several stages: a file for each, and none of another search or budget."""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from pathlib import Path

from latentsearch import _checkpoint
from latentsearch.errors import BrokenFile


class StageFiles:
    """The files of the stages of one run; none where it has no checkpoint.

    Raises:
        BrokenFile: If the checkpoint's own name is that of a file: a search of one stage has left it.
    """

    def __init__(self, checkpoint: str | os.PathLike[str] | None) -> None:
        self.path = None if checkpoint is None else Path(checkpoint).expanduser()
        if self.path is not None and self.path.exists():
            raise BrokenFile(f"the checkpoint {self.path} is of a search of one stage; give this one another path")

    def of_stage(self, number: int) -> Path | None:
        """The checkpoint of a stage."""
        return None if self.path is None else _numbered(self.path, number)

    def check_budget(self, number: int, evaluations: Sequence[float]) -> None:
        """Raise if a stage whose result was already handed on would now go on, and hand on another."""
        path, following = self.of_stage(number), self.of_stage(number + 1)
        if path is None or following is None or not (path.exists() and following.exists()):
            return
        _, header = _checkpoint.load(path, kind="search")
        begun = [math.inf if limit is None else limit for limit in header["evaluations"]]
        if begun != [max(limit, 0) for limit in evaluations]:
            raise BrokenFile(
                f"the checkpoint {path} was begun with another budget: stage {number} had {_in_words(begun)} "
                f"evaluations a problem, and would now have {_in_words(evaluations)}; it would hand on other latents "
                "to the next. Say Run(evaluations=...) as you did then; or, to start anew, delete "
                f"{self._all()} or give another path"
            )

    def broken(self, error: BrokenFile) -> BrokenFile:
        """The error of one stage's file, with the names of all that belong together."""
        return BrokenFile(f"{root(error)}. This search has a file a stage: to restart, delete {self._all()}")

    def _all(self) -> Path:
        """A pattern that the files of all stages match."""
        assert self.path is not None
        return _numbered(self.path, "*")


def root(error: BrokenFile) -> BrokenFile:
    """The first error, raised by a stage within a stage."""
    return error.__cause__ if isinstance(error.__cause__, BrokenFile) else error


def _numbered(path: Path, number: int | str) -> Path:
    return path.with_name(f"{path.stem}.{number}{path.suffix}")


def _in_words(limits: Sequence[float]) -> str:
    """One number if all problems have the same."""
    words = ["no limit of" if math.isinf(limit) else f"{limit:g}" for limit in limits]
    return words[0] if len(set(words)) == 1 else f"[{', '.join(words)}]"
