"""Melodies as MIDI files, and the melodies of MIDI files: the extra ``midi``."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

from torch import Tensor

from latentsearch._checks import in_short, is_number, require_count, require_existing_file, require_file_path
from latentsearch.errors import BrokenFile, InvalidArgument
from latentsearch.melodies._skyline import Note, skyline
from latentsearch.melodies.alphabet import HOLD, REST, canonical

_TICKS = 120  # of a sixteenth; four to a quarter
_VELOCITY = 96
_SLOWEST, _FASTEST = 4, 60_000_000  # quarters a minute
_PROGRAMS = 127  # the last instrument
_PERCUSSION = 9  # the channel that is for drums


def save_midi(path: str | os.PathLike[str], melodies: Tensor, *, tempo: float = 120.0, program: int = 0) -> list[Path]:
    """Write melodies as MIDI files, one each; a hold with nothing to hold is a rest.

    Args:
        path: Where to; of several melodies, ``tune.mid`` becomes ``tune-0.mid``, ``tune-1.mid`` and so on. Folders are
            made.
        melodies: Events ``(T,)`` or ``(N, T)``, or logits ``(N, T, V)``.
        tempo: Quarters a minute.
        program: The instrument, as General MIDI counts them, from 0, a piano, to 127.

    Returns:
        The paths, one a melody.

    Raises:
        InvalidArgument: If these are no melodies, the path is none of a file, or MIDI has no such tempo or instrument.

    Example:
        >>> import tempfile
        >>> import torch
        >>> from latentsearch.melodies import HOLD, REST, read_midi, save_midi
        >>> melody = torch.tensor([[60, HOLD, HOLD, REST, 64, HOLD, 67, HOLD]])
        >>> (path,) = save_midi(f"{tempfile.mkdtemp()}/tune.mid", melody)
        >>> bool((read_midi(path)[0] == melody[0]).all())
        True
    """
    path = require_file_path("save_midi.path", path, "tune.mid", kinds=(".mid", ".midi"))
    _check_playing(tempo, program)
    alone = isinstance(melodies, Tensor) and melodies.ndim == 1
    events = canonical(melodies[None] if alone else melodies)
    several = [path.with_name(f"{path.stem}-{number}{path.suffix}") for number in range(len(events))]
    paths = several if len(events) > 1 else [path][: len(events)]
    path.parent.mkdir(parents=True, exist_ok=True)
    for one, melody in zip(paths, events.tolist(), strict=True):
        _file_of(melody, tempo, program).save(one)
    return paths


def _check_playing(tempo: float, program: int) -> None:
    # MIDI counts the microseconds of a quarter, in three bytes.
    if not is_number(tempo) or not _SLOWEST <= tempo <= _FASTEST:
        expected = f"a positive number, from {_SLOWEST} to {_FASTEST}"
        raise InvalidArgument("save_midi.tempo", got=in_short(tempo), expected=expected)
    require_count("save_midi.program", program, 0)
    if program > _PROGRAMS:
        raise InvalidArgument("save_midi.program", got=str(program), expected=f"at most {_PROGRAMS}")


def _file_of(melody: list[int], tempo: float, program: int) -> Any:
    mido = _mido()
    file = mido.MidiFile(type=0, ticks_per_beat=4 * _TICKS)
    track = file.add_track()
    track.append(mido.MetaMessage("time_signature", numerator=4, denominator=4))
    track.append(mido.MetaMessage("set_tempo", tempo=mido.bpm2tempo(tempo)))
    track.append(mido.Message("program_change", program=program))
    sounding, last = REST, 0
    for step, event in enumerate([*melody, REST]):
        if event == HOLD:
            continue
        for kind, pitch in (("note_off", sounding), ("note_on", event)):
            if pitch != REST:
                ticks, last = (step - last) * _TICKS, step
                track.append(mido.Message(kind, note=pitch, velocity=_VELOCITY, time=ticks))
        sounding = event
    track.append(mido.MetaMessage("end_of_track", time=(len(melody) - last) * _TICKS))
    return file


def read_midi(path: str | os.PathLike[str]) -> list[Tensor]:
    """The melody of every instrument but percussion in a MIDI file in 4/4, as events ``(T,)``.

    Times are rounded to sixteenths, to at least one a note. Where several notes of an instrument sound, the highest
    is kept. An instrument is a channel of a track.

    Returns:
        One melody an instrument, all as long as the file.

    Raises:
        BrokenFile: If it is no MIDI file, or cut short.
        InvalidArgument: If no file is there, or it is in another time than 4/4, or not in quarters at all.
    """
    file = _opened(require_existing_file("read_midi.path", path))
    tracks = [list(_timed(track)) for track in file.tracks]
    signatures = [(m.numerator, m.denominator) for track in tracks for _, m in track if m.type == "time_signature"]
    if set(signatures) - {(4, 4)}:
        got = f"{os.fspath(path)} in {' and '.join(f'{a}/{b}' for a, b in sorted(set(signatures)))}"
        raise InvalidArgument("read_midi.path", got=got, expected="a file in 4/4 throughout")
    if file.type == 2 or file.ticks_per_beat <= 0:
        got = f"{os.fspath(path)}, whose tracks do not share a clock of quarters"
        raise InvalidArgument("read_midi.path", got=got, expected="a file of type 0 or 1 in ticks a quarter")
    sixteenth = file.ticks_per_beat / 4
    end = max((time for track in tracks for time, _ in track), default=0)
    heard = [notes for track in tracks for notes in _instruments(track, sixteenth, end)]
    # A note of less than a step at the end is rounded up, and the file with it.
    steps = max([_step(end, sixteenth), *(note.stop for notes in heard for note in notes)])
    return [skyline(notes, steps) for notes in heard]


def _timed(track: Any) -> Iterator[tuple[int, Any]]:
    """The messages of a track, with ticks since its beginning."""
    now = 0
    for message in track:
        now += message.time
        yield now, message


def _instruments(track: list[tuple[int, Any]], sixteenth: float, end: int) -> list[list[Note]]:
    """The notes of each channel of a track that plays or names an instrument, drums left out."""
    notes: dict[int, list[Note]] = {}
    begun: dict[tuple[int, int], int] = {}

    def ended(channel: int, pitch: int, now: int) -> None:
        start = begun.pop((channel, pitch), None)
        if start is not None:
            first = _step(start, sixteenth)
            notes[channel].append(Note(pitch, first, max(_step(now, sixteenth), first + 1)))

    for now, message in track:
        if message.type not in ("note_on", "note_off", "program_change") or message.channel == _PERCUSSION:
            continue
        notes.setdefault(message.channel, [])
        if message.type == "program_change":
            continue
        # A note that begins again while it sounds ends there.
        ended(message.channel, message.note, now)
        if message.type == "note_on" and message.velocity:
            begun[message.channel, message.note] = now
    for channel, pitch in list(begun):
        ended(channel, pitch, end)
    return [notes[channel] for channel in sorted(notes)]


def _step(ticks: int, sixteenth: float) -> int:
    return int(ticks / sixteenth + 0.5)


def _opened(path: Path) -> Any:
    mido = _mido()
    try:
        # clip: a data byte out of range is common in files found on the web, and costs no more than one note.
        return mido.MidiFile(path, clip=True)
    except FileNotFoundError:
        raise
    except Exception as error:  # mido says of what is broken whatever Python said
        raise BrokenFile(f"{path} is not a whole MIDI file ({type(error).__name__}: {error})") from error


def _mido() -> ModuleType:
    try:
        import mido
    except ImportError as error:
        hint = "pip install 'latentsearch[midi]'"
        raise InvalidArgument("melodies", got="no package mido", expected="the extra `midi`", hint=hint) from error
    module: ModuleType = mido
    return module
