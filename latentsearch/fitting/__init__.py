"""Fitting a prior to what a generator's encoder makes of images."""

from latentsearch.fitting._given import FitWarning
from latentsearch.fitting.fit_prior import fit_prior

__all__ = ["FitWarning", "fit_prior"]
