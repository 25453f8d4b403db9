"""A method chosen from the space, the goal and the budget: an ordered table of plans."""

from latentsearch.searchers.auto.auto import AutoSearch, search
from latentsearch.searchers.auto.plan import Plan
from latentsearch.searchers.auto.plans import DEFAULT_PLANS

__all__ = ["DEFAULT_PLANS", "AutoSearch", "Plan", "search"]
