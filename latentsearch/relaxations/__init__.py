"""Relaxations of discrete codes, and estimators of gradients through them."""

from latentsearch.relaxations.control_variates import Rebar, Relax
from latentsearch.relaxations.direct_argmax import DirectArgmax
from latentsearch.relaxations.distribution import GumbelSoftmaxDistribution
from latentsearch.relaxations.estimator import Estimator, Loss, NeighbourhoodLoss
from latentsearch.relaxations.factory import EstimatorOrFactory, require_estimator, resolve_estimator
from latentsearch.relaxations.gumbel_softmax import GumbelRao, GumbelSoftmax
from latentsearch.relaxations.local_expectation import LocalExpectation
from latentsearch.relaxations.reinmax import ReinMax
from latentsearch.relaxations.schedules import Annealed
from latentsearch.relaxations.score_function import Reinforce, Rloo
from latentsearch.relaxations.softmax import SoftmaxRelaxation
from latentsearch.relaxations.straight_through import StraightThrough

__all__ = [
    "Annealed",
    "DirectArgmax",
    "Estimator",
    "EstimatorOrFactory",
    "GumbelRao",
    "GumbelSoftmax",
    "GumbelSoftmaxDistribution",
    "LocalExpectation",
    "Loss",
    "NeighbourhoodLoss",
    "Rebar",
    "ReinMax",
    "Reinforce",
    "Relax",
    "Rloo",
    "SoftmaxRelaxation",
    "StraightThrough",
    "require_estimator",
    "resolve_estimator",
]
