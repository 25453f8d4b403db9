"""Draws from a posterior: each row is a chain, and its answer is where the chain ends."""

from latentsearch.protocols import NormalBase
from latentsearch.searchers.sampling.elliptical_slice import EllipticalSliceSearch
from latentsearch.searchers.sampling.importance import ImportanceResampling

__all__ = ["EllipticalSliceSearch", "ImportanceResampling", "NormalBase"]
