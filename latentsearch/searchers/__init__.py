"""Methods of search: one a file, all run by the one loop in `_loop.py`."""

from latentsearch.searchers._board import improves
from latentsearch.searchers._iterative import IterativeSearcher, Proposal
from latentsearch.searchers.auto import AutoSearch, search
from latentsearch.searchers.bandit import BanditSearch
from latentsearch.searchers.branch_and_bound import BranchAndBoundSearch
from latentsearch.searchers.cmaes import CMAESSearch
from latentsearch.searchers.coloured import ColouredSearch
from latentsearch.searchers.coordinate import CoordinateSearch
from latentsearch.searchers.evolution import EvolutionSearch
from latentsearch.searchers.exhaustive import ExhaustiveSearch
from latentsearch.searchers.gradient import GradientSearch
from latentsearch.searchers.jacobi import JacobiSearch
from latentsearch.searchers.langevin import LangevinSearch
from latentsearch.searchers.pursuit import PursuitSearch
from latentsearch.searchers.random import RandomSearch
from latentsearch.searchers.relaxed import RelaxedSearch
from latentsearch.searchers.single_position import SinglePositionSearch
from latentsearch.searchers.stages import Afresh, Further, Uncertified
from latentsearch.searchers.straight_through import StraightThroughSearch
from latentsearch.searchers.then import Then

__all__ = [
    "Afresh",
    "AutoSearch",
    "BanditSearch",
    "BranchAndBoundSearch",
    "CMAESSearch",
    "ColouredSearch",
    "CoordinateSearch",
    "EvolutionSearch",
    "ExhaustiveSearch",
    "Further",
    "GradientSearch",
    "IterativeSearcher",
    "JacobiSearch",
    "LangevinSearch",
    "Proposal",
    "PursuitSearch",
    "RandomSearch",
    "RelaxedSearch",
    "SinglePositionSearch",
    "StraightThroughSearch",
    "Then",
    "Uncertified",
    "improves",
    "search",
]
