"""The only loop, and what people need who write methods for it.

A method is an [IterativeSearcher][latentsearch.loop.IterativeSearcher]: settings, and two functions of a state.
"""

from latentsearch.loop.candidates import (
    best_of,
    best_or_held,
    gradients_each,
    maps_each,
    prior_draws,
    project_each,
    ranking,
    score_each,
    take,
)
from latentsearch.loop.draws import drawn_from
from latentsearch.loop.incumbents import improves
from latentsearch.loop.iterative import IterativeSearcher
from latentsearch.loop.method import Draw, Proposal
from latentsearch.loop.row_optimizer import OptimizerFactory, RowOptimizer, check_row_local
from latentsearch.loop.searcher import BaseSearcher

__all__ = [
    "BaseSearcher",
    "Draw",
    "IterativeSearcher",
    "OptimizerFactory",
    "Proposal",
    "RowOptimizer",
    "best_of",
    "best_or_held",
    "check_row_local",
    "drawn_from",
    "gradients_each",
    "improves",
    "maps_each",
    "prior_draws",
    "project_each",
    "ranking",
    "score_each",
    "take",
]
