"""Bounds: what no grid of a set can be better than, which is what a proof of an optimum needs."""

from latentsearch.bounds.bound import Bound, Bounded
from latentsearch.bounds.interval import IntervalBound
from latentsearch.bounds.linear import LinearBound

__all__ = ["Bound", "Bounded", "IntervalBound", "LinearBound"]
