"""Warnings that point at the line of the caller's, however deep in the package they are given."""

from __future__ import annotations

import os
import sys
import warnings

import torch

# The package, and torch, whose decorators stand between it and the caller.
_INSIDE = tuple(os.path.dirname(os.path.abspath(file)) + os.sep for file in (__file__, torch.__file__))


def warn(message: str, category: type[Warning]) -> None:
    """Warn at the first line that is outside of the package."""
    frame, level = sys._getframe(1), 2
    while frame.f_back is not None and frame.f_code.co_filename.startswith(_INSIDE):
        frame, level = frame.f_back, level + 1
    warnings.warn(message, category, stacklevel=level)
