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
        replaces: Whether all incumbents give way to it, whatever the loss: the state of a chain that samples.
    """

    latent: Tensor
    score: Score
    status: Tensor | None = None
    replaces: bool = False
