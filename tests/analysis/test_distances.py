"""Cosine and ℓ2 of pairs of vectors, by hand and by their definitions."""

from __future__ import annotations

import numpy as np
import pytest

from forgetting.analysis.distances import DISTANCES, cosines, distances, relative_distances


def test_by_hand() -> None:
    before, after = np.array([[3.0, 4.0], [1.0, 0.0], [2.0, 0.0]]), np.array([[3.0, 4.0], [0.0, 2.0], [-4.0, 0.0]])
    assert cosines(before, after).tolist() == pytest.approx([1.0, 0.0, -1.0])
    assert distances(before, after).tolist() == pytest.approx([0.0, 5**0.5, 6.0])
    assert relative_distances(before, after).tolist() == pytest.approx([0.0, 5**0.5, 3.0])


def test_a_vector_of_length_0_has_no_direction() -> None:
    zero, one = np.zeros((1, 2)), np.ones((1, 2))
    assert np.isnan(cosines(zero, one)) and np.isnan(cosines(one, zero)) and np.isnan(relative_distances(zero, one))
    assert distances(zero, one)[0] == pytest.approx(2**0.5) and relative_distances(one, zero)[0] == 1


def test_more_axes_are_kept_and_equal_vectors_have_cosine_1_and_no_more() -> None:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(5, 2, 3, 7))
    assert all(moved(x, x).shape == (5, 2, 3) for moved in DISTANCES.values())
    assert cosines(x, x).max() <= 1 and cosines(x, x) == pytest.approx(1)
    y = rng.normal(size=x.shape)
    for n in np.ndindex(5, 2, 3):
        assert cosines(x, y)[n] == pytest.approx(float(x[n] @ y[n] / np.sqrt((x[n] @ x[n]) * (y[n] @ y[n]))))
