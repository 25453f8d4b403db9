"""What concerns one run and not the method: budgets, progress, callbacks, checkpoints, memory, speed."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from numbers import Integral, Real
from typing import Any

import torch
from torch import Tensor

from latentsearch._checks import require_count, require_file_path, require_flag
from latentsearch.errors import InvalidArgument


@dataclass(frozen=True)
class Step:
    """What a callback sees after each step: copies, but for ``state``; all live on the search's device.

    Attributes:
        number: Steps taken so far, this one included.
        seconds: Wall time so far.
        row: ``(M,)`` int64: which rows are held, as ``b * R + r``.
        problem: ``(M,)`` int64: the problem b of each.
        alive: ``(M,)`` bool: rows that have not ended; the others wait to be dropped.
        latent: ``(M, *S)``: what this step proposed, or None if it proposed nothing.
        loss: ``(M,)``: its hard loss, or None.
        best_latent: ``(M, *S)``: the best latent of each row so far.
        best_loss: ``(M,)``: its loss; ``inf`` before the first proposal.
        best_satisfied: ``(M,)`` bool: whether it satisfies the constraint.
        state: The method's own state; read it, leave it alone.
        restarts: R, of the stage that is searching.
    """

    number: int
    seconds: float
    row: Tensor
    problem: Tensor
    alive: Tensor
    latent: Tensor | None
    loss: Tensor | None
    best_latent: Tensor
    best_loss: Tensor
    best_satisfied: Tensor
    state: Any
    restarts: int = 1


Callback = Callable[[Step], bool | None]


@dataclass(frozen=True)
class Run:
    """One run's budget and housekeeping.

    Budgets are never overshot: no step begins that cannot be paid for by all live restarts of its
    problem. A limit is one value, or one for each problem; None is no limit.

    Attributes:
        evaluations: Evaluations per problem, all restarts together: a value counts one, a value with its
            gradient two, a patch its share of one. Checks before the run and the decoding of the
            answer are not counted.
        steps: Steps.
        seconds: Wall time, looked at before each step.
        progress: True for a progress bar (``tqdm`` if installed, else a line on stderr).
        callbacks: Each is called with a [Step][latentsearch.Step]; returning True ends the search.
        checkpoint: A file to save to every ``checkpoint_every`` steps and to resume from if it exists.
        checkpoint_every: Steps between checkpoints.
        chunk_rows: Most rows decoded at once; halved whenever memory runs out.
        compact_every: Steps between looks at which rows have ended, the only host synchronisation;
            None looks after every step on the CPU, where it costs nothing, and after 8 elsewhere.
        autocast: Decode under ``torch.autocast`` in this dtype, for instance ``torch.bfloat16``.
        patches: Where a searcher tries swaps of one code, decode again what the code reaches and no
            more, if the generator can and if that saves something; False always decodes whole grids.
            Patches are charged by their share of a decode, and what the codes of a generator
            reach is found once, uncharged, before the first swap.
        stop_when_satisfied: Whether a problem ends with the first row that satisfies its goal. True, unless the goal
            says ``subject_to``; False goes on to the least loss among what satisfies it.
        compile: True to run decoder and constraint through ``torch.compile``, or a backend's name.

    Example:
        >>> import latentsearch as ls
        >>> ls.Run(evaluations=500, seconds=60).evaluations
        500
    """

    evaluations: int | Sequence[int] | None = 1000
    steps: int | Sequence[int] | None = None
    seconds: float | Sequence[float] | None = None
    progress: bool = False
    callbacks: Sequence[Callback] = ()
    checkpoint: str | os.PathLike[str] | None = None
    checkpoint_every: int = 50
    chunk_rows: int | None = None
    compact_every: int | None = None
    autocast: torch.dtype | None = None
    patches: bool = True
    stop_when_satisfied: bool | None = None
    compile: bool | str = False

    def __post_init__(self) -> None:
        for name in ("evaluations", "steps", "seconds"):
            limit = getattr(self, name)
            values = [] if limit is None else list(limit) if isinstance(limit, Sequence) else [limit]
            if isinstance(limit, str) or not all(_is_limit(v, whole=name == "steps") for v in values):
                kind = "whole numbers" if name == "steps" else "numbers"
                raise InvalidArgument(f"Run.{name}", got=repr(limit), expected=f"{kind} >= 0, or None for no limit")
        for name in ("checkpoint_every", "compact_every", "chunk_rows"):
            count = getattr(self, name)
            if count is not None or name == "checkpoint_every":
                require_count(f"Run.{name}", count)
        for name in ("progress", "patches"):
            require_flag(f"Run.{name}", getattr(self, name))
        if not isinstance(self.callbacks, Sequence) or not all(callable(callback) for callback in self.callbacks):
            raise InvalidArgument("Run.callbacks", got=repr(self.callbacks), expected="a list of functions of one Step")
        if self.stop_when_satisfied is not None and not isinstance(self.stop_when_satisfied, bool):
            got = repr(self.stop_when_satisfied)
            raise InvalidArgument("Run.stop_when_satisfied", got=got, expected="True, False, or None")
        self._check_checkpoint()
        self._check_speed()

    def _check_checkpoint(self) -> None:
        if self.checkpoint is not None:
            require_file_path("Run.checkpoint", self.checkpoint, "search.safetensors")

    def stops(self, required: bool) -> bool:
        """Whether a problem ends with the first row that satisfies its goal, as it is said here or in the goal."""
        return not required if self.stop_when_satisfied is None else self.stop_when_satisfied

    def _check_speed(self) -> None:
        dtype = self.autocast
        if dtype is not None and dtype not in (torch.bfloat16, torch.float16):
            expected = "torch.bfloat16 or torch.float16, or None"
            raise InvalidArgument("Run.autocast", got=repr(dtype), expected=expected)
        if not isinstance(self.compile, (bool, str)):
            raise InvalidArgument("Run.compile", got=repr(self.compile), expected="True, False, or a backend's name")
        if isinstance(self.compile, str) and self.compile not in torch.compiler.list_backends(exclude_tags=()):
            expected = f"True, False, or a backend's name, such as {', '.join(torch.compiler.list_backends())}"
            raise InvalidArgument("Run.compile", got=repr(self.compile), expected=expected)

    def limit(self, name: str, problems: int) -> list[float]:
        """One of ``evaluations``, ``steps`` or ``seconds`` as a number a problem; infinity for no limit."""
        limit = getattr(self, name)
        if limit is None:
            return [math.inf] * problems
        if isinstance(limit, Real):
            return [float(limit)] * problems
        if len(limit) != problems:
            raise InvalidArgument(
                f"Run.{name}", got=f"{len(limit)} values", expected=f"one value, or one for each of {problems} problems"
            )
        return list(limit)


def _is_limit(value: object, *, whole: bool) -> bool:
    good = isinstance(value, Real) and not isinstance(value, bool) and float(value) >= 0
    return good and (not whole or isinstance(value, Integral) or value == math.inf)
