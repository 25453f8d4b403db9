"""Notes of an instrument as one voice: the highest where several sound."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

import torch
from torch import Tensor

from latentsearch.melodies.alphabet import HOLD, REST


class Note(NamedTuple):
    """A note from one step up to another.

    Attributes:
        pitch: As MIDI counts, 0 to 127.
        start: The first step that it sounds at.
        stop: The step that it no longer sounds at, beyond ``start``.
    """

    pitch: int
    start: int
    stop: int


def skyline(notes: Iterable[Note], steps: int) -> Tensor:
    """Events ``(steps,)``: at every step the highest note that sounds.

    A note that begins under a higher one is left out; one that a higher note begins above ends there, and does not
    begin again if it outlasts that one.
    """
    events = torch.full((steps,), REST)
    # From the lowest up, so that the highest is written last.
    for pitch, start, stop in sorted(notes):
        events[start:stop] = HOLD
        events[start : start + 1] = pitch
        # Whose rest was cut out of a lower note: nothing is there for the holds that follow.
        tail = events[stop:]
        held = int((tail == HOLD).long().cumprod(0).sum())
        tail[:held] = REST
    return events
