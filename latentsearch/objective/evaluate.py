"""A batch decoded and scored: the one function that is compiled."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, cast

import torch
from torch import Tensor

from latentsearch.goal import Goal
from latentsearch.objective.embedding import EmbeddingView
from latentsearch.protocols import Generator, LocalGenerator
from latentsearch.run import Run

Entry = Literal["decode", "decode_embedding", "redecode"]
Want = Literal["score", "residuals", "loss_map"]


class Evaluator:
    """Decodes and scores the rows of one batch; it counts nothing and knows no chunks.

    Args:
        generator: The decoder.
        codes: The same, seen through its embeddings.
        run: Autocast and compilation.

    Attributes:
        evaluate: Loss, satisfied and what else is asked for, of some rows.
    """

    def __init__(self, generator: Generator, codes: EmbeddingView, run: Run) -> None:
        self._generator, self._codes, self._autocast = generator, codes, run.autocast
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
        found = score.parts
        if want == "residuals":
            return *found, goal.residuals(output, latent)
        if want == "loss_map":
            return *found, goal.loss_map(output, len(self._generator.space.shape))
        return found

    def decode(self, entry: Entry, z: Tensor, patch: tuple[Tensor, Tensor] | None = None) -> Tensor:
        """Outputs ``(N, *O)``, in the generator's dtype whatever autocast decodes in."""
        if self._autocast is None:
            return self._entered(entry, z, patch)
        with torch.autocast(z.device.type, dtype=self._autocast):
            output = self._entered(entry, z, patch)
        return output.to(self._generator.dtype)

    def _entered(self, entry: Entry, z: Tensor, patch: tuple[Tensor, Tensor] | None) -> Tensor:
        if entry == "decode_embedding":
            return self._codes.decode_embedding(z)
        if patch is not None:
            return cast(LocalGenerator, self._generator).redecode(z, *patch)
        return self._generator.decode(z)
