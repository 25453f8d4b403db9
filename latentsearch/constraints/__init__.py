"""Wishes: what may be asked of outputs and latents."""

from latentsearch.algebra import Constraint, Limit, Score
from latentsearch.constraints.classified import Classified
from latentsearch.constraints.downscales import Downscales
from latentsearch.constraints.log_prior import LogPrior
from latentsearch.constraints.matches import Matches
from latentsearch.constraints.near import Near
from latentsearch.constraints.satisfies import Satisfies, constraint
from latentsearch.constraints.within import Within

__all__ = [
    "Classified",
    "Constraint",
    "Downscales",
    "Limit",
    "LogPrior",
    "Matches",
    "Near",
    "Satisfies",
    "Score",
    "Within",
    "constraint",
]
