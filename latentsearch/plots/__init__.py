"""Images of a search: a labelled grid, an animation, and the recorder behind it."""

from latentsearch.plots.film import Film
from latentsearch.plots.gif import save_gif
from latentsearch.plots.grid import save_grid

__all__ = ["Film", "save_gif", "save_grid"]
