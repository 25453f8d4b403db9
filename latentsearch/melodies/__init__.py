"""Melodies as sequences of events: their alphabet, rules that they may keep, and MIDI files in and out."""

from latentsearch.melodies.alphabet import HOLD, REST, STATES, STEPS_PER_BAR, canonical, events_of, sounding_of
from latentsearch.melodies.midi import read_midi, save_midi
from latentsearch.melodies.rewards import count_notes, density_reward, pitch_class_reward
from latentsearch.melodies.scales import PitchClasses, scale
from latentsearch.melodies.sound import render
from latentsearch.melodies.windows import MidiWarning, load_midi

__all__ = [
    "HOLD",
    "REST",
    "STATES",
    "STEPS_PER_BAR",
    "MidiWarning",
    "PitchClasses",
    "canonical",
    "count_notes",
    "density_reward",
    "events_of",
    "load_midi",
    "pitch_class_reward",
    "read_midi",
    "render",
    "save_midi",
    "scale",
    "sounding_of",
]
