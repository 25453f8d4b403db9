"""Relaxations of discrete codes, and estimators of gradients through them."""

from latentsearch.relaxations.estimator import Estimator, Loss
from latentsearch.relaxations.softmax import SoftmaxRelaxation

__all__ = ["Estimator", "Loss", "SoftmaxRelaxation"]
