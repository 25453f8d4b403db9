"""Training: the loop, its plan, averaged weights and checkpoints; for the reference models and for yours."""

from latentsearch.training.evaluation import Trainable, evaluate
from latentsearch.training.history import Entry, History, NonFiniteLoss
from latentsearch.training.loop import fit
from latentsearch.training.plan import Fit, Group, cosine
from latentsearch.training.randomness import initialised

__all__ = [
    "Entry",
    "Fit",
    "Group",
    "History",
    "NonFiniteLoss",
    "Trainable",
    "cosine",
    "evaluate",
    "fit",
    "initialised",
]
