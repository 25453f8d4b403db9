"""The published gradient methods on codes, with a straight-through gradient."""

from latentsearch.searchers.straight_through.single_position import SinglePositionSearch
from latentsearch.searchers.straight_through.straight_through import StraightThroughSearch

__all__ = ["SinglePositionSearch", "StraightThroughSearch"]
