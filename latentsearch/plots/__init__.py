"""Images of latents and of searches: figures of matplotlib, and files of images, animations and piano rolls."""

from latentsearch.plots.code_usage import code_usage
from latentsearch.plots.contour_map import contour_map
from latentsearch.plots.film import Film
from latentsearch.plots.gif import save_gif
from latentsearch.plots.grid import save_grid
from latentsearch.plots.image_grid import image_grid
from latentsearch.plots.interpolation import interpolation
from latentsearch.plots.latent_map import latent_map
from latentsearch.plots.perturbation import perturbation
from latentsearch.plots.piano_roll import save_piano_roll
from latentsearch.plots.reach_map import reach_map
from latentsearch.plots.search_strip import search_strip
from latentsearch.plots.traces import traces
from latentsearch.plots.training_curves import training_curves

__all__ = [
    "Film",
    "code_usage",
    "contour_map",
    "image_grid",
    "interpolation",
    "latent_map",
    "perturbation",
    "reach_map",
    "save_gif",
    "save_grid",
    "save_piano_roll",
    "search_strip",
    "traces",
    "training_curves",
]
