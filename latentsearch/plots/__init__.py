"""Images of a search: a labelled grid, an animation and the recorder behind it, and piano rolls of melodies."""

from latentsearch.plots.film import Film
from latentsearch.plots.gif import save_gif
from latentsearch.plots.grid import save_grid
from latentsearch.plots.piano_roll import save_piano_roll

__all__ = ["Film", "save_gif", "save_grid", "save_piano_roll"]
