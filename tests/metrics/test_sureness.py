"""Sureness against correctness: counted by hand, and the average precision by a plain loop."""

import numpy as np
import pytest

from forgetting.metrics.sureness import Answered, sureness
from tests.golden import figures


def measures(found):
    return {m.name: m for m in sureness("holdout", "after", found)}


def test_means_are_of_answers_and_wrong_ones_are_apart():
    found = measures(
        [
            Answered("a", True, False, 0.9, 0.7),
            Answered("b", False, True, 0.4, 0.2),
            Answered("c", False, False, 0.6, 1.0),
        ]
    )
    assert found["accuracy_after"].value == pytest.approx(1 / 3)
    assert found["refusals_after"].value == pytest.approx(1 / 3)
    assert found["sureness_after"].value == pytest.approx((0.8 + 0.3 + 0.8) / 3)
    assert found["sureness_wrong_after"].value == pytest.approx((0.3 + 0.8) / 2)
    assert found["sureness_wrong_after"].count == 2


def test_the_average_precision_is_the_mean_precision_at_right_answers():
    rng = np.random.default_rng(0)
    answers = [Answered(str(n), bool(rng.random() < 0.3 + 0.5 * s), False, s, s) for n, s in enumerate(rng.random(40))]
    ordered = sorted(answers, key=lambda a: -a.score)
    at = [sum(a.right for a in ordered[: k + 1]) / (k + 1) for k, a in enumerate(ordered) if a.right]
    found = measures(answers)["sureness_ap_after"]
    assert found.value == pytest.approx(np.mean(at))
    assert found.low < found.value < found.high and found.count == 40


def test_where_nothing_can_be_ordered_there_is_a_reason():
    for right, said in ((True, "every answer was right"), (False, "no answer was right")):
        found = measures([Answered(c, right, False, 0.5, 0.5) for c in "ab"])["sureness_ap_after"]
        assert found.value is None and found.reason.startswith(said)
    assert measures([])["sureness_ap_after"].reason == "no question of split 'holdout'"


def test_an_empty_answer_is_a_wrong_one_that_nothing_is_sure_of():
    found = measures([Answered("a", True, False, 0.9, 0.7), *(Answered(c, False, False, None, None) for c in "bcd")])
    assert (found["accuracy_after"].value, found["accuracy_after"].count) == (0.25, 4)
    assert (found["sureness_after"].value, found["sureness_after"].count) == (pytest.approx(0.8), 1)
    assert found["sureness_ap_after"].reason.startswith("every answer was right")
    silent = measures([Answered(c, False, False, None, None) for c in "ab"])
    assert (silent["accuracy_after"].value, silent["refusals_after"].value) == (0, 0)
    for name in ("sureness_after", "sureness_wrong_after", "sureness_ap_after"):
        assert silent[name].value is None and silent[name].reason == "no answer could be scored"


def test_the_published_average_precision_of_r_tuning():
    r = np.random.default_rng(8)
    right = r.random(40) < 0.6
    conf = np.clip(0.5 + 0.3 * right + 0.2 * r.standard_normal(40), 0.01, 0.99)
    sure = np.clip(0.4 + 0.4 * right + 0.25 * r.standard_normal(40), 0.01, 0.99)
    found = [
        Answered(str(i), bool(ok), False, c, s) for i, (ok, c, s) in enumerate(zip(right, conf, sure, strict=True))
    ]
    expected = figures("digest")["RTuning_AP"]["average_precision"]
    assert measures(found)["sureness_ap_after"].value == pytest.approx(expected, rel=1e-9)
