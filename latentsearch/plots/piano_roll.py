"""Melodies as piano rolls: time across, pitch up.

Source: Engel, Hoffman and Roberts, *Latent Constraints: Learning to Generate Conditionally from Unconditional
Generative Models* (2018), Figure 6, https://arxiv.org/abs/1711.05772.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from torch import Tensor

from latentsearch._checks import require_count, require_file_path
from latentsearch.melodies import HOLD, STEPS_PER_BAR, canonical
from latentsearch.melodies.scales import require_pitch_classes
from latentsearch.plots._canvas import require_labels

if TYPE_CHECKING:
    from PIL import ImageDraw

_PAPER, _INK, _FAINT = (255, 255, 255), (25, 25, 25), (110, 110, 110)
_BAR, _OCTAVE, _FRAME = (222, 222, 222), (238, 238, 238), (190, 190, 190)
_NOTE, _OUTSIDE = (38, 84, 150), (208, 40, 40)
_GAP, _MARGIN, _FRINGE = 14, 12, 2  # pixels, pixels, and pitches beyond the highest and the lowest


class _Note(NamedTuple):
    pitch: int
    start: int
    stop: int


def save_piano_roll(
    path: str | os.PathLike[str],
    melodies: Tensor,
    labels: Sequence[str],
    *,
    highlight: Sequence[int] | None = None,
    scale: int = 3,
) -> Path:
    """Write melodies as a PNG file of piano rolls under each other, on one axis of pitch.

    Lines stand at every bar and at every C.

    Args:
        path: Where to, a name that ends in ``.png``; folders are made.
        melodies: Events ``(N, T)``, or logits ``(N, T, V)``.
        labels: One for each, to its left.
        highlight: Pitch classes, such as those of a [scale][latentsearch.melodies.scale]; notes of other ones are red.
        scale: Pixels a sixteenth and a semitone.

    Returns:
        The path.

    Raises:
        InvalidArgument: If there are no melodies, or not one label for each, a pitch class is none, or the path is none
            of such a file.

    Example:
        >>> import tempfile
        >>> import torch
        >>> from latentsearch import melodies, plots
        >>> tunes = torch.randint(55, 80, (2, 64))
        >>> path = f"{tempfile.mkdtemp()}/tunes.png"
        >>> plots.save_piano_roll(path, tunes, ["before", "after"], highlight=melodies.scale("C major")).name
        'tunes.png'
    """
    path = require_file_path("save_piano_roll.path", path, "tunes.png", kinds=(".png",))
    require_count("save_piano_roll.scale", scale)
    events = canonical(melodies)
    require_labels("save_piano_roll.labels", labels, len(events), "melodies")
    inside = None if highlight is None else require_pitch_classes("save_piano_roll.highlight", highlight)
    rolls = [list(_notes(row)) for row in events.tolist()]
    image = _Sheet(rolls, events.shape[1], labels, scale).draw(inside)
    path.parent.mkdir(parents=True, exist_ok=True)
    image.save(path, format="PNG", optimize=True)
    return path


def _notes(events: Sequence[int]) -> Iterator[_Note]:
    """The notes of canonical events."""
    pitch, start = HOLD, 0
    for step, event in enumerate([*events, -1]):
        if event == HOLD:
            continue
        if pitch < HOLD:
            yield _Note(pitch, start, step)
        pitch, start = event, step


class _Sheet:
    """Where everything goes, worked out once."""

    def __init__(self, rolls: list[list[_Note]], steps: int, labels: Sequence[str], scale: int) -> None:
        from PIL import ImageFont

        self.rolls, self.steps, self.labels, self.scale = rolls, steps, labels, scale
        pitches = [note.pitch for roll in rolls for note in roll] or [60]
        self.low, self.high = min(pitches) - _FRINGE, max(pitches) + _FRINGE
        self.font: Any = ImageFont.load_default(13)
        self.small: Any = ImageFont.load_default(10)
        self.keys = int(self.small.getlength("C10")) + 6
        self.left = _MARGIN + max(int(self.font.getlength(label)) for label in labels) + 10 + self.keys
        self.height = (self.high - self.low + 1) * scale
        self.size = (
            self.left + steps * scale + _MARGIN,
            2 * _MARGIN + len(rolls) * (self.height + _GAP) - _GAP,
        )

    def draw(self, inside: set[int] | None) -> Any:
        from PIL import Image, ImageDraw

        image = Image.new("RGB", self.size, _PAPER)
        pen = ImageDraw.Draw(image)
        for number, (roll, label) in enumerate(zip(self.rolls, self.labels, strict=True)):
            top = _MARGIN + number * (self.height + _GAP)
            self._ruled(pen, top)
            middle = top + self.height // 2
            pen.text((self.left - self.keys - 10, middle), label, _INK, self.font, anchor="rm")
            for note in roll:
                colour = _NOTE if inside is None or note.pitch % 12 in inside else _OUTSIDE
                pen.rectangle(self._box(note, top), fill=colour)
        return image

    def _ruled(self, pen: ImageDraw.ImageDraw, top: int) -> None:
        right, bottom = self.left + self.steps * self.scale, top + self.height
        for pitch in range(self.low, self.high + 1):
            if pitch % 12 == 0:
                line = self._above(pitch, top) + self.scale
                pen.line((self.left, line, right, line), fill=_OCTAVE)
                pen.text((self.left - 4, line), f"C{pitch // 12 - 1}", _FAINT, self.small, anchor="rm")
        for step in range(0, self.steps, STEPS_PER_BAR):
            across = self.left + step * self.scale
            pen.line((across, top, across, bottom), fill=_BAR)
        pen.rectangle((self.left, top, right, bottom), outline=_FRAME)

    def _box(self, note: _Note, top: int) -> tuple[int, int, int, int]:
        """Corners of a note; a pixel short of the next one, so that a note struck again is seen."""
        start, stop = (self.left + step * self.scale for step in (note.start, note.stop))
        above = self._above(note.pitch, top)
        return start, above, max(start, stop - 2), above + self.scale - 1

    def _above(self, pitch: int, top: int) -> int:
        return top + (self.high - pitch) * self.scale
