"""The events that a melody is written in: 128 notes, hold and rest, sixteen a bar."""

from __future__ import annotations

import torch
from torch import Tensor

from latentsearch._checks import in_short
from latentsearch.errors import InvalidArgument, describe

HOLD = 128
"""The note before sounds on; events below are the pitch of a note that begins, as MIDI counts them."""

REST = 129
"""Silence."""

STATES = 130
"""The number of different events."""

STEPS_PER_BAR = 16
"""Events in a bar of four quarters: one a sixteenth."""

_INTEGERS = (torch.uint8, torch.int8, torch.int16, torch.int32, torch.int64)


def events_of(melody: Tensor) -> Tensor:
    """The events ``(N, T)`` int64 of melodies: as they are, or the most likely ones of logits ``(N, T, V)``.

    Raises:
        InvalidArgument: If they are neither, or an event on the CPU is none of the alphabet; another device is not
            waited for.

    Example:
        >>> import torch
        >>> from latentsearch.melodies import events_of
        >>> events_of(torch.eye(130)[None, 60:62])
        tensor([[60, 61]])
    """
    expected = f"events (N, T) of an integer dtype, or logits (N, T, {STATES})"
    if not isinstance(melody, Tensor):
        raise InvalidArgument("melody", got=in_short(melody), expected=f"a tensor, {expected}")
    if melody.ndim == 3 and melody.is_floating_point() and melody.shape[2] == STATES:
        return melody.argmax(2)
    if melody.ndim == 2 and melody.dtype in _INTEGERS:
        _check_events(melody)
        return melody.long()
    hint = "melody[None] adds the row" if melody.ndim == 1 else "melody.long()" if melody.ndim == 2 else ""
    raise InvalidArgument("melody", got=describe(melody), expected=expected, hint=hint)


def _check_events(events: Tensor) -> None:
    if events.device.type != "cpu" or not events.numel():
        return
    least, most = (int(end) for end in events.aminmax())
    if least < 0 or most >= STATES:
        got, expected = f"events from {least} to {most}", f"those from 0 to {STATES - 1}"
        raise InvalidArgument("melody", got=got, expected=expected)


def canonical(melody: Tensor) -> Tensor:
    """Events ``(N, T)`` with a rest wherever a hold has no note to hold: two melodies that sound alike are equal.

    Args:
        melody: Events ``(N, T)``, or logits ``(N, T, V)``.

    Example:
        >>> import torch
        >>> from latentsearch.melodies import HOLD, REST, canonical
        >>> canonical(torch.tensor([[HOLD, 60, HOLD, REST, HOLD]]))
        tensor([[129,  60, 128, 129, 129]])
    """
    events = events_of(melody)
    return events.where(sounding_of(events) < HOLD, REST)


def sounding_of(events: Tensor) -> Tensor:
    """What each event ``(N, T)`` is or holds: the last one up to it that is no hold; a hold where there is none.

    Example:
        >>> import torch
        >>> from latentsearch.melodies import HOLD, REST, sounding_of
        >>> sounding_of(torch.tensor([[HOLD, 60, HOLD, REST, HOLD]]))
        tensor([[128,  60,  60, 129, 129]])
    """
    if not isinstance(events, Tensor) or events.ndim != 2:
        raise InvalidArgument("events", got=in_short(events), expected="a tensor (N, T)")
    place = torch.arange(events.shape[1], device=events.device).expand_as(events)
    return events.gather(1, place.where(events != HOLD, 0).cummax(1).values)
