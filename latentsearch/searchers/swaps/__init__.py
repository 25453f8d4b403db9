"""Methods that swap codes for better ones."""

from latentsearch.searchers.swaps._nearby import felt_nearby
from latentsearch.searchers.swaps.bandit import BanditSearch
from latentsearch.searchers.swaps.coloured import ColouredSearch, fits_colours
from latentsearch.searchers.swaps.coordinate import CoordinateSearch
from latentsearch.searchers.swaps.jacobi import JacobiSearch
from latentsearch.searchers.swaps.pursuit import PursuitSearch

__all__ = [
    "BanditSearch",
    "ColouredSearch",
    "CoordinateSearch",
    "JacobiSearch",
    "PursuitSearch",
    "felt_nearby",
    "fits_colours",
]
