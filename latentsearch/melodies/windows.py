"""Windows of some bars from a folder of MIDI files, as a model of melodies is trained on."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import torch
from torch import Tensor

from latentsearch._checks import require_count, require_path
from latentsearch._warnings import warn
from latentsearch.errors import BrokenFile, InvalidArgument
from latentsearch.melodies.alphabet import HOLD, STEPS_PER_BAR, canonical
from latentsearch.melodies.midi import read_midi


class MidiWarning(UserWarning):
    """Files of a folder that gave no melodies, and why."""


def load_midi(folder: str | os.PathLike[str], *, bars: int = 16, stride: int = 1) -> Tensor:
    """All melodies of some bars in a folder of MIDI files, and in the folders within, each once.

    Of every instrument but percussion, windows are taken that begin a stride apart, as far as they lie within the
    file whole. Windows without a note are left out; so are, with a warning, files that are broken or in another time
    than 4/4. A note that sounds on into a window from before it is not heard there.

    Args:
        folder: Where ``.mid`` and ``.midi`` files are; or one such file.
        bars: Bars a window.
        stride: Bars from one window's beginning to the next one's.

    Returns:
        Events ``(N, bars * 16)`` int64, in the order of file names.

    Raises:
        InvalidArgument: If there is no MIDI file.

    Example:
        >>> import tempfile
        >>> import torch
        >>> from latentsearch.melodies import load_midi, save_midi
        >>> folder = tempfile.mkdtemp()
        >>> paths = save_midi(f"{folder}/tune.mid", torch.randint(50, 80, (3, 32)))
        >>> load_midi(folder, bars=1).shape
        torch.Size([6, 16])
    """
    require_count("load_midi.bars", bars)
    require_count("load_midi.stride", stride)
    found: dict[bytes, Tensor] = {}
    for melody in _melodies(_files(require_path("load_midi.folder", folder, "a path of a folder"))):
        for window in _windows(melody, bars, stride):
            found.setdefault(window.numpy().tobytes(), window)
    empty = torch.empty(0, bars * STEPS_PER_BAR, dtype=torch.int64)
    return torch.stack(list(found.values())) if found else empty


def _files(folder: Path) -> list[Path]:
    paths = sorted(folder.rglob("*")) if folder.is_dir() else [folder]
    midi = [path for path in paths if path.suffix.lower() in (".mid", ".midi") and path.is_file()]
    if not midi:
        raise InvalidArgument("load_midi.folder", got=str(folder), expected="a folder with .mid or .midi files in it")
    return midi


def _melodies(paths: list[Path]) -> Iterator[Tensor]:
    left_out: list[str] = []
    for path in paths:
        try:
            yield from read_midi(path)
        except (BrokenFile, InvalidArgument) as error:
            left_out.append(str(error))
    if left_out:
        message = f"{len(left_out)} of {len(paths)} files gave no melodies; the first: {left_out[0]}"
        warn(message, MidiWarning)


def _windows(melody: Tensor, bars: int, stride: int) -> Iterator[Tensor]:
    length, step = bars * STEPS_PER_BAR, stride * STEPS_PER_BAR
    if len(melody) >= length:
        windows = canonical(melody.unfold(0, length, step))
        yield from windows[(windows < HOLD).any(1)]
