"""What a step of a method offers."""

from __future__ import annotations

from typing import NamedTuple

from torch import Tensor

from latentsearch.goal import Score


class Proposal(NamedTuple):
    """What a step offers for each held row.

    Attributes:
        latent: ``(M, *S)`` hard latents.
        score: ``(M,)``, at exactly these latents.
        status: ``(M,)`` int64 values of Status; None where all go on.
    """

    latent: Tensor
    score: Score
    status: Tensor | None = None


class Draw(NamedTuple):
    """Where the chains of a sampler stand: it takes the place of what was held before, whichever is better.

    Attributes:
        latent: ``(M, *S)`` hard latents.
        score: ``(M,)``, at exactly these latents; None where it is not known: what a run ends with is scored then.
        status: ``(M,)`` int64 values of Status; None where all go on.
    """

    latent: Tensor
    score: Score | None = None
    status: Tensor | None = None
