"""Samples of grids of codes, given a prior that can propose and what should come out."""

from latentsearch.searchers.gibbs.gibbs import GibbsSearch
from latentsearch.searchers.gibbs.split_gibbs import SplitGibbsSearch

__all__ = ["GibbsSearch", "SplitGibbsSearch"]
