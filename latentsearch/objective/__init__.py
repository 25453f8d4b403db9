"""The objective: a generator composed with a goal over the rows still searched."""

from latentsearch.objective.embedding import EmbeddingView
from latentsearch.objective.ledger import Ledger
from latentsearch.objective.objective import Linear, Objective
from latentsearch.objective.prior import ChargedPrior, cost_of_draw, cost_of_pass, draws_are_cheap, draws_of

__all__ = [
    "ChargedPrior",
    "EmbeddingView",
    "Ledger",
    "Linear",
    "Objective",
    "cost_of_draw",
    "cost_of_pass",
    "draws_are_cheap",
    "draws_of",
]
