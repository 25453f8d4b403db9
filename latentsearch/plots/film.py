"""A recorder of the best latents as they change."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from latentsearch._checks import require_count
from latentsearch.errors import InvalidArgument
from latentsearch.protocols import Generator, require_generator
from latentsearch.run import Step

_GROWTH = 1.12  # between log-spaced steps: about 40 frames in 200 steps


class Film:
    """A callback that keeps the best latent of each problem at some of the steps.

    Nothing is decoded while the search runs, and the device is not waited for. A second search
    with the same film starts it anew.

    Args:
        every: Steps between frames; None spaces them evenly on a logarithmic scale, since a search
            moves most at first.

    Raises:
        InvalidArgument: If ``every`` is no whole number of at least 1.

    Example:
        >>> import torch
        >>> import latentsearch as ls
        >>> from latentsearch import plots
        >>> from latentsearch.testing import toys
        >>> toy, film = toys.bowl(), plots.Film()
        >>> run = ls.Run(evaluations=50, callbacks=[film])
        >>> result = ls.GradientSearch().search(toy.generator, toy.constraint, seed=0, run=run)
        >>> torch.equal(film.latents[-1], result.latent)
        True
    """

    def __init__(self, every: int | None = None) -> None:
        if every is not None:
            require_count("Film.every", every)
        self.every = every
        self._begin()

    def _begin(self) -> None:
        self._frames: list[tuple[int, Tensor]] = []
        self._last, self._due = 0, 1
        self._best: tuple[Tensor, ...] = ()  # latent, loss and satisfaction of all rows, B * R of them

    def __call__(self, step: Step) -> None:
        """Take note of a step; for ``Run(callbacks=[film])``."""
        if step.number <= self._last:
            self._begin()
        held = (step.best_latent, step.best_loss, step.best_satisfied)
        if not self._best:
            self._restarts = int((step.problem == step.problem[0]).sum())
            self._best = held
        # Rows that have ended are dropped: they stay as they were last seen.
        self._best = tuple(old.index_copy(0, step.row, new) for old, new in zip(self._best, held, strict=True))
        self._last = step.number
        if step.number >= self._due:
            self._frames.append((self._last, self._winners()))
            self._due = step.number + (self.every or max(1, math.ceil(step.number * (_GROWTH - 1))))

    @property
    def steps(self) -> list[int]:
        """The steps of the frames, T integers; the last one is the last step of the search."""
        return [number for number, _ in self._moments()]

    @property
    def latents(self) -> Tensor:
        """``(T, B, *S)``: the best latent of each problem at these steps.

        Raises:
            InvalidArgument: If nothing was recorded.
        """
        return torch.stack([latent for _, latent in self._moments()])

    def decode(self, generator: Generator) -> Tensor:
        """The outputs of what was recorded, ``(T, B, *O)``, one frame decoded at a time.

        Args:
            generator: The generator that was searched.

        Raises:
            InvalidArgument: If nothing was recorded.
        """
        require_generator("Film.decode.generator", generator)
        with torch.no_grad():
            return torch.stack([generator.decode(latent) for _, latent in self._moments()])

    def _winners(self) -> Tensor:
        """``(B, *S)``: the best restart of each problem: satisfied ones first, then the lowest loss."""
        latent, *scores = self._best
        # Rows are ordered b * R + r.
        loss, satisfied = (score.view(-1, self._restarts) for score in scores)
        best = torch.where(satisfied == satisfied.any(1, keepdim=True), loss, torch.inf).argmin(1)
        return latent[best + torch.arange(len(best), device=best.device) * self._restarts]

    def _moments(self) -> list[tuple[int, Tensor]]:
        if not self._best:
            raise InvalidArgument(
                "Film",
                got="a film on which nothing was recorded",
                expected="one that a search has run with",
                hint="search with run=Run(callbacks=[film]) first",
            )
        if self._frames and self._frames[-1][0] == self._last:
            return self._frames
        return [*self._frames, (self._last, self._winners())]
