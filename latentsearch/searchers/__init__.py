"""Methods of search: one a file, all run by the one loop in `_loop.py`."""

from latentsearch.searchers._board import improves
from latentsearch.searchers._iterative import IterativeSearcher, Proposal
from latentsearch.searchers.cmaes import CMAESSearch
from latentsearch.searchers.evolution import EvolutionSearch
from latentsearch.searchers.gradient import GradientSearch
from latentsearch.searchers.random import RandomSearch
from latentsearch.searchers.relaxed import RelaxedSearch
from latentsearch.searchers.single_position import SinglePositionSearch
from latentsearch.searchers.straight_through import StraightThroughSearch

__all__ = [
    "CMAESSearch",
    "EvolutionSearch",
    "GradientSearch",
    "IterativeSearcher",
    "Proposal",
    "RandomSearch",
    "RelaxedSearch",
    "SinglePositionSearch",
    "StraightThroughSearch",
    "improves",
]
