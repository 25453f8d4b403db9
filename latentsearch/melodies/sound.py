"""MIDI files as sound, where a synthesiser is installed."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

from latentsearch._checks import require_count, require_existing_file, require_path
from latentsearch.errors import InvalidArgument, Unsupported

# Where Linux distributions put a General MIDI bank.
_BANKS = (
    "/usr/share/sounds/sf2/default-GM.sf2",
    "/usr/share/sounds/sf2/FluidR3_GM.sf2",
    "/usr/share/soundfonts/default.sf2",
    "/usr/share/soundfonts/FluidR3_GM.sf2",
)


def render(
    path: str | os.PathLike[str], *, soundfont: str | os.PathLike[str] | None = None, sample_rate: int = 44100
) -> Path:
    """Play a MIDI file into a WAV file beside it, with FluidSynth.

    Args:
        path: A MIDI file, for instance one that [save_midi][latentsearch.melodies.save_midi] wrote.
        soundfont: The ``.sf2`` file with the instruments' sounds; that of the system if not given.
        sample_rate: Samples a second.

    Returns:
        The path of the WAV file: ``tune.mid`` becomes ``tune.wav``.

    Raises:
        Unsupported: If FluidSynth is not installed, or fails.
        InvalidArgument: If the file or the sounds are not there.
    """
    require_count("render.sample_rate", sample_rate)
    program = shutil.which("fluidsynth")
    if program is None:
        hint = "apt install fluidsynth fluid-soundfont-gm, brew install fluid-synth, or play the MIDI file elsewhere"
        raise Unsupported("render", got="no `fluidsynth` on the path", expected="a synthesiser", hint=hint)
    path = require_existing_file("render.path", path)
    out = path.with_suffix(".wav")
    command = [program, "-ni", "-F", str(out), "-r", str(sample_rate), str(_bank(soundfont)), str(path)]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode or not out.is_file():
        said = (done.stderr or done.stdout).strip()[-300:]
        raise Unsupported("render", got=f"fluidsynth that fails: {said!r}", expected="a WAV file")
    return out


def _bank(soundfont: str | os.PathLike[str] | None) -> Path:
    candidates = [Path(bank) for bank in _BANKS]
    if soundfont is not None:
        candidates = [require_path("render.soundfont", soundfont, "a path of an .sf2 file")]
    for bank in candidates:
        if bank.is_file():
            return bank
    got = f"none at {' or '.join(map(str, candidates))}"
    raise InvalidArgument("render.soundfont", got=got, expected="an .sf2 file", hint="apt install fluid-soundfont-gm")
