"""Distributions over latents: something to sample starts from, and a term of the objective."""

from latentsearch.priors.normal import StandardNormal
from latentsearch.priors.uniform import UniformCodes

__all__ = ["StandardNormal", "UniformCodes"]
