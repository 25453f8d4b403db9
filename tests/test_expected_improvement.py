"""The expected improvement of a swap, against integrals by scipy."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy import integrate, stats

from latentsearch.searchers.swaps._criteria import ERROR, negative_log_expected_improvement


@pytest.mark.parametrize(("first_order", "quadratic"), [(-3.0, 1.0), (-1.0, 1.0), (-0.5, 1.0), (0.0, 2.0), (0.1, 0.5)])
def test_it_is_minus_the_logarithm_of_the_expected_improvement(first_order, quadratic):
    error = stats.norm(first_order + quadratic, ERROR * quadratic)
    expected, _ = integrate.quad(lambda change: -change * error.pdf(change), -math.inf, 0, epsabs=0)
    found = negative_log_expected_improvement(
        torch.tensor(first_order, dtype=torch.float64), torch.tensor(quadratic, dtype=torch.float64)
    )
    assert found.item() == pytest.approx(-math.log(expected), abs=1e-2)


# Other tests may have switched subnormal numbers off.
@given(st.integers(-1000, 1000), st.floats(1e-3, 1e3), st.floats(1e-3, 1e3))
def test_of_two_swaps_with_one_quadratic_term_the_one_of_lower_first_order_is_better(first_order, more, quadratic):
    first_orders = torch.tensor([first_order, first_order + more], dtype=torch.float64)
    low, high = negative_log_expected_improvement(first_orders, torch.tensor(quadratic, dtype=torch.float64))
    assert low < high


def test_nothing_is_infinite_and_half_precision_is_widened():
    first_order = torch.tensor([0.0, 1e30, -1e30, 1.0, 0.0])
    found = negative_log_expected_improvement(first_order, torch.tensor([0.0, 0.0, 0.0, 1e-30, 1e30]))
    assert found.isfinite().all()
    assert negative_log_expected_improvement(first_order[:1].half(), first_order[:1].half()).dtype == torch.float32
