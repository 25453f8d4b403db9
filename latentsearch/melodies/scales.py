"""Scales by name."""

from __future__ import annotations

from collections.abc import Iterable

from latentsearch._checks import in_short, is_whole
from latentsearch.errors import InvalidArgument

PitchClasses = tuple[int, ...]
"""Notes up to octaves, 0 for C to 11 for B, in order."""

_LETTERS = {"C": 0, "D": 2, "E": 4, "F": 5, "G": 7, "A": 9, "B": 11}
_SIGNS = {"": 0, "#": 1, "♯": 1, "sharp": 1, "b": -1, "♭": -1, "flat": -1}
_MODES: dict[str, PitchClasses] = {
    "major": (0, 2, 4, 5, 7, 9, 11),
    "minor": (0, 2, 3, 5, 7, 8, 10),
    "harmonic minor": (0, 2, 3, 5, 7, 8, 11),
    "dorian": (0, 2, 3, 5, 7, 9, 10),
    "phrygian": (0, 1, 3, 5, 7, 8, 10),
    "lydian": (0, 2, 4, 6, 7, 9, 11),
    "mixolydian": (0, 2, 4, 5, 7, 9, 10),
    "major pentatonic": (0, 2, 4, 7, 9),
    "minor pentatonic": (0, 3, 5, 7, 10),
    "blues": (0, 3, 5, 6, 7, 10),
    "whole tone": (0, 2, 4, 6, 8, 10),
    "chromatic": tuple(range(12)),
}


def scale(name: str) -> PitchClasses:
    """The pitch classes of a scale: a letter, "sharp" or "flat" if need be, and a mode.

    Args:
        name: For instance ``"C major"``, ``"E flat major"``, ``"F# minor"``, ``"D dorian"``; modes are major, minor
            (natural), harmonic minor, dorian, phrygian, lydian, mixolydian, major and minor pentatonic, blues,
            whole tone and chromatic.

    Raises:
        InvalidArgument: If it is not a name of that form.

    Example:
        >>> from latentsearch.melodies import scale
        >>> scale("C major"), scale("E flat major")
        ((0, 2, 4, 5, 7, 9, 11), (0, 2, 3, 5, 7, 8, 10))
    """
    if not isinstance(name, str):
        raise InvalidArgument("scale.name", got=in_short(name), expected="a name, such as 'C major'")
    tonic, _, rest = name.strip().partition(" ")
    letter, sign, mode = tonic[:1].upper(), tonic[1:].lower(), " ".join(rest.lower().split())
    first, _, after = mode.partition(" ")
    if not sign and first in ("sharp", "flat"):
        sign, mode = first, after
    if letter not in _LETTERS or sign not in _SIGNS or mode not in _MODES:
        expected = f"a tonic and a mode, such as 'E flat major'; modes are {', '.join(_MODES)}"
        raise InvalidArgument("scale.name", got=repr(name), expected=expected)
    tonic_class = _LETTERS[letter] + _SIGNS[sign]
    return tuple(sorted((tonic_class + step) % 12 for step in _MODES[mode]))


def require_pitch_classes(what: str, pitch_classes: object) -> set[int]:
    """Numbers of pitch classes; raises InvalidArgument for what is none."""
    several = isinstance(pitch_classes, Iterable) and not isinstance(pitch_classes, str)
    found: list[object] = list(pitch_classes) if several else [pitch_classes]  # type: ignore[call-overload]
    classes = {one for one in found if is_whole(one) and one in range(12)}
    if not several or len(classes) < len(set(found)):
        expected, hint = "numbers from 0 for C to 11 for B", 'scale("C major") has those of a scale'
        raise InvalidArgument(what, got=repr(pitch_classes), expected=expected, hint=hint)
    return classes
