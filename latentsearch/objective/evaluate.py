"""A batch decoded and scored: the one function that is compiled."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import nullcontext
from typing import Literal, NamedTuple, cast

import torch
from torch import Tensor

from latentsearch.errors import InvalidArgument, describe
from latentsearch.goal import Goal
from latentsearch.objective.embedding import EmbeddingView
from latentsearch.protocols import Generator, LocalGenerator
from latentsearch.run import Run

Entry = Literal["decode", "decode_embedding", "redecode"]
Want = Literal["score", "residuals", "loss_map"]


class Form(NamedTuple):
    """What outputs and losses of a run are like, each time.

    Attributes:
        output: ``(*O)``.
        dtype: Of the loss.
    """

    output: tuple[int, ...]
    dtype: torch.dtype


class Evaluator:
    """Decodes and scores the rows of one batch; it counts nothing and knows no chunks.

    Args:
        generator: The decoder.
        codes: The same, seen through its embeddings.
        run: Autocast and compilation.
        form: What a look before the run has seen; None where there was none.

    Attributes:
        evaluate: Loss, satisfied and what else is asked for, of some rows.
    """

    def __init__(self, generator: Generator, codes: EmbeddingView, run: Run, form: Form | None = None) -> None:
        self._generator, self._codes, self._autocast, self._form = generator, codes, run.autocast, form
        self.evaluate: Callable[..., tuple[Tensor, ...]] = self._evaluated
        if run.compile:
            backend = run.compile if isinstance(run.compile, str) else "inductor"
            self.evaluate = torch.compile(self._evaluated, backend=backend)

    def _evaluated(
        self,
        entry: Entry,
        entered: Tensor,
        latent: Tensor,
        goal: Goal,
        want: Want = "score",
        patch: tuple[Tensor, Tensor] | None = None,
    ) -> tuple[Tensor, ...]:
        """Loss, satisfied and what else is asked for of some rows: the one function that is compiled.

        Args:
            entry: How the decoder is entered.
            entered: What enters it: latents, or embeddings.
            latent: The same as latents, for terms that read them.
            goal: One row a row.
            want: ``"residuals"`` or ``"loss_map"`` are given beside the score.
            patch: For ``"redecode"``, the position that changed in each row and the outputs known.
        """
        output = entered
        if goal.reads_output or want != "score":
            output = self.decode(entry, entered, patch)
        score = goal(output, self._codes.canonical(latent) if goal.reads_latent or goal.limited else latent)
        found = tuple(self._in_form(part) for part in score.parts)
        if want == "residuals":
            return *found, goal.residuals(output, latent)
        if want == "loss_map":
            return *found, goal.loss_map(output, len(self._generator.space.shape))
        return found

    def decode(self, entry: Entry, z: Tensor, patch: tuple[Tensor, Tensor] | None = None) -> Tensor:
        """Outputs ``(N, *O)``, in the generator's dtype whatever autocast decodes in."""
        with nullcontext() if self._autocast is None else torch.autocast(z.device.type, dtype=self._autocast):
            output = self._entered(entry, z, patch)
        self._check_output(output, len(z))
        return output if self._autocast is None else output.to(self._generator.dtype)

    def _check_output(self, output: object, rows: int) -> None:
        """Raise unless a decoder gives what it gave before: fewer rows or cells would broadcast, and be misjudged."""
        shape = output.shape if isinstance(output, Tensor) else ()
        expected = (rows,) if self._form is None else (rows, *self._form.output)
        if tuple(shape[: len(expected)]) != expected or (self._form is not None and len(shape) != len(expected)):
            raise InvalidArgument(
                "generator.decode",
                got=describe(output) if isinstance(output, Tensor) else type(output).__name__,
                expected=f"a tensor of {rows} rows" if self._form is None else f"a tensor {expected}, as before",
            )

    def _in_form(self, part: Tensor) -> Tensor:
        """A loss in the dtype of the run; the verdicts of rows as they are. Minus infinity is no number to go by."""
        if not part.is_floating_point():
            return part
        loss = part if self._form is None else part.to(self._form.dtype)
        return torch.where(loss == -torch.inf, torch.nan, loss)

    def _entered(self, entry: Entry, z: Tensor, patch: tuple[Tensor, Tensor] | None) -> Tensor:
        if entry == "decode_embedding":
            return self._codes.decode_embedding(z)
        if patch is not None:
            return cast(LocalGenerator, self._generator).redecode(z, *patch)
        return self._generator.decode(z)
