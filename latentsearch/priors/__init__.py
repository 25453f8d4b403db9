"""Distributions over latents: something to sample starts from, and a term of the objective."""

from latentsearch.priors.distribution import DistributionPrior
from latentsearch.priors.histogram import HistogramPrior
from latentsearch.priors.normal import StandardNormal
from latentsearch.priors.simplex import from_alr, to_alr
from latentsearch.priors.simplex_concrete import Concrete
from latentsearch.priors.simplex_gaussian import LogisticNormal, StickBreakingNormal
from latentsearch.priors.uniform import UniformCodes

__all__ = [
    "Concrete",
    "DistributionPrior",
    "HistogramPrior",
    "LogisticNormal",
    "StandardNormal",
    "StickBreakingNormal",
    "UniformCodes",
    "from_alr",
    "to_alr",
]
