"""Wrap any pretrained decoder."""

from latentsearch.adapters._check import WrapWarning
from latentsearch.adapters.codebook import CodebookGenerator
from latentsearch.adapters.continuous import ContinuousGenerator
from latentsearch.adapters.wrap import wrap

__all__ = ["CodebookGenerator", "ContinuousGenerator", "WrapWarning", "wrap"]
