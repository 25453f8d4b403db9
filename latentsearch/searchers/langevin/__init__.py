"""Markov chains that the gradient informs: MALA in continuous spaces, discrete Langevin in codes."""

from latentsearch.searchers.langevin.langevin import LangevinSearch
from latentsearch.searchers.langevin.mala import MALASearch

__all__ = ["LangevinSearch", "MALASearch"]
