"""Intervals of shares: the printed examples of their papers, and values worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest

from forgetting.metrics.proportions import alike, most_hidden, most_on_average, paired_shares, wilson
from tests.golden import figures


def test_the_interval_of_paired_shares_is_newcombes() -> None:
    pairs = [(1.0, 1.0)] * 20 + [(1.0, 0.0)] * 12 + [(0.0, 1.0)] * 2 + [(0.0, 0.0)] * 16
    assert paired_shares(pairs) == pytest.approx((0.0562, 0.3292), abs=1e-4)  # method 10 of the paper's first example


def test_what_a_sample_leaves_hidden_is_exact() -> None:
    assert most_hidden(0, 12) == pytest.approx(1 - 0.025 ** (1 / 12))  # twelve in a row without one
    assert most_hidden(5, 12) == pytest.approx(0.7233, abs=1e-4)
    assert most_hidden(12, 12) == 1.0


def test_wilsons_interval_of_no_success_ends_where_the_formula_does() -> None:
    assert wilson(0.0, 10) == pytest.approx((0.0, 0.2775), abs=1e-4)  # z²/(n + z²)


def test_equal_values_leave_as_much_as_may_be_hidden() -> None:
    assert alike(0.5, 10, 0.0, 1.0) == pytest.approx((0.5 - 0.2775 / 2, 0.5 + 0.2775 / 2), abs=1e-4)


def test_the_bound_of_a_mean_is_that_of_the_reference_and_hardly_below_a_grids() -> None:
    golden = figures("certificate")["bounds"]
    rs = np.random.RandomState(20261240)
    rs.beta(0.6, 4, size=(4, 12))
    values = rs.beta(0.5, 6.0, size=128)
    assert list(values[:3]) == pytest.approx(golden["first_three"]) and values.mean() == pytest.approx(golden["mean"])
    found = most_on_average(list(values), 1 - golden["one_sided_level"])
    assert found == pytest.approx(golden["exact_Anderson_DKW_upper_bound"], rel=1e-9)
    grid = golden["conbo_upper_bound_of_the_mean (grid of 100)"]
    assert grid - 0.01 < found < grid and found < golden["Hoeffding_upper_bound"]


def test_the_bound_of_a_mean_is_the_area_above_the_band() -> None:
    values = [0.2, 0.2, 0.5, 1.0, 0.0, 0.7]
    band = np.sqrt(np.log(20) / 12)
    x = (np.arange(200_000) + 0.5) / 200_000
    share = (np.array(values)[:, None] <= x[None]).mean(axis=0)
    assert most_on_average(values) == pytest.approx(1 - (share - band).clip(min=0).mean(), abs=1e-5)
    assert most_on_average([1.0] * 5) == 1.0
