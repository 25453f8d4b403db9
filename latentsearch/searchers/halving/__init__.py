"""Successive halving of starts in continuous spaces: many are scored, and few are followed to the end."""

from latentsearch.searchers.halving.halving import HalvingSearch

__all__ = ["HalvingSearch"]
