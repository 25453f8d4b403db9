"""The objective: a generator composed with a goal over the rows still searched."""

from latentsearch.objective.embedding import EmbeddingView
from latentsearch.objective.evaluate import Linear, Objective
from latentsearch.objective.ledger import Ledger

__all__ = ["EmbeddingView", "Ledger", "Linear", "Objective"]
