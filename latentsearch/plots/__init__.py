"""Images of a search: grids, animations and what records them, piano rolls; maps of a critic and curves of a fit."""

from latentsearch.plots.contour_map import contour_map
from latentsearch.plots.film import Film
from latentsearch.plots.gif import save_gif
from latentsearch.plots.grid import save_grid
from latentsearch.plots.piano_roll import save_piano_roll
from latentsearch.plots.training_curves import training_curves

__all__ = ["Film", "contour_map", "save_gif", "save_grid", "save_piano_roll", "training_curves"]
