"""Search on the sphere that draws of a standard normal prior lie on, as in PULSE."""

from latentsearch.searchers.spherical.schedules import Schedule, one_cycle, warmup_cosine
from latentsearch.searchers.spherical.spherical import SphericalSearch

__all__ = ["Schedule", "SphericalSearch", "one_cycle", "warmup_cosine"]
