"""Calibration against the figures of independent implementations."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from forgetting.metrics.calibration import Judged, area_under_risks, calibration_error, judged, reliability, risks
from tests.golden import golden

CASES = golden("calibration")["cases"]


def case(name: str) -> Judged:
    """The questions of a case, as its file describes them."""
    if name == "uniform_guess":
        return judged(np.full((400, 4), 0.25), np.random.default_rng(4).integers(0, 4, 400))
    p = CASES[name]["params"]
    r = np.random.default_rng(p["seed"])
    logits = r.standard_normal((p["n"], p["c"])) * p["temp"]

    def softmax(z: np.ndarray) -> np.ndarray:
        shares = np.exp(z - z.max(1, keepdims=True))
        return shares / shares.sum(1, keepdims=True)

    true = softmax(logits / p["temp"])
    return judged(softmax(logits), [int(r.choice(p["c"], p=row)) for row in true])


@pytest.mark.parametrize("name", sorted(CASES))
def test_the_figures_are_those_of_known_implementations(name: str) -> None:
    found, expected = case(name), CASES[name]
    assert found.correct_N.mean() == pytest.approx(expected["accuracy"], abs=1e-12)
    assert found.confidence_N.mean() == pytest.approx(expected["mean_confidence"], abs=1e-12)
    assert found.nll_N.mean() == pytest.approx(expected["nll"], abs=1e-12)
    assert found.brier_N.mean() == pytest.approx(expected["brier_sum"], abs=1e-12)
    assert calibration_error(found) == pytest.approx(expected["ece_15"], abs=1e-12)
    assert calibration_error(found, 10) == pytest.approx(expected["ece_10"], abs=1e-12)
    assert area_under_risks(found) == pytest.approx(expected["aurc_ties_averaged"], abs=1e-12)
    rows = [(b.low, b.high, b.count, b.confidence, b.accuracy) for b in reliability(found)]
    assert rows == [
        tuple(None if v is None else pytest.approx(v, abs=1e-12) for v in row)
        for row in expected["reliability_rows_low_high_count_conf_acc"]
    ]
    if name != "uniform_guess":
        for coverage, risk in expected["risk_at_coverage"].items():
            kept = round(float(coverage) * len(found.nll_N))
            assert risks(found)[kept - 1] == pytest.approx(risk, abs=1 / kept)


def test_ties_are_the_mean_over_all_their_orders() -> None:
    found = judged([[0.6, 0.4]] * 3 + [[0.9, 0.1]], [0, 1, 1, 1])
    orders = []
    for order in itertools.permutations([0.0, 1.0, 1.0]):
        orders.append(np.cumsum([1.0, *order]) / np.arange(1, 5))
    assert risks(found) == pytest.approx(np.mean(orders, axis=0))


def test_a_bin_is_closed_on_the_right() -> None:
    rows = reliability(judged([[9 / 15, 6 / 15]], [0]))
    assert [b.count for b in rows].index(1) == 8


@pytest.mark.parametrize(("row", "right"), [([0.5, 0.4], 0), ([0.5, 0.5], 2), ([1.5, -0.5], 0)])
def test_what_is_no_distribution_is_refused(row: list[float], right: int) -> None:
    with pytest.raises(ValueError, match="question 0"):
        judged([row], [right])


def test_an_option_of_probability_zero_has_an_infinite_surprise() -> None:
    assert judged([[1.0, 0.0]], [1]).nll_N[0] == np.inf
