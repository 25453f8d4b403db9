"""Branch and bound: the best grid there is, with a proof."""

from latentsearch.searchers.branch_and_bound.search import BranchAndBoundSearch

__all__ = ["BranchAndBoundSearch"]
