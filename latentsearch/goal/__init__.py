"""What a search is asked for: constraints, and the goals that their sums, weights and thresholds make."""

from latentsearch.goal.capabilities import BoundedLoss, LeastSquares, Separable, Stochastic, Swappable
from latentsearch.goal.constraint import Constraint
from latentsearch.goal.goal import Goal
from latentsearch.goal.limit import Limit, Unlimited
from latentsearch.goal.score import Score
from latentsearch.goal.threshold import Threshold

# What may be searched for: a goal, or what becomes one.
AnyGoal = Constraint | Limit | Goal

__all__ = [
    "AnyGoal",
    "BoundedLoss",
    "Constraint",
    "Goal",
    "LeastSquares",
    "Limit",
    "Score",
    "Separable",
    "Stochastic",
    "Swappable",
    "Threshold",
    "Unlimited",
]
