"""Sequential Monte Carlo over grids of codes: many revealed side by side, and resampled by what they promise."""

from latentsearch.searchers.smc.smc import SMCSearch

__all__ = ["SMCSearch"]
