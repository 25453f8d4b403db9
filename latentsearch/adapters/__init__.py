"""Wrap any pretrained decoder."""

from latentsearch.adapters._check import WrapWarning
from latentsearch.adapters.code_maps import CodeMap, GumbelMax, Quantiles
from latentsearch.adapters.code_order import fiedler_order, principal_order
from latentsearch.adapters.codebook import CodebookGenerator
from latentsearch.adapters.continuous import ContinuousGenerator
from latentsearch.adapters.gaussian_codes import GaussianCodes
from latentsearch.adapters.gaussian_embeddings import GaussianEmbeddings
from latentsearch.adapters.wrap import wrap

__all__ = [
    "CodeMap",
    "CodebookGenerator",
    "ContinuousGenerator",
    "GaussianCodes",
    "GaussianEmbeddings",
    "GumbelMax",
    "Quantiles",
    "WrapWarning",
    "fiedler_order",
    "principal_order",
    "wrap",
]
