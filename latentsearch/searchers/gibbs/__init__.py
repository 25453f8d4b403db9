"""Samples of grids of codes, given a prior that can propose and what should come out."""

from latentsearch.searchers.gibbs.gibbs import GibbsSearch

__all__ = ["GibbsSearch"]
