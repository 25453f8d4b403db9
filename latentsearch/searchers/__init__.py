"""Methods of search: one a file, all run by the one loop in `_loop.py`."""

from latentsearch.searchers._board import improves
from latentsearch.searchers._iterative import IterativeSearcher, Proposal
from latentsearch.searchers.gradient import GradientSearch
from latentsearch.searchers.langevin import LangevinSearch
from latentsearch.searchers.random import RandomSearch
from latentsearch.searchers.relaxed import RelaxedSearch
from latentsearch.searchers.single_position import SinglePositionSearch
from latentsearch.searchers.straight_through import StraightThroughSearch

__all__ = [
    "GradientSearch",
    "IterativeSearcher",
    "LangevinSearch",
    "Proposal",
    "RandomSearch",
    "RelaxedSearch",
    "SinglePositionSearch",
    "StraightThroughSearch",
    "improves",
]
