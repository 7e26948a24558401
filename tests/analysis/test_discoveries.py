"""Features that changed are found; chance is not called a change."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from forgetting.analysis.discoveries import discoveries, flip_test


def test_p_is_that_of_all_exchanges() -> None:
    changes_CF = np.random.default_rng(1).integers(-3, 5, size=(9, 4)).astype(float)
    changes_CF[:, 3] = [1, 0, 0, 2, 0, 0, 0, 1, 0]
    signs = np.array(list(itertools.product((-1, 1), repeat=9)))
    exact = (np.abs(signs @ changes_CF) >= np.abs(changes_CF.sum(0)) - 1e-9).mean(0)
    found = flip_test(changes_CF, seed=0)
    assert found[:3] == pytest.approx(exact[:3], abs=0.015)
    assert np.isnan(found[3])


def test_where_nothing_changed_hardly_anything_is_found() -> None:
    """Of 600 sets of 50 features with signs by chance, those with any discovery are no more than 5%, and a bit."""
    rng = np.random.default_rng(0)
    wrong = 0
    for _ in range(600):
        sizes = rng.poisson(0.7, size=(30, 50)) * rng.integers(1, 4, size=(30, 1))
        signs = rng.integers(0, 2, size=(30, 50)) * 2 - 1
        wrong += bool(discoveries(flip_test(sizes * signs, seed=int(rng.integers(1e9)), flips=1000)).any())
    assert wrong <= 43  # 99% of samples of 600 at 5%


def test_a_feature_that_changed_is_found_among_those_that_did_not() -> None:
    rng = np.random.default_rng(2)
    changes_CF = rng.integers(-1, 2, size=(40, 60)).astype(float)
    changes_CF[:, 7] = rng.integers(0, 3, size=40)
    assert np.flatnonzero(discoveries(flip_test(changes_CF, seed=0))).tolist() == [7]
