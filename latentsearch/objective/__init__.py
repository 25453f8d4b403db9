"""The objective: a generator composed with a goal over the rows still searched."""

from latentsearch.objective.objective import WITHOUT_GRADIENT, Linear, Objective, canonical_of

__all__ = ["WITHOUT_GRADIENT", "Linear", "Objective", "canonical_of"]
