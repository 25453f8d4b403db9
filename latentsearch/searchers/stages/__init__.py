"""One search after another, the rules of its stages, and rounds of one search."""

from latentsearch.searchers.stages.augmented_lagrangian import AugmentedLagrangian
from latentsearch.searchers.stages.stage import Stage
from latentsearch.searchers.stages.then import Then

__all__ = ["AugmentedLagrangian", "Stage", "Then"]
