"""The examination of a latent space: whether it is worth searching, and how."""

from latentsearch.examination.examination import (
    CodeUse,
    Density,
    Elements,
    Examination,
    Finding,
    Lines,
    Reach,
    Reconstruction,
    Trial,
)
from latentsearch.examination.examining import examine

__all__ = [
    "CodeUse",
    "Density",
    "Elements",
    "Examination",
    "Finding",
    "Lines",
    "Reach",
    "Reconstruction",
    "Trial",
    "examine",
]
