"""How promising a swap is, against numbers integrated elsewhere."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy import integrate, stats

from latentsearch.searchers.swaps._expected_improvement import ERROR, reluctance


@pytest.mark.parametrize(("slope", "bend"), [(-3.0, 1.0), (-1.0, 1.0), (-0.5, 1.0), (0.0, 2.0), (0.1, 0.5)])
def test_it_is_minus_the_logarithm_of_the_improvement_to_be_expected(slope, bend):
    law = stats.norm(slope + bend, ERROR * bend)
    expected, _ = integrate.quad(lambda change: -change * law.pdf(change), -math.inf, 0, epsabs=0)
    found = reluctance(torch.tensor(slope, dtype=torch.float64), torch.tensor(bend, dtype=torch.float64))
    assert found.item() == pytest.approx(-math.log(expected), abs=1e-2)


# Other tests may have switched subnormal numbers off.
@given(st.integers(-1000, 1000), st.floats(1e-3, 1e3), st.floats(1e-3, 1e3))
def test_of_swaps_that_bend_alike_the_lower_slope_is_more_promising(slope, more, bend):
    slopes = torch.tensor([slope, slope + more], dtype=torch.float64)
    low, high = reluctance(slopes, torch.tensor(bend, dtype=torch.float64))
    assert low < high


def test_nothing_is_infinite_and_half_precision_is_widened():
    slope = torch.tensor([0.0, 1e30, -1e30, 1.0, 0.0])
    found = reluctance(slope, torch.tensor([0.0, 0.0, 0.0, 1e-30, 1e30]))
    assert found.isfinite().all()
    assert reluctance(slope[:1].half(), slope[:1].half()).dtype == torch.float32
