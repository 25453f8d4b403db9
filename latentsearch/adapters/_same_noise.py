"""A row's noise where none was given."""

from __future__ import annotations

from torch import Tensor

from latentsearch.noise import Noise


def same_for_all(rows: Tensor) -> Noise:
    """Noise of ``N`` rows ``(N, ...)`` that does not depend on where in a batch a row is."""
    one = Noise.from_seed(0, device=rows.device)
    return Noise(one.keys.expand(len(rows)))
