"""Constraints: what should hold of outputs and latents."""

from latentsearch.constraints.classified import Classified
from latentsearch.constraints.downscales import Downscales
from latentsearch.constraints.geocross import Geocross
from latentsearch.constraints.has_attributes import HasAttributes
from latentsearch.constraints.log_prior import LogPrior
from latentsearch.constraints.matches import Matches, SquaredMatches
from latentsearch.constraints.matches_tokens import MatchesTokens
from latentsearch.constraints.near import Near
from latentsearch.constraints.observed import Observed
from latentsearch.constraints.satisfies import Satisfies, constraint
from latentsearch.constraints.shell import Shell
from latentsearch.constraints.sphere import Sphere
from latentsearch.constraints.typical import Typical
from latentsearch.constraints.within import Within

__all__ = [
    "Classified",
    "Downscales",
    "Geocross",
    "HasAttributes",
    "LogPrior",
    "Matches",
    "MatchesTokens",
    "Near",
    "Observed",
    "Satisfies",
    "Shell",
    "Sphere",
    "SquaredMatches",
    "Typical",
    "Within",
    "constraint",
]
