"""Spearman's correlation with popularity: scipy's value, one point a fact, absent where there is no order."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import spearmanr

from forgetting.metrics.correlation import spearman, with_popularity
from forgetting.metrics.likelihood import probability
from tests.metrics.making import record

of = with_popularity(probability, ["forget", "retain"])


def test_each_row_is_scipys_correlation_ties_included() -> None:
    rng = np.random.default_rng(0)
    x_RN, y_RN = rng.integers(0, 5, (20, 30)).astype(float), rng.normal(size=(20, 30))
    expected = [spearmanr(x, y).statistic for x, y in zip(x_RN, y_RN, strict=True)]
    assert spearman(x_RN, y_RN) == pytest.approx(np.array(expected), abs=1e-12)


def test_records_without_popularity_are_left_out_and_the_interval_holds_the_value() -> None:
    rng = np.random.default_rng(1)
    popular = rng.permutation(40)
    chance = np.clip(0.01 + popular / 60 + rng.normal(0, 0.1, 40), 0.01, 0.99)
    records = [
        record(str(n), p=float(q), popularity=float(k)) for n, (k, q) in enumerate(zip(popular, chance, strict=True))
    ]
    [found] = of({"forget": [*records, record("x", p=0.5)], "retain": [record("y", "retain", p=0.5)]}, None)
    assert found.key == "forget/probability_popularity_spearman"
    assert found.value == pytest.approx(spearmanr(popular, chance).statistic, abs=1e-12) and found.count == 40
    assert found.low is not None and found.high is not None
    assert 0 < found.low < found.value < found.high <= 1


def test_paraphrases_of_one_fact_are_one_point() -> None:
    facts = [(1.0, (0.2, 0.4)), (2.0, (0.9, 0.1)), (3.0, (0.6, 0.6)), (4.0, (0.1, 0.1))]
    records = [
        record(f"{n}{m}", p=q, popularity=k, group=str(n))
        for n, (k, pair) in enumerate(facts)
        for m, q in enumerate(pair)
    ]
    [found] = of({"forget": records}, None)
    assert found.value == pytest.approx(spearmanr([1, 2, 3, 4], [0.3, 0.5, 0.6, 0.1]).statistic) and found.count == 8


def test_equal_values_have_no_order() -> None:
    [found] = of({"forget": [record(str(n), p=0.5, popularity=float(n)) for n in range(5)]}, None)
    assert (found.value, found.count) == (None, 5)
    assert found.reason == "popularity or values are all equal, so that there is no order to compare"


def test_unscored_records_give_no_value() -> None:
    [found] = of({"forget": [record(str(n), popularity=float(n)) for n in range(5)]}, None)
    assert found.value is None and found.reason.startswith("none of the 5 records of split 'forget' with popularity")
