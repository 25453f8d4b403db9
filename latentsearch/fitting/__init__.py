"""Fitting priors, critics and actors to what a generator's encoder makes of images."""

from latentsearch.fitting._given import FitWarning
from latentsearch.fitting.encoding import Encodings, encodings
from latentsearch.fitting.fit_actor import fit_actor
from latentsearch.fitting.fit_actor_by_rule import fit_actor_by_rule
from latentsearch.fitting.fit_critic import fit_critic
from latentsearch.fitting.fit_prior import fit_prior

__all__ = ["Encodings", "FitWarning", "encodings", "fit_actor", "fit_actor_by_rule", "fit_critic", "fit_prior"]
