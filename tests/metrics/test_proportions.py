"""Intervals of shares: the printed examples of their papers, and values worked out by hand."""

from __future__ import annotations

import pytest

from forgetting.metrics.proportions import alike, most_hidden, paired_shares, wilson


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
